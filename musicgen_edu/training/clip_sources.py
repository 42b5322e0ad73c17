"""Where captioned clips come from: sound files, or the procedural music. A source gives them by number."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..data.audio_folder import Tell, tell_user
from ..data.captioned import CaptionedClip, read_captioned_table, read_clip
from ..data.pieces import GRID, SAMPLE_RATE
from ..data.procedural import make_clip
from ..data.tables import table_columns
from ..model.audio import sound_length

SHORTEST = 1.0  # seconds of what is left at the end of a long file
HELD_OUT = 0.1  # share of a table's files


class ClipSource(Protocol):
    """Clips by number; the same number always gives the same clip."""

    def __len__(self) -> int:
        """How many clips there are."""

    def identity(self, i: int) -> list:
        """What clip i depends on, for JSON: if it changes, so may the codes."""

    def clip(self, i: int, sample_rate: int) -> tuple[Tensor, str]:
        """Sound [N] at a rate in Hz and caption of clip i; a `ValueError` or `OSError` if it cannot be read."""


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; "" if it cannot be read.

    Nothing else tells a sound from another: one of the same name, length and date may have taken its place. Within a
    process a file is read once, as long as nothing has touched it. It takes 0.55 s of a CPU for 1 GB.
    """
    try:
        seen = os.stat(path)
        return _hash(path, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
    except (OSError, ValueError):
        return ""


@functools.cache
def _hash(path: Path, *_seen: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class FileClips:
    """Parts of sound files."""

    clips: Sequence[CaptionedClip]

    def __len__(self) -> int:
        return len(self.clips)

    def identity(self, i: int) -> list:
        """Path and size of the file, the part of it, and the caption."""
        clip = self.clips[i]
        return [str(clip.path), content_hash(clip.path), clip.start, clip.seconds, clip.caption]

    def clip(self, i: int, sample_rate: int) -> tuple[Tensor, str]:
        """The part of the file, as mono at that rate."""
        return read_clip(self.clips[i], sample_rate), self.clips[i].caption


@dataclass(frozen=True)
class ProceduralClips:
    """`count` procedural clips of `frames` frames of 20 ms; sources with different seeds have no clip in common."""

    seed: int
    count: int
    frames: int

    def __len__(self) -> int:
        return self.count

    def identity(self, i: int) -> list:
        """Its seed, number and length."""
        return ["procedural", self.seed, i, self.frames]

    def clip(self, i: int, sample_rate: int) -> tuple[Tensor, str]:
        """Made anew each time; a `ValueError` at another rate than the synthesizer's."""
        if sample_rate != SAMPLE_RATE:
            raise ValueError(f"procedural music comes at {SAMPLE_RATE} Hz, but the codec takes {sample_rate} Hz")
        made = make_clip(np.random.SeedSequence((self.seed, i)), self.frames)
        return torch.from_numpy(made.audio), made.caption


def procedural_parts(seed: int, count: int, seconds: float) -> dict[str, ProceduralClips]:
    """`count` clips to train on, and a tenth as many, at least 8, to validate on."""
    frames = max(1, round(seconds * SAMPLE_RATE / GRID))
    return {
        "train": ProceduralClips(2 * seed + 1000, count, frames),  # odd and even: no clip is in both
        "validation": ProceduralClips(2 * seed + 1001, max(8, count // 10), frames),
    }


def in_pieces(clips: Sequence[CaptionedClip], seconds: float) -> list[CaptionedClip]:
    """Each clip cut in pieces of at most so many seconds, with the same caption; rests below a second are dropped.

    A file whose header cannot be read stays as it is: who reads it will say what is wrong.
    """
    pieces = []
    for clip in clips:
        try:
            samples, rate = sound_length(clip.path)
        except (ValueError, OSError):
            pieces.append(clip)
            continue
        there = max(0.0, samples / rate - clip.start)
        length = there if clip.seconds is None else min(there, clip.seconds)
        pieces.append(replace(clip, seconds=min(seconds, length) or None))  # nothing there: who reads it will say so
        starts = np.arange(seconds, length - SHORTEST, seconds).tolist()
        pieces += [replace(clip, start=clip.start + start, seconds=min(seconds, length - start)) for start in starts]
    return pieces


def is_musiccaps(table: Path) -> bool:
    """Whether the first line of a table names the column `ytid`."""
    return "ytid" in table_columns(table)


def table_parts(table: Path, folder: Path, seed: int = 0, tell: Tell = tell_user) -> dict[str, list[CaptionedClip]]:
    """The clips of a table `file,caption` to train and to validate on; no file is in both.

    Raises:
        FileNotFoundError: no such table or folder.
        ValueError: the table cannot be used, or names fewer than two files.
    """
    clips = read_captioned_table(table, folder, tell)
    files = sorted({clip.path for clip in clips})
    if len(files) < 2:
        raise ValueError(f"{table} names {len(files)} sound file: at least 2 are needed, one of them to validate on")
    held_out = np.random.default_rng(seed).permutation(len(files))[: max(1, round(HELD_OUT * len(files)))]
    apart = {files[i] for i in held_out}
    return {
        "train": [clip for clip in clips if clip.path not in apart],
        "validation": [clip for clip in clips if clip.path in apart],
    }
