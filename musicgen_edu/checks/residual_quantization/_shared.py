"""What the exercises of this assignment share."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.quantization import ResidualVectorQuantizer, nearest_code


def library_quantizer(codebooks: Tensor) -> ResidualVectorQuantizer:
    """The library's quantizer with these codebooks [K, V, D]."""
    K, V, D = codebooks.shape
    quantizer = ResidualVectorQuantizer(K, V, D).eval()
    for layer, codebook in zip(quantizer.layers, codebooks, strict=True):
        layer.embed.copy_(codebook)
    return quantizer


def leftovers(vectors: Tensor, codebooks: Tensor) -> list[Tensor]:
    """What is left over before any stage and after each: K + 1 tensors [N, D]."""
    left = [vectors]
    for codebook in codebooks:
        left.append(left[-1] - codebook[nearest_code(left[-1], codebook)])
    return left


def energies_left(vectors: Tensor, codebooks: Tensor) -> Tensor:
    """Squared length of each of them: [K + 1, N]."""
    return torch.stack([one.pow(2).sum(1) for one in leftovers(vectors, codebooks)])


def drawn(generator: torch.Generator, N: int, K: int, V: int, D: int) -> tuple[Tensor, Tensor]:
    """Random vectors [N, D] and codebooks [K, V, D] whose entries shrink from stage to stage."""
    scale = 0.6 ** torch.arange(K)[:, None, None]
    return torch.randn(N, D, generator=generator), scale * torch.randn(K, V, D, generator=generator)
