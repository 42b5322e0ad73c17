"""What all panels share: a move is answered or refused, what the panel sets is no move, work goes in a thread."""

from __future__ import annotations

import threading

import ipywidgets
import pytest

from musicgen_edu.widgets.page import message
from musicgen_edu.widgets.panel import Panel, Worker, control


class Count:
    """A number up to 5."""

    value = 1

    def move(self, value: int) -> None:
        if value > 5:
            raise ValueError("at most <5>")
        self.value = value

    def in_words(self) -> str:
        return f"value: {self.value}"


class Counter(Panel):
    """A `Count` with a slider that goes too far."""

    def __init__(self):
        self.count, self.drawn = Count(), []
        self.slider = control(ipywidgets.IntSlider, "Value", 1, 50, "200px", min=0, max=9)
        super().__init__(self.count, [self.slider], 300)
        self._listen(self.slider, self.count.move)

    def _show(self, error: str = "") -> None:
        self.drawn.append(error)
        with self._setting():
            self.slider.value = self.count.value


@pytest.fixture
def panel() -> Counter:
    return Counter()


def test_a_move_is_made_and_shown(panel):
    panel.slider.value = 3
    assert (panel.count.value, panel.drawn) == (3, [""])
    assert panel.state_text() == "value: 3"
    assert repr(panel) == "Counter\nvalue: 3"
    assert list(panel.view.children) == [panel.slider]


def test_a_move_that_cannot_be_made_is_told_and_the_control_goes_back(panel):
    panel.slider.value = 7
    assert (panel.count.value, panel.slider.value, panel.drawn) == (1, 1, ["at most <5>"])
    panel.slider.value = 5
    assert (panel.count.value, panel.drawn) == (5, ["at most <5>", ""])


def test_what_the_panel_sets_itself_is_no_move_and_what_the_reader_does_meanwhile_is_one(panel):
    with panel._setting():
        panel.slider.value = 4
        assert (panel.count.value, panel.drawn) == (1, [])
        reader = threading.Thread(target=lambda: setattr(panel.slider, "value", 2))
        reader.start()
        reader.join()
    assert (panel.count.value, panel.drawn) == (2, [""])


def test_words_are_text_and_an_error_is_told_by_a_word_and_a_frame():
    assert "<b>" not in message("a <b>\nb")
    assert "a &lt;b&gt;<br>b</div>" in message("a <b>\nb")
    wrong = message("a <b>", error=True)
    assert "<b>Error.</b> a &lt;b&gt;" in wrong
    assert 'role="alert"' in wrong
    assert "border" in wrong


def test_work_goes_in_a_thread_once_at_a_time_and_its_progress_is_seen():
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def work(progress):
        calls.append(threading.current_thread())
        progress(1, 200)  # no message for each of so many steps
        assert worker.bar.value == 0
        progress(4, 200)
        assert (worker.bar.value, worker.bar.max) == (4, 200)
        begun.set()
        assert go_on.wait(60)
        progress(200, 200)
        worker.say("Done.")

    worker = Worker(work, "begin", 100, "200px")
    worker.start()
    assert begun.wait(60)
    assert worker.busy
    assert worker.button.disabled
    worker.start()
    go_on.set()
    worker.wait(60)
    assert len(calls) == 1
    assert calls[0] is not threading.current_thread()
    assert not worker.busy
    assert not worker.button.disabled
    assert (worker.bar.value, worker.bar.max) == (200, 200)
    assert "Done." in worker.words.value


def test_work_that_fails_leaves_the_button_usable(monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda given: told.append(given.exc_value))
    worker = Worker(lambda progress: 1 / 0, "begin", 100, "200px")
    worker.start()
    worker.wait(60)
    assert not worker.button.disabled
    assert isinstance(told[0], ZeroDivisionError)
