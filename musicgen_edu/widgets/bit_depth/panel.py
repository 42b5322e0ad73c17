"""The listener of lesson 01 with controls around it."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import ipywidgets
import numpy as np

from ...model.pcm import LAWS
from ..page import message
from ..panel import Panel, control
from .drawing import WIDTH, after, before, picture, words
from .state import QUIETEST, Listener, Settings


class BitDepthPanel(Panel):
    """A `Listener` with controls, picture and two players.

    Args:
        clips, sample_rate, settings: as for `Listener`.
    """

    def __init__(self, clips: dict[str, np.ndarray], sample_rate: int = 16000, settings: Settings | None = None):
        self.listener = Listener(clips, sample_rate, settings)
        controls = self._make_controls()
        self.picture, self.words, self.before, self.after = (ipywidgets.HTML() for _ in range(4))
        players = ipywidgets.HBox([self.before, self.after], layout={"flex_flow": "row wrap"})
        super().__init__(self.listener, [*controls, self.words, self.picture, players], WIDTH + 20)
        for name in asdict(self.listener.settings):
            self._listen(getattr(self, name), lambda value, name=name: self.listener.set(**{name: value}))
        self._show()

    def _make_controls(self) -> list[ipywidgets.Widget]:
        now, rates = self.listener.settings, sorted(self.listener.rates)
        make = partial(control, label=130, width="98%")
        self.clip = make(ipywidgets.Dropdown, "Clip", now.clip, options=list(self.listener.clips))
        self.bits = make(ipywidgets.IntSlider, "Bits a sample", now.bits, min=1, max=16)
        self.law = make(ipywidgets.Dropdown, "Levels", now.law, options=LAWS)
        named = [(f"{rate} Hz", rate) for rate in rates]
        self.sample_rate = make(ipywidgets.SelectionSlider, "Sample rate", now.sample_rate, options=named)
        self.low_pass = make(ipywidgets.Checkbox, "Low-pass filter before sampling", now.low_pass)
        self.level = make(ipywidgets.IntSlider, "Level (dB)", now.level, min=QUIETEST, max=0, step=6)
        return [self.clip, self.bits, self.law, self.sample_rate, self.low_pass, self.level]

    def _show(self, error: str = "") -> None:
        self.words.value = message(error, True) if error else words(self.listener)
        self.picture.value = picture(self.listener)
        self.before.value, self.after.value = before(self.listener), after(self.listener)
