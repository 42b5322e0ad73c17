"""Sound files with captions: one table that names both, read row by row so that nothing is lost unseen.

What is wrong with the whole table (no such file, a column missing, no row left) is an error. What is wrong with one
row is told with its line number, and that row is left out: one bad line should not cost the other thousands.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..model.audio import read_audio, sound_length
from ..model.settings import LONGEST_PROMPT
from .audio_folder import Tell, tell_user
from .file_names import FileNames
from .tables import LeftOut, table_rows


@dataclass(frozen=True)
class CaptionedClip:
    """A sound file and what it sounds like; of a longer file the part from `start` on, in seconds.

    `seconds` is the length of that part; None goes to the end of the file.
    """

    path: Path
    caption: str
    start: float = 0.0
    seconds: float | None = None


def check_caption(name: str, caption: str) -> None:
    """Raise a `ValueError` unless a clip has a caption, of a length that a text encoder should read."""
    if not caption:
        raise ValueError(f"{name} has no caption")
    if len(caption) > LONGEST_PROMPT:
        raise ValueError(f"{name} has a caption of {len(caption)} characters, expected at most {LONGEST_PROMPT}")


def read_captioned_table(table: Path | str, folder: Path | str, tell: Tell = tell_user) -> list[CaptionedClip]:
    """The clips of a table with the columns `file` and `caption`, in its order.

    Two more columns, `start` and `seconds`, may choose a part of each file; an empty cell means its beginning or its
    end. Other columns are not looked at.

    Args:
        table: see `tables.table_rows`.
        folder: where the files lie; the table's names may contain folders below it, and `file_names` tells how else
            they may differ from those on the disk.
        tell: gets a line for each row that is left out: no such file or one that cannot be read, no caption, a broken
            number, a row that is there already, and what `table_rows` tells.

    Raises:
        FileNotFoundError: no such table or folder.
        ValueError: the table is not as described, or no row of it can be used.
    """
    names, clips, leave_out = FileNames(check_folder(folder)), dict[CaptionedClip, int](), LeftOut(tell)
    for line, row in table_rows(table, ("file", "caption"), leave_out):
        try:
            clip = _clip(row, names)
            if clip in clips:
                raise ValueError(f"the same as line {clips[clip]}")
            clips[clip] = line
        except ValueError as error:
            leave_out(f"line {line} of {table}: {error}")
    if not clips:
        raise ValueError(f"no row of {table} can be used with the files in {folder}{leave_out.because}")
    return list(clips)


def _clip(row: dict[str, str], names: FileNames) -> CaptionedClip:
    name, caption = row["file"].strip(), row["caption"].strip()
    if not name:
        raise ValueError("it names no file")
    check_caption(name, caption)
    path = names.find(name)
    start = read_number(row.get("start", ""), "start", 0.0)
    seconds = read_number(row.get("seconds", ""), "seconds", None)
    if seconds == 0:
        raise ValueError("seconds must be more than 0")
    return CaptionedClip(path, caption, start, seconds)


def read_number(text: str, name: str, otherwise: float | None) -> float | None:
    """The number in a cell, at least 0 and finite; `otherwise` if the cell is empty.

    Raises:
        ValueError: anything else; the message says which column it was.
    """
    if not text.strip():
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number of seconds, 0 or more, not {text.strip()!r}")
    return value


def check_folder(folder: Path | str) -> Path:
    """The folder as a path.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is a file.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"no folder at {folder}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder of sound files")
    return folder


def read_clip(clip: CaptionedClip, sample_rate: int) -> Tensor:
    """The sound of a clip, channels averaged: float32 [N] at `sample_rate` Hz.

    A part that runs over the end of its file is as long as what there is.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not audio, ends before the clip begins, or holds samples that are not finite.
    """
    if not os.path.isfile(clip.path):
        raise FileNotFoundError(f"no sound file at {clip.path}")
    samples, rate = sound_length(clip.path)
    first = round(clip.start * rate)
    if first >= samples:
        raise ValueError(f"{clip.path} is {samples / rate:g} s long, but its clip begins at {clip.start:g} s")
    count = -1 if clip.seconds is None else max(1, round(clip.seconds * rate))
    return read_audio(clip.path, sample_rate, start=first, count=count)[0][0]  # [N]
