"""Procedural captioned music: pieces drawn at random, played by a small synthesizer, described in varied words.

Everything is made from a seed; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .captions import caption
from .pieces import GRID, Note, Piece, compose, random_piece
from .synthesis import render


@dataclass(frozen=True)
class Clip:
    """A piece, its caption and its sound: audio float32 [N] at `SAMPLE_RATE` Hz."""

    piece: Piece
    caption: str
    notes: list[Note]
    audio: np.ndarray


def make_clip(seed: int | np.random.SeedSequence, frames: int, piece: Piece | None = None) -> Clip:
    """Make one clip of `frames` * `GRID` samples from a seed; `piece` fixes what would be drawn."""
    if frames < 1:
        raise ValueError(f"a clip needs at least 1 frame of {GRID} samples, not {frames}")
    rng = np.random.default_rng(seed)
    drawn = random_piece(rng)
    piece = piece or drawn
    text = caption(piece, rng)
    notes = compose(piece, frames, rng)
    return Clip(piece, text, notes, render(notes, frames, piece.timbre))


def make_clips(seed: int, count: int, frames: int) -> list[Clip]:
    """A fixed set of clips: clip i depends on the seed and on i, not on the count; sets of two seeds share none."""
    return [make_clip(np.random.SeedSequence((seed, i)), frames) for i in range(count)]


def sounds_of(clips: Sequence[Clip]) -> Tensor:
    """The sounds of clips of one length: float32 [B, N]."""
    return torch.from_numpy(np.stack([clip.audio for clip in clips]))
