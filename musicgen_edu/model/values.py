"""Numbers and texts as people have them, from Python, numpy or torch; it loads none of these."""

from __future__ import annotations

import math
import numbers
from typing import Any


def plain(value: Any) -> Any:
    """A number of numpy or torch, or a tensor or array of a single one, as Python's own; anything else as it is."""
    try:
        return value.item() if hasattr(value, "item") else value
    except (TypeError, ValueError, RuntimeError):  # of several numbers
        return value


def number(name: str, value: Any) -> float:
    """A real number as a float; one too large for that is infinite.

    Raises:
        ValueError: it is none (a text, a truth value, several numbers); the message names it.
    """
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, numbers.Real):
        raise ValueError(f"{name} must be a number, not {shown(value)}")
    try:
        return float(found)
    except OverflowError:
        return math.inf if found > 0 else -math.inf


def whole_number(name: str, value: Any) -> int:
    """An integer as Python's own.

    Raises:
        ValueError: it is none (a fraction, 1.0, a truth value, a text); the message names it.
    """
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, numbers.Integral):
        raise ValueError(f"{name} must be a whole number, not {shown(value)}")
    return int(found)


def shown(value: Any) -> str:
    """A value for a sentence: as it is typed, or its type if that is long."""
    try:
        typed = repr(value)
    except ValueError:  # an integer of thousands of digits
        typed = ""
    return typed if 0 < len(typed) <= 40 and typed.isprintable() else f"a {type(value).__name__}"


def half_character(text: str) -> str | None:
    r"""The first half of a character in a text, such as \udce9, or None.

    Such halves come from bytes of another encoding, and from texts that were cut within an emoji. No encoding has them.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return ascii(text[error.start])[1:-1]
    return None
