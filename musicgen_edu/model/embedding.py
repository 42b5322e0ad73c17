"""From cells of a sequence to vectors: the sum of K embeddings, and sinusoidal positions (lesson 06)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .shapes import check_shape


class CodebookEmbedding(nn.Module):
    """K tables of vectors; a column of K tokens becomes the sum of their K vectors.

    Args:
        num_codebooks: K.
        rows: of each table: V codes and the special token(s).
        dim: D.
    """

    def __init__(self, num_codebooks: int, rows: int, dim: int):
        super().__init__()
        self.tables = nn.Parameter(torch.randn(num_codebooks, rows, dim) * 0.02)
        self.register_buffer("first_row", None, persistent=False)
        self.reset_buffers(self.tables.device)

    def reset_buffers(self, device: torch.device) -> None:
        """The row at which each table starts: [K, 1]."""
        K, rows, _ = self.tables.shape
        self.first_row = torch.arange(K, device=device)[:, None] * rows

    def forward(self, sequence: Tensor) -> Tensor:
        """sequence int64 [B, K, S] to vectors [B, S, D]."""
        # All tables as one of K * rows rows: one look-up serves all codebooks.
        vectors = F.embedding(sequence + self.first_row, self.tables.flatten(0, 1))  # [B, K, S, D]
        return vectors.sum(1)  # [B, S, D]


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """Table of positions as the published weights have it: [length, D], first the cosines, then the sines.

    Frequency i of the half is 10000^(-i / (half - 1)), so the last one is exactly 1 / 10000. (Vaswani et al. 2017,
    section 3.5, interleave sine and cosine and divide by half instead.)

    Raises:
        ValueError: D is odd or below 4.
    """
    if dim < 4 or dim % 2:
        raise ValueError(f"the width D must be even and at least 4, not {dim}")
    half = dim // 2
    frequencies = torch.exp(torch.arange(half).float() * -(math.log(10000) / (half - 1)))  # [half]
    angles = torch.arange(length).float()[:, None] * frequencies[None, :]  # [length, half]
    return torch.cat([angles.cos(), angles.sin()], 1)  # [length, D]


def check_tokens(sequence: Tensor, num_codebooks: int, rows: int) -> None:
    """Raise a `ValueError` unless the sequence is int64 [B, K, S] with tokens from 0 to rows - 1."""
    check_shape("sequence", sequence, "B K S", K=num_codebooks)
    if sequence.dtype != torch.int64:
        raise ValueError(f"a sequence must be int64, not {sequence.dtype}")
    if sequence.numel() and not (int(sequence.min()) >= 0 and int(sequence.max()) < rows):
        raise ValueError(
            f"tokens must be 0 to {rows - 1}, but they reach from {int(sequence.min())} to {int(sequence.max())}"
        )
