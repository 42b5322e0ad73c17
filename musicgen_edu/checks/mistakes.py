"""Wrong answers as edits of a right one.

A mistake that people make is mostly a small thing: a sign, an axis, one too many. So it is written down as that: the
text of the reference with a few words replaced.

    wrong=mistakes(reference, {
        rows_sum_to_one: [
            (".sum(-1, keepdim=True)", ".sum()", "Each row has its own sum."),
            ("kept / ", "", "divide", "multiply", "Two edits and their hint."),
            (as_a_loop, "A function, where an edit cannot say it."),
        ],
    })
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    """A plausible wrong answer, the name of the first property that it breaks, and what to tell whoever wrote it."""

    answer: Callable
    breaks: str
    hint: str


def mistakes(reference: Callable | Sequence[Callable], table: Mapping[Callable, Sequence[tuple]]) -> tuple[Wrong, ...]:
    """The mistakes of a table, by the property that each of them breaks first.

    Args:
        reference: what is edited; with functions that it calls before it, if edits are to reach into them.
        table: property to its mistakes: `(old, new, ..., hint)`, pairs of texts of which each old one stands exactly
            once in the source, or `(function, hint)`.

    Raises:
        ValueError: an old text stands there not once.
    """
    functions = [reference] if callable(reference) else list(reference)
    source = "\n\n".join(textwrap.dedent(inspect.getsource(one)) for one in functions)
    return tuple(
        Wrong(what[0] if callable(what[0]) else _edited(source, functions[-1], what[:-1]), breaks.__name__, what[-1])
        for breaks, list_of_them in table.items()
        for what in list_of_them
    )


def _edited(source: str, reference: Callable, edits: tuple[str, ...]) -> Callable:
    if not edits or len(edits) % 2:
        raise ValueError(f"edits of {reference.__name__} come in pairs, old and new, then the hint: not {edits}")
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        if source.count(old) != 1:
            raise ValueError(f"{old!r} stands {source.count(old)} times in {reference.__name__}, expected once")
        source = source.replace(old, new)
    names = dict(vars(sys.modules[reference.__module__]))
    exec(compile(source, f"<{reference.__name__} with {' '.join(edits)!r}>", "exec"), names)
    answer = names[reference.__name__]
    answer.__name__ = answer.__qualname__ = " ".join(f"{edits[0]!r} -> {edits[1]!r}".split())
    return answer
