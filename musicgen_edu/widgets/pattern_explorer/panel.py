"""The pattern explorer with controls around it."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from functools import partial

import ipywidgets

from ..page import message
from ..panel import Panel, control, switch
from .drawing import picture, player, words
from .sound import PatternSound
from .state import FEWEST_FRAMES, MOST_CODEBOOKS, MOST_FRAMES, VIEWS, Choice, Exploration, Maker

PAUSE = 0.25  # seconds without a move after which the player is renewed


class PatternExplorer(Panel):
    """An `Exploration` with sliders, a play button, picture, words and player; the arguments are the same."""

    def __init__(self, own: dict[str, Maker] | None = None, sound: PatternSound | None = None, **choice: int | str):
        self.exploration = Exploration(own, sound, **choice)
        self._pending: asyncio.TimerHandle | None = None
        self._make_controls()
        self.picture, self.words, self.player = (ipywidgets.HTML() for _ in range(3))
        lines = ((self.view_as, self.first, self.second), (self.K, self.T), (self.now, self.play), (self.k, self.t))
        self._lines = [ipywidgets.HBox(line, layout={"flex_flow": "row wrap"}) for line in lines]
        rows = [*self._lines, self.picture, self.words, *([self.heard, self.player] if sound else [])]
        super().__init__(self.exploration, rows, 960)
        names = [field.name for field in fields(Choice)]
        self._controls = {name: self.view_as if name == "view" else getattr(self, name) for name in names}
        for name, widget in (*self._controls.items(), ("now", self.play)):
            self._listen(widget, partial(self._choose, name))
        self._show()

    def _make_controls(self) -> None:
        c, names, last = self.exploration.choice, self.exploration.names, self.exploration.last
        slider = partial(control, ipywidgets.IntSlider, label=125, width="440px")
        menu = partial(control, ipywidgets.Dropdown, label=60, width="240px", options=names)
        self.view_as = switch("View", c.view, VIEWS, 60, 100)
        self.first, self.second, self.heard = menu("First", c.first), menu("Second", c.second), menu("Listen", c.heard)
        self.K = slider("Codebooks K", c.K, min=1, max=MOST_CODEBOOKS)
        self.T = slider("Frames T", c.T, min=FEWEST_FRAMES, max=MOST_FRAMES)
        self.now = slider("Step", c.now, min=0, max=last)
        self.k = slider("Look at codebook", c.k, min=0, max=max(1, c.K - 1))
        self.t = slider("Look at frame", c.t, min=0, max=c.T - 1)
        self.play = ipywidgets.Play(c.now, min=0, max=last, interval=500, description="Play", show_repeat=False)

    def _choose(self, name: str, value: int | str) -> None:
        self.exploration.move(**{name: value})

    def _end_at(self, name: str, most: int) -> None:
        """Give a slider another end. In the page the key End goes to the first one for ever, so it is replaced."""
        old = self._controls[name]
        if old.max == most:
            return
        new = ipywidgets.IntSlider(
            min(old.value, most), min=0, max=most, description=old.description, style=old.style, layout=old.layout
        )
        self._listen(new, partial(self._choose, name))
        self._controls[name] = new
        setattr(self, name, new)
        for line in self._lines:
            if old in line.children:
                line.children = [new if one is old else one for one in line.children]
        old.close()

    def _show(self, error: str = "") -> None:
        exploration, c = self.exploration, self.exploration.choice
        with self._setting():
            # A slider of one place would be an error in the page: it keeps two and is switched off.
            for name, most in (("now", exploration.last), ("t", c.T - 1), ("k", max(1, c.K - 1))):
                self._end_at(name, most)
            self.k.disabled = c.K == 1
            self.first.disabled = self.second.disabled = c.view == VIEWS[0]
            for name, widget in self._controls.items():
                widget.value = getattr(c, name)
            self.play.max = exploration.last
            self.play.value = c.now
        self.picture.value = picture(exploration)
        self.words.value = message(error, True) if error else words(exploration)
        self._sound_later()

    def _sound_later(self) -> None:
        """The player follows when the moves pause: a tenth of a megabyte with each would hold up the picture."""
        if self._pending:
            self._pending.cancel()
        try:
            self._pending = asyncio.get_running_loop().call_later(PAUSE, self._show_sound)
        except RuntimeError:  # no loop, no page that could be held up
            self._show_sound()

    def _show_sound(self) -> None:
        self.player.value = player(self.exploration)
