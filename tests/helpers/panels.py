"""What the tests of the panels share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median

import ipywidgets


def controls_of(panel) -> list[ipywidgets.Widget]:
    """Everything on a panel that has a value and is no text of its own."""
    return [
        widget
        for widget in _all(panel.view)
        if isinstance(widget, ipywidgets.ValueWidget) and not isinstance(widget, ipywidgets.HTML)
    ]


def _all(widget) -> Iterator[ipywidgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _all(child)


def seconds_of_a_move(moves: Iterable[Callable[[], object]]) -> float:
    """The median of the processor's seconds that moves take: the wall clock of a busy machine measures others too."""
    times = []
    for move in moves:
        start = time.process_time()
        move()
        times.append(time.process_time() - start)
    return median(times)


def set_value(control: ipywidgets.Widget, value: object) -> Callable[[], None]:
    """A move that gives a control a value."""
    return lambda: setattr(control, "value", value)
