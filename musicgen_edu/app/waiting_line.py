"""A line of requests in front of a model: who may work, who waits at which place, and who is turned away."""

from __future__ import annotations

import threading


class WaitingLine:
    """First come, first served. It is safe to use from many threads.

    Args:
        at_once: how many may work at the same time.
        places: how many more may wait.
    """

    def __init__(self, at_once: int, places: int):
        if at_once < 1 or places < 0:
            raise ValueError(f"at least 1 must be at work and 0 may wait, not {at_once} and {places}")
        self.at_once, self.places = at_once, places
        self._line: list[object] = []  # in the order they came; the first `at_once` work
        self._moved = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return max(0, len(self._line) - self.at_once)

    def enter(self) -> object | None:
        """A ticket at the end of the line, or None if the line is full."""
        with self._moved:
            if len(self._line) >= self.at_once + self.places:
                return None
            ticket = object()
            self._line.append(ticket)
            return ticket

    def place(self, ticket: object, patience: float = 0.0) -> int:
        """Where a ticket stands: 0 may work, 1 is next. Waits at most `patience` seconds until it is 0."""
        with self._moved:
            self._moved.wait_for(lambda: self._place(ticket) == 0, patience)
            return self._place(ticket)

    def leave(self, ticket: object) -> None:
        """Give up a ticket, at work or waiting; those behind move up."""
        with self._moved:
            self._line.remove(ticket)
            self._moved.notify_all()

    def _place(self, ticket: object) -> int:
        return max(0, self._line.index(ticket) - self.at_once + 1)
