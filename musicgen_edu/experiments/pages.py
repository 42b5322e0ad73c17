"""The committed pages: markdown tables, and pages of which what stands above a mark is written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..files import write_text

MARK = "<!-- measured -->"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_below_mark(page: Path, text: str) -> None:
    """Replace what a page has below the mark; what stands above it stays."""
    head = page.read_text().split(MARK)[0]
    write_text(page, f"{head}{MARK}\n\n{text}")
