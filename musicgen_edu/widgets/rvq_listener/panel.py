"""The RVQ listener with controls around it."""

from __future__ import annotations

import ipywidgets
from torch import Tensor

from ...model.encodec import EncodecModel
from ..page import message
from ..panel import Panel, control, switch
from .drawing import picture, player, words
from .state import HEARD, Listening


class RvqListener(Panel):
    """A `Listening` with a slider for the codebooks, buttons for A and B, picture and player.

    Args:
        codec: encodes and decodes.
        audio: the clip, float [C, N] at the codec's sample rate.
        codebooks: to start with, 0 to K; None takes all K.
    """

    def __init__(self, codec: EncodecModel, audio: Tensor, codebooks: int | None = None):
        self.listening = listening = Listening(codec, audio, codebooks)
        slider = {"min": 0, "max": listening.K}
        self.codebooks = control(ipywidgets.IntSlider, "Codebooks used", listening.codebooks, 130, "420px", **slider)
        sounds = [(words, name) for name, words in HEARD.items()]
        told = [f"play {words}" for words in HEARD.values()]
        self.heard = switch("Listen to", listening.heard, sounds, 130, 190, tooltips=told)
        self.picture, self.words, self.player = (ipywidgets.HTML() for _ in range(3))
        super().__init__(listening, [self.codebooks, self.heard, self.words, self.picture, self.player], 800)
        self._listen(self.codebooks, lambda value: listening.move(codebooks=value))
        self._listen(self.heard, lambda value: listening.move(heard=value))
        self._show()

    def _show(self, error: str = "") -> None:
        self.picture.value = picture(self.listening)
        # The original is the same whatever the slider says: an unchanged player goes on playing.
        self.player.value = player(self.listening, self.listening.heard)
        # Last: what says that all of it is there.
        self.words.value = message(error, True) if error else words(self.listening)
