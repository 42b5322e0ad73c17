"""Tables as people have them: what a spreadsheet of any country writes, and one wrong row costs that row alone.

Commas, semicolons or tabs between the cells, found by the first line; UTF-8 or UTF-16; a cell in double quotes may
hold separators and lines, and there a doubled quote stands for one (RFC 4180).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .audio_folder import Tell

SEPARATORS = (",", ";", "\t")
NO_TEXT = re.compile("[\ud800-\udfff]")  # what stands for bytes that are no UTF-8
LINE_END = re.compile(r"\r\n|\n|\r|\Z")
BINARY = {b"PK\x03\x04": "a spreadsheet or an archive", b"\xd0\xcf\x11\xe0": "a spreadsheet", b"\x1f\x8b": "compressed"}


class LeftOut:
    """Tells what is left out of a table, and remembers the first reason.

    Args:
        tell: gets each message.
    """

    def __init__(self, tell: Tell):
        self.tell, self.first = tell, ""

    def __call__(self, message: str) -> None:
        """Tell that something is left out."""
        self.first = self.first or message
        self.tell(f"left out: {message}")

    @property
    def because(self) -> str:
        """The end of a message about a table of which nothing is left."""
        return f": {self.first}" if self.first else ": it has none"


def table_rows(table: Path | str, columns: Sequence[str], leave_out: LeftOut) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row of a table; a row that is wrong is told and left out.

    Args:
        table: a text file with a header; its names may be in capitals.
        columns: those that must be there.
        leave_out: is called for each row that is left out: too few or too many cells, a quote that is not closed or
            closes in the middle of a cell, bytes that are no text.

    Raises:
        FileNotFoundError: no such table.
        ValueError: it is no such table, or lacks a column, or has one twice.
    """
    text = _read_text(table)
    header, separator, at = _header(table, text, columns)
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(
            f"{table} lacks the column {missing[0]}: its first line must name {', '.join(columns)}, separated by "
            f"commas, semicolons or tabs"
        )
    twice = [name for name in header if header.count(name) > 1 and name]
    if twice:
        raise ValueError(f"{table} has the column {twice[0]} twice")
    line, last = 1, 0
    while at < len(text):
        line, last = line + len(LINE_END.findall(text[last:at])) - 1, at  # the end of the text counts as one
        try:
            cells, at = _split_row(text, at, separator)
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise ValueError(f"{len(cells)} cells, expected {len(header)}")
            if any(map(NO_TEXT.search, cells)):
                raise ValueError("it is not text in UTF-8: save the table in that encoding")
        except ValueError as error:
            leave_out(f"line {line} of {table}: {error}")
            at = max(at, LINE_END.search(text, last).end())
            continue
        yield line, dict(zip(header, cells, strict=True))


def table_columns(table: Path | str) -> list[str]:
    """The names in the first line of a table, in small letters.

    Raises:
        FileNotFoundError: no such table.
        ValueError: it is no text.
    """
    return _header(table, _read_text(table), ())[0]


def _read_text(table: Path | str) -> str:
    """The text of a table; bytes that are none become lone surrogates."""
    if not Path(table).is_file():
        raise FileNotFoundError(f"no table at {table}")
    raw = Path(table).read_bytes()
    for beginning, what in BINARY.items():
        if raw.startswith(beginning):
            raise ValueError(f"{table} is {what}, not a table in text: save it as CSV in UTF-8")
    for encoding, mark, zeros in (("utf-16-le", b"\xff\xfe", raw[1:20:2]), ("utf-16-be", b"\xfe\xff", raw[:20:2])):
        if raw.startswith(mark) or (zeros and not any(zeros)):  # small letters have a zero byte each
            return raw[: len(raw) // 2 * 2].decode(encoding, "surrogatepass").lstrip("\ufeff")
    return raw.decode("utf-8", "surrogateescape").lstrip("\ufeff")  # spreadsheets put that mark at the beginning


def _header(table: Path | str, text: str, columns: Sequence[str]) -> tuple[list[str], str, int]:
    """Names of the columns, the separator that gives most of `columns`, or most names, and where the rows begin."""
    start = re.compile(r"(?:[ \t]*(?:\r\n|\n|\r))*(?:sep=(.)\s*)?").match(text)  # that is a line for spreadsheets
    at, found, wrong = start.end(), [], None
    for separator in start[1] or SEPARATORS:
        try:
            cells, end = _split_row(text, at, separator)
        except ValueError as error:  # by another separator its quotes may be right
            wrong = error
            continue
        names = [cell.strip().casefold() for cell in cells]
        found.append((len(set(columns) & set(names)), len(names), names, separator, end))
    known, _, names, separator, end = max(found, key=lambda one: one[:2], default=(0, 0, [], "", 0))
    if wrong and (not found or (columns and not known)):
        raise ValueError(f"{table} is damaged at line 1: {wrong}")
    if any(map(NO_TEXT.search, names)):
        raise ValueError(f"the first line of {table} is not text in UTF-8: save the table in that encoding")
    return names, separator, end


def _split_row(text: str, at: int, separator: str) -> tuple[list[str], int]:
    """The cells of the row that begins at `at`, and where the next one begins.

    Raises:
        ValueError: a cell that begins with a quote does not end with one.
    """
    mark = re.escape(separator)
    quoted = re.compile(rf' *"([^"]*+(?:""[^"]*+)*+)" *(?={mark}|{LINE_END.pattern})')
    plain, cells = re.compile(rf"[^{mark}\r\n]*"), []
    while True:
        found = quoted.match(text, at) or plain.match(text, at)
        if found.re is plain and found[0].lstrip().startswith('"'):
            raise ValueError("its quotes are wrong: a cell that begins with one must end with one, doubled inside")
        cells.append(found[1].replace('""', '"') if found.re is quoted else found[0])
        at = found.end()
        if text[at : at + 1] != separator:
            return cells, LINE_END.match(text, at).end()
        at += 1
