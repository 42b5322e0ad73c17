"""MusicCaps: 5521 captions of ten seconds of music each, written by musicians (Agostinelli et al. 2023, 2301.11325).

The table `musiccaps-public.csv` names a video, where in it the clip lies, and what it sounds like. It holds no sound:
the clips are yours to get, and some of the videos are gone. A folder of clips, and of folders below it, may name the
clip with ytid `Xy-1_z`, start 30 and end 40 in three ways, with any ending that is read here (.wav, .flac, .mp3, ...):

    Xy-1_z.wav                the clip, or the whole sound of the video, from which the clip is then cut
    Xy-1_z_30_40.wav          the clip
    [Xy-1_z]-[30-40].wav      the clip

The split is that of a student project which this course retells: 65 % to train, 15 % to validate, 20 % to test, by a
fixed seed: 3522, 813 and 1084 of the 5419 clips that the project had. Which clips those were is not known.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..model.audio import sound_length
from .audio_folder import SUFFIXES, Tell, tell_user, unreadable
from .captioned import CaptionedClip, check_caption, check_folder, read_number
from .tables import LeftOut, table_rows

COLUMNS = ("ytid", "start_s", "end_s", "aspect_list", "caption")  # the table has four more, which nothing here needs
SHARES = {"train": 65, "validation": 15, "test": 20}  # in percent
SLACK = 1.0  # seconds that a cut clip may be longer than the table says: tools that cut keep whole packets
POOR_SOUND = (
    "low quality", "poor quality", "bad quality", "quality is low", "quality is poor", "quality is bad",
    "poor audio", "poor sound", "low fidelity", "amateur recording", "noisy",
)  # fmt: skip


@dataclass(frozen=True)
class MusicCapsRow:
    """A line of the table: which video, from where to where in seconds, and its description in two forms."""

    ytid: str
    start: float
    end: float
    caption: str
    aspects: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Tells a clip from all others, and is one of the names that its file may have."""
        return f"{self.ytid}_{self.start:g}_{self.end:g}"

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.end - self.start


def read_musiccaps(table: Path | str, tell: Tell = tell_user) -> list[MusicCapsRow]:
    """The rows of a table with the columns of `COLUMNS`, in its order; further columns are not looked at.

    A row is told with its line number and left out if it has no ytid or no caption, if its start and end are no
    numbers or do not follow each other, or if an earlier row has the same clip. A row whose aspects cannot be read is
    told, too, but stays: its caption is still good.

    Raises:
        FileNotFoundError: no such table.
        ValueError: the table lacks a column, is damaged, or has no row that can be used.
    """
    rows: dict[tuple[str, float], MusicCapsRow] = {}
    leave_out = LeftOut(tell)
    for line, cells in table_rows(table, COLUMNS, leave_out):
        try:
            row = _row(cells)
            if (row.ytid, row.start) in rows:
                raise ValueError(f"the clip of {row.ytid} at {row.start:g} s is there already")
        except ValueError as error:
            leave_out(f"line {line} of {table}: {error}")
            continue
        if not row.aspects:
            tell(f"line {line} of {table}: no aspects: expected a list such as ['slow', 'piano']")
        rows[row.ytid, row.start] = row
    if not rows:
        raise ValueError(f"no row of {table} can be used{leave_out.because}")
    return list(rows.values())


def _row(cells: dict[str, str]) -> MusicCapsRow:
    ytid, caption = cells["ytid"].strip(), cells["caption"].strip()
    if not ytid:
        raise ValueError("it has no ytid")
    check_caption(ytid, caption)
    start, end = (read_number(cells[name], name, None) for name in ("start_s", "end_s"))
    if start is None or end is None or not start < end:
        raise ValueError(f"{ytid} must start before it ends, not start at {start} and end at {end}")
    return MusicCapsRow(ytid, start, end, caption, read_aspects(cells["aspect_list"]))


def read_aspects(cell: str) -> tuple[str, ...]:
    """The aspects of a cell such as "['slow', 'piano']", read as data and never run; () if it holds no such list."""
    try:
        aspects = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: very many brackets
        return ()
    if not isinstance(aspects, list) or not all(isinstance(aspect, str) for aspect in aspects):
        return ()
    return tuple(aspect.strip() for aspect in aspects if aspect.strip())


def find_clips(
    rows: Sequence[MusicCapsRow], folder: Path | str, tell: Tell = tell_user
) -> dict[MusicCapsRow, CaptionedClip]:
    """The clip of each row that the folder has, in the order of the rows; see the top of this module for the names.

    Args:
        rows: of the table.
        folder: searched with the folders in it. Only the files' headers are read.
        tell: gets one line for all rows without a file, and one for each file that is broken or of another length.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it has none of the clips.
    """
    folder = check_folder(folder)
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*"), key=_preference):
        if path.suffix.lower() in SUFFIXES and path.is_file() and files.setdefault(path.stem, path) != path:
            tell(f"not used: {path}, because {files[path.stem]} has the same name")
    clips, missing, leave_out = {}, [], LeftOut(tell)
    for row in rows:
        path = next((files[name] for name in _file_names(row) if name in files), None)
        if path is None:
            missing.append(row.name)
            continue
        try:
            clips[row] = _part(row, path)
        except ValueError as error:
            leave_out(str(error))
    if others := unreadable(folder):
        leave_out(others)
    if missing:
        named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        leave_out(f"{len(missing)} of {len(rows)} clips not in {folder}: {named}")
    if not clips:
        raise ValueError(f"{folder} has none of the {len(rows)} clips as a file that can be used{leave_out.because}")
    return _one_row_each(clips, leave_out)


def _one_row_each(clips: dict[MusicCapsRow, CaptionedClip], leave_out: LeftOut) -> dict[MusicCapsRow, CaptionedClip]:
    """Leave out rows whose file, named by the video alone, is a cut clip that another row has, too.

    Such a file is one of several clips of its video, and nothing tells which: it goes to the row whose length is
    nearest, then to the first one, as tools that cut do not replace a file that is there.
    """
    taken: dict[tuple[Path, float], MusicCapsRow] = {}
    for row, clip in sorted(clips.items(), key=lambda one: abs(_length(one[1].path) - one[0].seconds)):
        first = taken.setdefault((clip.path, clip.start), row)
        if first is not row:
            own = f"{row.name}{clip.path.suffix}"
            leave_out(f"{row.name}: {clip.path} is one cut clip, taken for {first.name}; call the other file {own}")
    return {row: clip for row, clip in clips.items() if taken[clip.path, clip.start] is row}


def _preference(path: Path) -> tuple[int, str]:
    """Of two files with one name the one whose format loses less is taken, then the first by name."""
    suffix = path.suffix.lower()
    return (SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES), str(path))


def _file_names(row: MusicCapsRow) -> tuple[str, str, str]:
    return row.name, f"[{row.ytid}]-[{row.start:g}-{row.end:g}]", row.ytid


def _length(path: Path) -> float:
    samples, rate = sound_length(path)
    return samples / rate


def _part(row: MusicCapsRow, path: Path) -> CaptionedClip:
    """What of a file is the row's clip: all of it, or a part if it is the whole sound of the video."""
    length = _length(path)
    if length <= row.seconds + SLACK:
        return CaptionedClip(path, row.caption, 0.0, row.seconds)
    if path.stem == row.ytid and length + SLACK >= row.end:
        return CaptionedClip(path, row.caption, row.start, row.seconds)
    raise ValueError(
        f"{path} is {length:.1f} s long: neither the clip of {row.seconds:g} s nor, under the name {row.ytid}, "
        f"the whole sound of the video, which reaches {row.end:g} s at least"
    )


def split_rows(rows: Sequence[MusicCapsRow], seed: int = 0) -> dict[str, list[MusicCapsRow]]:
    """Rows for training, validation and test: shares of 65, 15 and 20 %, each row in one of them.

    65 % and 15 % are rounded to the nearest whole row, halves up; the test has the rest. Of 5419 rows that gives
    3522, 813 and 1084.

    The rows are put in the order of a hash of seed and clip. So the split does not depend on the order of the table,
    and one clip that is lost or found moves one other at each border and no more: a shuffle would mix all anew.
    """
    ordered = sorted(rows, key=lambda row: hashlib.sha256(f"{seed} {row.name}".encode()).digest())
    first = (SHARES["train"] * len(rows) + 50) // 100
    second = first + (SHARES["validation"] * len(rows) + 50) // 100
    return {"train": ordered[:first], "validation": ordered[first:second], "test": ordered[second:]}


def sounds_good(row: MusicCapsRow) -> bool:
    """Whether neither caption nor aspects speak of a poor recording, as "The low quality recording features ..." does.

    An example of a filter. The student project's left 1343, 302 and 360 clips; its criterion is not known.
    """
    text = " ".join((row.caption, *row.aspects)).lower().replace("-", " ")
    return not any(words in text for words in POOR_SOUND)


def aspects_text(row: MusicCapsRow) -> str:
    """The aspects as a caption, such as "slow, piano"; a row without any keeps its own."""
    return ", ".join(row.aspects) or row.caption


def musiccaps_parts(
    table: Path | str,
    folder: Path | str,
    seed: int = 0,
    keep: Callable[[MusicCapsRow], bool] | None = None,
    tell: Tell = tell_user,
    describe: Callable[[MusicCapsRow], str] | None = None,
) -> dict[str, list[CaptionedClip]]:
    """The clips of "train", "validation" and "test": the table, its clips, the split, and then the filter.

    Filtering comes last, as the project's numbers show: 1343 of 3522, 302 of 813 and 360 of 1084 are other shares
    each. So the filter moves no clip from one part to another.

    Args:
        table, folder, tell: see `read_musiccaps` and `find_clips`.
        seed: of the split.
        keep: which rows stay, for example `sounds_good`; None keeps all.
        describe: what the clips' captions are made of, for example `aspects_text`; None takes those of the table.

    Raises:
        FileNotFoundError: no such table or folder.
        ValueError: one of the two cannot be used, or a part is left without a clip.
    """
    clips = find_clips(read_musiccaps(table, tell), folder, tell)
    parts = {}
    for name, rows in split_rows(list(clips), seed).items():
        kept = [row for row in rows if keep is None or keep(row)]
        if len(kept) < len(rows):
            tell(f"left out: {len(rows) - len(kept)} of {len(rows)} clips of the part {name}, by the filter")
        if not kept:
            reason = f"the filter left none of {len(rows)}" if rows else f"{len(clips)} clips are too few to split"
            raise ValueError(f"the part {name} has no clips: {reason}")
        parts[name] = [replace(clips[row], caption=describe(row)) if describe else clips[row] for row in kept]
    return parts
