"""What all panels share: a state in a frame of controls, the answer to a move, and work that takes a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ipywidgets

from .page import message

Progress = Callable[[int, int], None]


class Panel:
    """A state with controls around it; a notebook displays its `view`.

    Each panel makes its controls, says with `_listen` what they move, and draws the state in `_show`.

    Args:
        state: what is shown and moved; its `in_words` says it in words, a line each.
        rows: what the view holds, from top to bottom.
        width: pixels of the view at the most.
    """

    def __init__(self, state: object, rows: Sequence[ipywidgets.Widget], width: int):
        self._state, self._setter = state, 0
        self.view = ipywidgets.VBox(list(rows), layout={"max_width": f"{width}px"})

    def _show(self, error: str = "") -> None:
        """Draw the state anew, and say what the last move came to where it could not be made."""
        raise NotImplementedError

    def _listen(self, control: ipywidgets.Widget, move: Callable) -> None:
        """Let a control move the state: `move` is called with each new value that the reader gives."""
        control.observe(lambda change: self._move(move, change["new"]), "value")

    def _move(self, move: Callable, *arguments: object) -> None:
        """Make a move of the reader's, and show what has come of it."""
        if self._is_setting:
            return
        error = ""
        try:
            move(*arguments)
        except ValueError as refused:
            error = str(refused)
        self._show(error)

    @contextmanager
    def _setting(self) -> Iterator[None]:
        """Within, the panel itself sets its controls, and that is no move of the reader's."""
        self._setter = threading.get_ident()  # what the reader does meanwhile comes in another thread, and counts
        try:
            yield
        finally:
            self._setter = 0

    @property
    def _is_setting(self) -> bool:
        return self._setter == threading.get_ident()

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self._state.in_words()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"{type(self).__name__}\n{self.state_text()}"


def control(kind: type[ipywidgets.Widget], name: str, value: object, label: int, width: str, **options: object):
    """A control with its name before it.

    Args:
        kind: of widget.
        name: is shown, and read by screen readers.
        value: to start with.
        label: pixels for the name.
        width: of the whole, as CSS says it.
        options: others of the widget.
    """
    style = {"description_width": f"{label}px"}
    return kind(value=value, description=name, style=style, layout={"width": width}, **options)


def switch(name: str, value: object, options: Sequence, label: int, button: int, **more: object):
    """A row of buttons of which one is pressed; `button` is the width of each in pixels.

    Buttons, not lists: in a notebook the arrow keys that would open a list move on to the next cell.
    """
    style = {"description_width": f"{label}px", "button_width": f"{button}px"}
    row = {"display": "flex", "flex_flow": "row"}  # else the name stands above its buttons
    return ipywidgets.ToggleButtons(options=options, value=value, description=name, style=style, layout=row, **more)


class Worker:
    """Work in a thread, so that every control stays alive meanwhile: a Generate button, a progress bar, and words.

    Args:
        work: what the button begins; it is called with a function of the steps done and their total.
        tooltip: what the button is for.
        label: pixels for the name of the bar, and to the left of the words.
        width: of the bar, as CSS says it.
    """

    def __init__(self, work: Callable[[Progress], None], tooltip: str, label: int, width: str):
        self._work, self._indent = work, label + 4
        self._thread: threading.Thread | None = None
        self.button = ipywidgets.Button(description="Generate", button_style="primary", icon="play", tooltip=tooltip)
        self.bar = control(ipywidgets.IntProgress, "Progress", 0, label, width, min=0, max=1)
        self.words = ipywidgets.HTML()

    @property
    def busy(self) -> bool:
        """Whether work is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin; work that is under way goes on, and none is begun."""
        if self.busy:
            return
        self.button.disabled, self.bar.value = True, 0
        self.say("Generating.")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the work has ended, at most `timeout` seconds."""
        if self._thread:
            self._thread.join(timeout)

    def say(self, text: str, error: bool = False) -> None:
        """Show a sentence on the work."""
        self.words.value = message(text, error, self._indent)

    def _run(self) -> None:
        try:
            self._work(self._report)
        finally:
            self.button.disabled = False

    def _report(self, done: int, total: int) -> None:
        # A message to the page for each step would cost more than the step.
        if done == total or done % max(1, total // 50) == 0:
            self.bar.max, self.bar.value = total, done
            self.say(f"Generating: step {done} of {total}.")
