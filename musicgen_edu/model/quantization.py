"""Vector quantization and residual vector quantization (lessons 02 and 03).

A vector quantizer replaces a vector by the nearest entry of a codebook. A residual quantizer does that several
times: each stage quantizes what the stages before it have left over.

Sources: van den Oord et al. 2017 (VQ-VAE, arXiv 1711.00937, eq. 1-3 and appendix A.1 for the moving averages),
Zeghidour et al. 2021 (SoundStream, arXiv 2107.03312, section III-C), Défossez et al. 2022 (EnCodec, arXiv 2210.13438).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .limits import whole
from .shapes import check_shape


def nearest_code(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Index of the codebook entry with the smallest squared distance to each vector.

    |x - e|^2 = |x|^2 - 2 x.e + |e|^2 needs one matrix product and never builds the [N, V, D] differences.

    Args:
        vectors: [N, D].
        codebook: [V, D].

    Returns:
        codes: int64 [N], values 0 to V - 1.
    """
    check_shape("vectors", vectors, "N D", D=codebook.shape[1])
    scores = 2 * vectors @ codebook.t()  # [N, V]
    # Minus the distance, in place. The order of the published code lets near ties fall to the same entry.
    scores.sub_(vectors.pow(2).sum(1, keepdim=True)).sub_(codebook.pow(2).sum(1))
    return scores.argmax(1)  # [N]


def kmeans(vectors: Tensor, clusters: int, iterations: int = 10, generator: torch.Generator | None = None) -> Tensor:
    """Lloyd's algorithm: assign each vector to its nearest centroid, move each centroid to its vectors' mean.

    An empty cluster stays where it is. With fewer vectors than clusters some vectors start several clusters.

    Args:
        vectors: [N, D], N at least 1.
        clusters: V, the number of centroids.
        iterations: how often to repeat the two steps.
        generator: makes the random start repeatable.

    Returns:
        centroids: [V, D].
    """
    N, D = check_shape("vectors", vectors, "N D")
    if N == 0:
        raise ValueError("k-means needs at least one vector, but N is 0")
    # CPU randomness, whatever the device: the same seed then gives the same start everywhere.
    order = torch.randperm(N, generator=generator)
    chosen = order.repeat(math.ceil(clusters / N))[:clusters].to(vectors.device)
    centroids = vectors[chosen].clone()  # [V, D]
    for _ in range(iterations):
        codes = nearest_code(vectors, centroids)
        counts = torch.bincount(codes, minlength=clusters).to(vectors.dtype)  # [V]
        sums = torch.zeros_like(centroids).index_add_(0, codes, vectors)  # [V, D]
        centroids = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centroids)
    return centroids


class VectorQuantizer(nn.Module):
    """One codebook, learned by exponential moving averages of the vectors that chose each entry.

    In training mode a forward pass also learns: the first one starts the codebook by k-means, each one moves the
    averages, and entries that hardly anybody chooses are revived with vectors of the batch. Gradients pass straight
    through to the input (the codebook has none).

    Args:
        codebook_size: V, the number of entries.
        dim: D, the width of a vector.
        decay: of the moving averages.
        epsilon: smoothing of the counts, so that no entry divides by zero.
        dead_threshold: an entry whose average count per batch is below this is dead; 0 turns revival off.
    """

    def __init__(
        self, codebook_size: int, dim: int, decay: float = 0.99, epsilon: float = 1e-5, dead_threshold: float = 2.0
    ):
        super().__init__()
        self.decay, self.epsilon, self.dead_threshold = decay, epsilon, dead_threshold
        self.embed: Tensor
        self.register_buffer("embed", torch.zeros(codebook_size, dim))  # the codebook [V, D]
        self.register_buffer("embed_avg", torch.zeros(codebook_size, dim))  # moving sum of the vectors that chose it
        self.register_buffer("cluster_size", torch.zeros(codebook_size))  # moving count of those vectors [V]
        self.register_buffer("inited", torch.zeros(1))

    def encode(self, x: Tensor) -> Tensor:
        """x [B, D, T] to codes int64 [B, T]."""
        B, D, T = check_shape("x", x, "B D T", D=self.embed.shape[1])
        return nearest_code(x.transpose(1, 2).reshape(B * T, D), self.embed).view(B, T)

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, T] to the vectors that they stand for [B, D, T]."""
        check_shape("codes", codes, "B T")
        return F.embedding(codes, self.embed).transpose(1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize x and, in training mode, learn from it.

        Args:
            x: [B, D, T].

        Returns:
            quantized [B, D, T], whose gradient with respect to x is the identity (straight-through);
            codes [B, T]; commitment loss, a scalar, mean |sg(quantized) - x|^2.
        """
        vectors = x.detach().transpose(1, 2).flatten(0, 1)  # [B*T, D]
        if self.training and not self.inited.item():
            self.init_codebook(vectors)
        codes = self.encode(x.detach())
        quantized = self.decode(codes)
        if self.training:
            self.update(vectors, codes.flatten())
        commitment = F.mse_loss(x, quantized.detach())
        return x + (quantized - x).detach(), codes, commitment

    @torch.no_grad()
    def init_codebook(self, vectors: Tensor) -> None:
        """Begin with the k-means centroids of the first batch, vectors [N, D]."""
        centroids = kmeans(vectors, self.embed.shape[0])
        self.embed.copy_(centroids)
        self.embed_avg.copy_(centroids)
        self.cluster_size.fill_(1.0)
        self.inited.fill_(1.0)

    @torch.no_grad()
    def update(self, vectors: Tensor, codes: Tensor) -> None:
        """Move the averages towards this batch: vectors [N, D] and the codes [N] that they chose."""
        V = self.embed.shape[0]
        counts = torch.bincount(codes, minlength=V).to(vectors.dtype)
        sums = torch.zeros_like(self.embed).index_add_(0, codes, vectors)
        self.cluster_size.lerp_(counts, 1 - self.decay)
        self.embed_avg.lerp_(sums, 1 - self.decay)
        total = self.cluster_size.sum()
        smoothed = (self.cluster_size + self.epsilon) / (total + V * self.epsilon) * total  # Laplace smoothing
        self.embed.copy_(self.embed_avg / smoothed[:, None])
        self.revive_dead_codes(vectors)

    @torch.no_grad()
    def revive_dead_codes(self, vectors: Tensor) -> int:
        """Put a random vector of the batch in the place of every dead entry; returns how many there were.

        All three buffers are set. If only `embed` were, the next update would compute it anew from the old averages
        and the entry would be dead again: EnCodec's and audiocraft's published code have that fault.
        """
        dead = self.cluster_size < self.dead_threshold
        count = int(dead.sum())
        if count:
            chosen = vectors[torch.randint(len(vectors), (count,)).to(vectors.device)]
            # The entry starts as if it had been chosen often enough to live, so it has time to prove itself.
            self.cluster_size[dead] = 2 * self.dead_threshold
            self.embed_avg[dead] = 2 * self.dead_threshold * chosen
            self.embed[dead] = chosen
        return count


class ResidualVectorQuantizer(nn.Module):
    """K vector quantizers in a row, each on the residual of those before it.

    Args:
        num_codebooks: K.
        codebook_size, dim, decay, epsilon, dead_threshold: of each `VectorQuantizer`.
    """

    def __init__(self, num_codebooks: int, codebook_size: int, dim: int, **quantizer_options: float):
        super().__init__()
        self.layers = nn.ModuleList(
            VectorQuantizer(codebook_size, dim, **quantizer_options) for _ in range(num_codebooks)
        )

    @property
    def num_codebooks(self) -> int:
        """K."""
        return len(self.layers)

    def encode(self, x: Tensor, num_codebooks: int | None = None) -> Tensor:
        """x [B, D, T] to codes [B, K, T]; fewer codebooks give fewer bits and a coarser result."""
        B, D, T = check_shape("x", x, "B D T", D=self.layers[0].embed.shape[1])
        residual, codes = x.transpose(1, 2).reshape(B * T, D), []
        for layer in self._first(num_codebooks):
            chosen = nearest_code(residual, layer.embed)
            residual = residual - F.embedding(chosen, layer.embed)
            codes.append(chosen.view(B, T))
        return torch.stack(codes, 1)  # [B, K, T]

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, K, T] to the sum of the K vectors of each frame [B, D, T]. Fewer than all K rows may be given."""
        B, K, T = check_shape("codes", codes, "B K T")
        return sum(layer.decode(codes[:, k]) for k, layer in enumerate(self._first(K)))

    def forward(self, x: Tensor, num_codebooks: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize and, in training mode, learn: quantized [B, D, T], codes [B, K, T], mean commitment loss."""
        residual, total, codes, losses = x, torch.zeros_like(x), [], []
        for layer in self._first(num_codebooks):
            quantized, indices, loss = layer(residual)
            # The next stage sees what is left over; its gradient does not flow back through this stage's choice.
            residual = residual - quantized.detach()
            total = total + quantized.detach()
            codes.append(indices)
            losses.append(loss)
        return x + (total - x).detach(), torch.stack(codes, 1), torch.stack(losses).mean()

    def _first(self, num_codebooks: int | None) -> list[VectorQuantizer]:
        count = self.num_codebooks if num_codebooks is None else num_codebooks
        if not whole(1, self.num_codebooks).accepts(count):
            raise ValueError(f"the number of codebooks K must be 1 to {self.num_codebooks}, not {count}")
        return list(self.layers[:count])


def bit_rate(num_codebooks: int, codebook_size: int, frame_rate: float) -> float:
    """Bits per second of K codebooks with V entries at a frame rate in Hz: K * log2(V) * frame rate."""
    return num_codebooks * math.log2(codebook_size) * frame_rate


def perplexity(codes: Tensor, codebook_size: int) -> float:
    """How many entries are in effective use: exp of the entropy of the codes, from 1 to `codebook_size`."""
    shares = torch.bincount(codes.flatten(), minlength=codebook_size).double() / codes.numel()
    return float(torch.special.entr(shares).sum().exp())
