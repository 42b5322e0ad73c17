"""Training data from any folder of sound files: random segments, in an order that a seed fixes.

Only the segment that is needed is read, so the folder may be larger than the memory.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..model.audio import read_audio, sound_length

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
UNREADABLE = (".m4a", ".mp4", ".aac", ".webm", ".mkv", ".mka", ".wma", ".ape", ".alac", ".3gp", ".amr", ".mid", ".raw")
ATTEMPTS = 100  # draws of a segment before the folder counts as broken
Tell = Callable[[str], None]


@dataclass(frozen=True)
class SoundFile:
    """A file, its number of samples, and their rate in Hz."""

    path: Path
    samples: int
    rate: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.rate


def tell_user(message: str) -> None:
    """Print on standard error."""
    print(message, file=sys.stderr, flush=True)


def sound_files(folder: Path | str, tell: Tell = tell_user) -> list[SoundFile]:
    """The sound files of a folder and of the folders in it, by name; broken ones are named and left out.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is no folder, or holds no sound file, or none that can be read.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"no folder at {folder}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder of sound files")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    others = unreadable(folder)
    if not paths:
        raise ValueError(
            f"{folder} holds no sound files (looked for {', '.join(SUFFIXES)}){'; ' * bool(others)}{others}"
        )
    if others:
        tell(f"left out: {others}")
    files, broken = [], []
    for path in paths:
        try:
            files.append(SoundFile(path, *sound_length(path)))
        except ValueError as error:
            broken.append(str(error))
    if not files:
        raise ValueError(f"none of the {len(paths)} sound files in {folder} can be read: {broken[0]}")
    for message in broken:
        tell(f"left out: {message}")
    return files


def unreadable(folder: Path) -> str:
    """What to say of the files of a folder, and of the folders in it, that are sound in a format not read here."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in UNREADABLE and path.is_file())
    if not found:
        return ""
    named = ", ".join(path.name for path in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return f"{len(found)} of a format that cannot be read, to be converted to WAV or FLAC first: {named}"


def read_segment(file: SoundFile, sample_rate: int, samples: int, rng: np.random.Generator) -> Tensor:
    """A random segment of a file as mono [N] at `sample_rate` Hz; what is too short is filled up with silence.

    Raises:
        ValueError: the file cannot be read there, or holds samples that are not finite.
    """
    needed = math.ceil(samples * file.rate / sample_rate)  # at the file's own rate
    start = int(rng.integers(0, max(file.samples - needed, 0) + 1))
    audio = read_audio(file.path, sample_rate, start=start, count=needed)[0][0, :samples]
    return torch.nn.functional.pad(audio, (0, samples - len(audio)))


def file_segments(
    files: Sequence[SoundFile],
    sample_rate: int,
    batch: int,
    segment_samples: int,
    seed: int,
    start: int = 0,
    tell: Tell = tell_user,
) -> Iterator[Tensor]:
    """Batches [B, 1, N] of random segments of sound files; a second of any file is as likely as another.

    The segments of a step depend on the seed, the step and the files, and on nothing else: a run can be
    entered at any step. Channels are averaged; other sample rates are resampled; a file that turns out broken
    is named once and another is drawn.

    Args:
        files: what `sound_files` has found.
        sample_rate: Hz.
        batch: B.
        segment_samples: N.
        seed, start: of the run, and its first step.
        tell: gets what the user should know.

    Raises:
        ValueError: when a batch is asked for, that no segment can be read any more.
    """
    ends = np.cumsum([file.seconds for file in files])
    named: set[Path] = set()

    def draw(rng: np.random.Generator) -> Tensor:
        for _ in range(ATTEMPTS):
            file = files[int(np.searchsorted(ends[:-1], rng.random() * ends[-1], side="right"))]
            try:
                return read_segment(file, sample_rate, segment_samples, rng)
            except (ValueError, OSError) as error:
                if file.path not in named:
                    tell(f"left out: {error}")
                named.add(file.path)
        raise ValueError(f"{ATTEMPTS} segments in a row could not be read; the last file was {file.path}")

    step = start
    while True:
        yield torch.stack([draw(np.random.default_rng((seed, step, i))) for i in range(batch)])[:, None]  # [B, 1, N]
        step += 1
