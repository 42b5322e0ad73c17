"""Sound files with captions: one table that names both, read row by row so that nothing is lost unseen.

What is wrong with the whole table (no such file, a column missing, no row left) is an error. What is wrong with one
row is told with its line number, and that row is left out: one bad line should not cost the other thousands.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..model.audio import read_audio, sound_length
from .audio_folder import Tell, tell_user


@dataclass(frozen=True)
class CaptionedClip:
    """A sound file and what it sounds like; of a longer file the part from `start` on, in seconds.

    `seconds` is the length of that part; None goes to the end of the file.
    """

    path: Path
    caption: str
    start: float = 0.0
    seconds: float | None = None


def read_captioned_table(table: Path | str, folder: Path | str, tell: Tell = tell_user) -> list[CaptionedClip]:
    """The clips of a table with the columns `file` and `caption`, in its order.

    Two more columns, `start` and `seconds`, may choose a part of each file; an empty cell means its beginning or its
    end. Other columns are not looked at.

    Args:
        table: comma-separated values in UTF-8, with a header.
        folder: where the files lie; the table's names may contain folders below it.
        tell: gets a line for each row that is left out: no such file, no caption, a broken number, the wrong number
            of cells.

    Raises:
        FileNotFoundError: no such table or folder.
        ValueError: the table is not as described, or no row of it can be used.
    """
    folder = check_folder(folder)
    clips = []
    for line, row in table_rows(table, ("file", "caption"), tell):
        try:
            clips.append(_clip(row, folder))
        except ValueError as error:
            tell(f"left out: line {line} of {table}: {error}")
    if not clips:
        raise ValueError(f"no row of {table} can be used with the files in {folder}")
    return clips


def _clip(row: dict[str, str], folder: Path) -> CaptionedClip:
    name, caption = row["file"].strip(), row["caption"].strip()
    if not name:
        raise ValueError("it names no file")
    if not caption:
        raise ValueError(f"{name} has no caption")
    path = folder / name
    if not path.is_file():
        raise ValueError(f"no sound file at {path}")
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


def table_rows(
    table: Path | str, columns: Sequence[str], tell: Tell = tell_user
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row of a table; a row with too few or too many cells is told.

    Args:
        table: comma-separated values in UTF-8 with a header; a cell in double quotes may contain commas and lines.
        columns: those that must be there.
        tell: gets a line for each row that is left out.

    Raises:
        FileNotFoundError: no such table.
        ValueError: it is no such table, or lacks a column, or a quote is never closed.
    """
    if not Path(table).is_file():
        raise FileNotFoundError(f"no table at {table}")
    with open(table, newline="", encoding="utf-8-sig") as file:  # -sig: spreadsheets put a mark at the beginning
        reader = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            _check_header(table, header, columns)
            before = reader.line_num
            for cells in reader:
                line, before = before + 1, reader.line_num  # of its first line: a cell may run over several
                if cells and len(cells) != len(header):
                    tell(f"left out: line {line} of {table}: {len(cells)} cells, expected {len(header)}")
                elif cells:
                    yield line, dict(zip(header, cells, strict=True))
        except UnicodeDecodeError as error:
            raise ValueError(f"{table} is not text in UTF-8: {error}") from error
        except csv.Error as error:
            raise ValueError(f"{table} is damaged at line {reader.line_num}: {error}") from error


def _check_header(table: Path | str, header: list[str], columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(f"{table} lacks the column {missing[0]}: its first line must name {', '.join(columns)}")
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise ValueError(f"{table} has the column {twice[0]} twice")


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
