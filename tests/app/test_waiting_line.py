"""The line in front of a model: who works, who waits where, who is turned away."""

from __future__ import annotations

import threading
import time

import pytest

from musicgen_edu.app.waiting_line import WaitingLine


def test_the_line_keeps_order_and_its_limits():
    line = WaitingLine(at_once=2, places=3)
    tickets = [line.enter() for _ in range(5)]
    assert [line.place(ticket) for ticket in tickets] == [0, 0, 1, 2, 3]
    assert line.enter() is None
    assert line.waiting == 3
    line.leave(tickets[1])
    assert [line.place(ticket) for ticket in (tickets[0], *tickets[2:])] == [0, 0, 1, 2]
    line.leave(tickets[3])  # one that waits may go, too
    assert line.place(tickets[4]) == 1
    assert line.enter() is not None
    for sizes in ((0, 1), (1, -1)):
        with pytest.raises(ValueError, match="at least 1"):
            WaitingLine(*sizes)


def test_who_waits_is_called_when_a_place_is_free():
    line = WaitingLine(1, 1)
    first, second = line.enter(), line.enter()
    threading.Timer(0.02, line.leave, [first]).start()
    begin = time.monotonic()
    assert line.place(second, patience=30) == 0
    assert time.monotonic() - begin < 10
