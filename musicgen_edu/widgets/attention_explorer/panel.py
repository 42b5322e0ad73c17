"""The attention explorer with controls around it."""

from __future__ import annotations

import ipywidgets

from ..page import message
from ..panel import Panel, control, switch
from .drawing import picture, words
from .state import KINDS, Attending


class AttentionExplorer(Panel):
    """An `Attending` with sliders for layer, head and step, buttons for what is looked at, words and picture.

    Args:
        attending: what to explore.
    """

    def __init__(self, attending: Attending):
        self.attending = attending
        self.layer = _slider("Layer", attending.layer, attending.layers)
        self.head = _slider("Head", attending.head, attending.heads)
        self.step = _slider("Step", attending.step, attending.steps)
        kinds = [(words, name) for name, words in KINDS.items()]
        told = ["self-attention", "cross-attention"]
        self.kind = switch("Looks at", attending.kind, kinds, 80, 210, tooltips=told)
        self.picture, self.words = ipywidgets.HTML(), ipywidgets.HTML()
        rows = [self.layer, self.head, self.step, self.kind, self.words, self.picture]
        super().__init__(attending, rows, 760)
        for name in ("layer", "head", "step", "kind"):
            self._listen(getattr(self, name), lambda value, name=name: attending.move(**{name: value}))
        self._show()

    def _show(self, error: str = "") -> None:
        self.picture.value = picture(self.attending)
        self.words.value = message(error, True) if error else words(self.attending)


def _slider(name: str, value: int, count: int) -> ipywidgets.IntSlider:
    return control(ipywidgets.IntSlider, name, value, 80, "520px", min=0, max=count - 1)
