"""The codec inspector with controls around it."""

from __future__ import annotations

from functools import partial

import ipywidgets
from torch import Tensor

from ...model.encodec import EncodecModel
from ..page import message
from ..panel import Panel, switch
from .drawing import picture, player, words
from .state import AS_ENCODED, TREATMENTS, Inspector


class CodecInspector(Panel):
    """An `Inspector` with a row of buttons for each codebook, the picture, and a player.

    Args:
        codec, clips, seed: see `Inspector`.
    """

    def __init__(self, codec: EncodecModel, clips: dict[str, Tensor], seed: int = 0):
        self.inspector = Inspector(codec, clips, seed)
        K = len(self.inspector.treatments)
        self.clip = switch("Clip", self.inspector.clip, list(clips), 110, 120)
        self.codebooks = [_treatments(k) for k in range(K)]
        self.reset = ipywidgets.Button(description="All as encoded", icon="undo", layout={"margin": "8px 0 8px 2px"})
        self.reset.tooltip = "undo every treatment"
        self.picture, self.words, self.player = (ipywidgets.HTML() for _ in range(3))
        rows = [self.clip, *self.codebooks, self.reset, self.picture, self.words, self.player]
        super().__init__(self.inspector, rows, 800)
        self._listen(self.clip, self.inspector.choose)
        for k, treatments in enumerate(self.codebooks):
            self._listen(treatments, partial(self.inspector.set, k))
        self.reset.on_click(lambda _: self._move(self._reset))
        self._show()

    def _reset(self) -> None:
        self.inspector.reset()
        with self._setting():  # several controls move, and that is drawn once
            for treatments in self.codebooks:
                treatments.value = AS_ENCODED

    def _show(self, error: str = "") -> None:
        self.picture.value = picture(self.inspector)
        self.words.value = message(error, True) if error else words(self.inspector)
        self.player.value = player(self.inspector)


def _treatments(k: int) -> ipywidgets.ToggleButtons:
    told = [f"codebook {k}: {told}" for told in TREATMENTS.values()]
    return switch(f"Codebook {k}", AS_ENCODED, list(TREATMENTS), 110, 120, tooltips=told)
