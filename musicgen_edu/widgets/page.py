"""What panels show beside their pictures, as HTML: words, errors, empty places, and the whole panel where none runs."""

from __future__ import annotations

import html


def message(text: str, error: bool = False, indent: int = 0) -> str:
    """Words as they are, a line each; an error is told by a word and a frame, not by colour alone.

    Args:
        text: shown as text, whatever it holds.
        error: whether it says what went wrong.
        indent: pixels from the left.
    """
    lines = "<br>".join(html.escape(line) for line in text.splitlines())
    if error:
        frame = f"border:2px solid currentColor;padding:4px 8px;margin:4px 0 4px {indent}px"
        return f'<div role="alert" style="{frame}"><b>Error.</b> {lines}</div>'
    return status(lines, indent)


def status(content: str, indent: int = 0) -> str:
    """HTML that a screen reader reads out when it changes."""
    return f'<div role="status" style="margin-left:{indent}px;line-height:1.5">{content}</div>'


def empty_place(words: str) -> str:
    """A dashed box where something will appear."""
    return f'<div style="border:1px dashed currentColor;padding:24px;text-align:center;margin:8px 0">{words}</div>'


def still_page(*parts: str):
    """Parts of a panel, folded, as an object that a notebook displays: it needs no kernel and no JavaScript."""
    from IPython.display import HTML

    summary = "<summary>A still picture of the panel, for where no kernel runs</summary>"
    return HTML(f"<details>{summary}{''.join(parts)}</details>")
