"""What the exercises of this assignment share."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.quantization import ResidualVectorQuantizer


def library_quantizer(codebooks: Tensor) -> ResidualVectorQuantizer:
    """The library's quantizer with these codebooks [K, V, D]."""
    K, V, D = codebooks.shape
    quantizer = ResidualVectorQuantizer(K, V, D).eval()
    for layer, codebook in zip(quantizer.layers, codebooks, strict=True):
        layer.embed.copy_(codebook)
    return quantizer


def library_energies(vectors: Tensor, codebooks: Tensor) -> Tensor:
    """Squared length of what the library's quantizer leaves over before any stage and after each: [K + 1, N]."""
    quantizer, x = library_quantizer(codebooks), vectors.T[None]  # [1, D, N]
    codes = quantizer.encode(x)
    left = [x, *(x - quantizer.decode(codes[:, : k + 1]) for k in range(len(codebooks)))]
    return torch.stack([one[0].square().sum(0) for one in left])


def drawn(N: int, K: int, V: int, D: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Random vectors [N, D] and codebooks [K, V, D] whose entries shrink from stage to stage."""
    scale = 0.6 ** torch.arange(K)[:, None, None]
    return torch.randn(N, D, generator=generator), scale * torch.randn(K, V, D, generator=generator)
