"""What a command leaves: a clip that is not lost, and a line that need not be printable."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def write_or_keep(path: Path, audio: Tensor, sample_rate: int, seed: int) -> None:
    """Write a clip [C, N]; one that cannot be written there after all is kept elsewhere.

    Raises:
        OSError: it could not; the message says where the clip is, or how to make it again.
    """
    from ..model.audio import write_audio

    try:
        write_audio(path, audio, sample_rate)
    except OSError as error:
        kept = keep(audio, sample_rate)
        told = f"the clip is in {kept}" if kept else f"the same command with --seed {seed} makes the clip again"
        raise OSError(f"{error}; {told}") from error


def keep(audio: Tensor, sample_rate: int) -> Path | None:
    """Write a clip [C, N] to the folder for temporary files, or to the user's own; None if neither takes it."""
    from ..model.audio import write_audio

    for place in (None, Path("~").expanduser()):  # None is the former
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(prefix="musicgen-edu-", dir=place))
            write_audio(folder / "music.wav", audio, sample_rate)
            return folder / "music.wav"
        except OSError:
            if folder:
                folder.rmdir()
    return None


def print_result(line: str) -> None:
    """Print a result; where it cannot be (a pipe that was closed, a full disk), the work is done all the same."""
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is printed at the end of Python


def print_any_name() -> None:
    """Let what the terminal's encoding does not have be printed as `\\u97f3`: it is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
