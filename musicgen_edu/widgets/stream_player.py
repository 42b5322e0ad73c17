"""A panel that plays music while it is being made: the app's controls in a notebook (lesson 10).

`Streamer` holds the settings, the work and its outcome, and knows nothing of drawing; `StreamPanel` draws one with
ipywidgets; `generator.still` draws one as plain HTML, for where no kernel runs.

The live player hears a file that the kernel serves on the loopback address (see `live_sound`), so it plays only where
browser and kernel run on the same computer. Elsewhere the finished clip below it is what there is to hear.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ipywidgets
import torch

from .generator import _LABEL, _WIDE, Generator, GeneratorPanel, Settings, _line, _placeholder
from .live_sound import LiveServer, LiveSound

if TYPE_CHECKING:
    from torch import Tensor

    from ..musicgen import MusicGen


@dataclass(frozen=True)
class StreamSettings(Settings):
    """Those of a clip, and how long its pieces are in seconds."""

    seconds: float = 8.0
    chunk_seconds: float = 1.0

    def __str__(self) -> str:
        return f"{super().__str__()}, chunks of {self.chunk_seconds:g} s"

    def shown(self) -> dict[str, str]:
        """Names and values as a reader sees them."""
        return super().shown() | {"Chunk (s)": f"{self.chunk_seconds:.2f}"}


DEFAULT = StreamSettings()


class Streamer(Generator):
    """Settings, the work and its outcome; the sound can be heard from its first chunk on.

    Args:
        model: what generates.
        settings: what to start from.

    Attributes:
        hear: called with a `LiveSound` when its first chunk is there; it grows from then on.
        first_sound, whole: seconds from the start of the last run until its first chunk, and until it ended.
    """

    def __init__(self, model: MusicGen, settings: StreamSettings = DEFAULT):
        super().__init__(model, settings)
        self.hear: Callable[[LiveSound], None] | None = None
        self.first_sound, self.whole = 0.0, 0.0

    def _make(self, wanted: dict, report: Callable[[int, int], None]) -> Tensor:
        begin, rate = time.monotonic(), self.model.sample_rate
        samples = self.model.frames(wanted["seconds"]) * round(rate / self.model.frame_rate)
        sound, parts = None, []
        try:
            for chunk in self.model.stream([wanted.pop("prompt")], **wanted, progress=report):
                parts.append(chunk)
                if sound is None:
                    self.first_sound = time.monotonic() - begin
                    sound = LiveSound(rate, samples)
                    if self.hear:
                        self.hear(sound)
                sound.feed(chunk[0])
        finally:
            self.whole = time.monotonic() - begin
            if sound:
                sound.end()
        return torch.cat(parts, -1)

    def timing(self) -> str:
        """One sentence on when the first sound of the last finished clip was there."""
        if self.made_with is None:
            return ""
        return f"The first sound was there after {self.first_sound:.1f} s, the whole clip after {self.whole:.1f} s."


class StreamPanel(GeneratorPanel):
    """A `Streamer` with controls, progress, a player that plays while the clip is being made, and the finished clip.

    Args:
        model: what generates.
        settings: what to start from.
    """

    kind = Streamer
    server: LiveServer | None = None  # one for all panels of a kernel

    def __init__(self, model: MusicGen, settings: StreamSettings = DEFAULT):
        self.live = ipywidgets.HTML(_live())
        super().__init__(model, settings)
        self.generator.hear = self._hear
        rows = list(self.view.children)
        rows.insert(rows.index(self.seconds) + 1, self.chunk_seconds)
        rows.insert(rows.index(self.player), self.live)
        self.view.children = rows

    def _make_controls(self, settings: StreamSettings, longest: float) -> None:
        super()._make_controls(settings, longest)
        self.chunk_seconds = ipywidgets.FloatSlider(
            settings.chunk_seconds,
            min=0.25,
            max=4,
            step=0.25,
            description="Chunk (s)",
            readout_format=".2f",
            style=_LABEL,
            layout=_WIDE,
        )

    def _hear(self, sound: LiveSound) -> None:
        if StreamPanel.server is None:
            StreamPanel.server = LiveServer()
        self.live.value = _live(StreamPanel.server.add(sound), str(self.generator.settings))

    def _show_status(self) -> None:
        super()._show_status()
        if self.generator.status == "done":
            self.status.value += _line(self.generator.timing(), margin=True)


def _live(address: str = "", caption: str = "") -> str:
    if not address:
        return _placeholder()
    label = html.escape(f"while it is being made: {caption}", quote=True)
    return (
        f'<figure style="margin:8px 0;max-width:640px"><figcaption>{label}</figcaption>'
        f'<audio controls autoplay aria-label="{label}" style="width:100%" src="{address}"></audio>'
        "<figcaption>Silent here? Then the kernel runs on another computer: the finished clip appears below."
        "</figcaption></figure>"
    )
