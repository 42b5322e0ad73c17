"""A panel that plays music while it is being made: the app's controls in a notebook (lesson 10).

`Streamer` holds the settings, the work and its outcome, and knows nothing of drawing; `StreamPanel` draws one with
ipywidgets; `generator.still` draws one as plain HTML, for where no kernel runs.

The live player hears a file that the kernel serves on the loopback address (see `live_sound`), so it plays only where
browser and kernel run on the same computer. Elsewhere the finished clip below it is what there is to hear.
"""

from __future__ import annotations

import base64
import html
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets
import torch

from ..model.audio import read_audio, wav_bytes
from .generator import _LABEL, _WIDE, Generator, GeneratorPanel, Settings, _line, _placeholder
from .live_sound import LiveServer, LiveSound

if TYPE_CHECKING:
    from torch import Tensor

    from ..musicgen import MusicGen


@dataclass(frozen=True)
class StreamSettings(Settings):
    """Those of a clip, how its codes are drawn, and how long its pieces are in seconds."""

    seconds: float = 8.0
    chunk_seconds: float = 1.0
    top_k: int = 250
    temperature: float = 1.0

    def __str__(self) -> str:
        drawn = f"top-k {self.top_k}, temperature {self.temperature:g}"
        return f"{super().__str__()}, {drawn}, chunks of {self.chunk_seconds:g} s"

    def shown(self) -> dict[str, str]:
        """Names and values as a reader sees them."""
        drawn = {"Top-k": str(self.top_k), "Temperature": f"{self.temperature:.1f}"}
        return super().shown() | drawn | {"Chunk (s)": f"{self.chunk_seconds:.2f}"}


DEFAULT = StreamSettings()


class Streamer(Generator):
    """Settings, the work and its outcome; the sound can be heard from its first chunk on.

    Args:
        model: what generates.
        settings: what to start from.

    Attributes:
        hear: called with a `LiveSound` when its first chunk is there; it grows from then on.
        recording: a sound [C, N] to go on from and its rate in Hz, or None.
        first_sound, whole: seconds from the start of the last run until its first chunk, and until it ended.
    """

    def __init__(self, model: MusicGen, settings: StreamSettings = DEFAULT):
        super().__init__(model, settings)
        self.hear: Callable[[LiveSound], None] | None = None
        self.recording: tuple[Tensor, int] | None = None
        self.first_sound, self.whole = 0.0, 0.0

    def _make(self, wanted: dict, report: Callable[[int, int], None]) -> Tensor:
        begin, rate = time.monotonic(), self.model.sample_rate
        samples = self.model.frames(wanted["seconds"]) * round(rate / self.model.frame_rate)
        sound, parts = None, []
        if self.recording:
            wanted["prompt_audio"], wanted["prompt_sample_rate"] = self.recording
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

    def clear(self) -> None:
        """Stop, and forget the prompt, the recording and the last clip."""
        self.stop()
        self.recording = self.audio = self.made_with = None
        self.set(prompt="")
        self.status, self.message = "ready", "Cleared. Write a prompt and press Generate."

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
        self.live, self.download = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__(model, settings)
        self.generator.hear = self._hear
        rows = list(self.view.children)
        rows.insert(rows.index(self.seconds) + 1, self.chunk_seconds)
        at = rows.index(self.seed)
        rows[at + 1 : at + 1] = [self.top_k, self.temperature, self.upload]
        rows.insert(rows.index(self.player), self.live)
        self.view.children = [*rows, self.download]
        next(row for row in rows if isinstance(row, ipywidgets.HBox)).children += (self.clear,)

    def _make_controls(self, settings: StreamSettings, longest: float) -> None:
        super()._make_controls(settings, longest)
        slider = {"style": _LABEL, "layout": _WIDE}
        self.chunk_seconds = ipywidgets.FloatSlider(
            settings.chunk_seconds, min=0.25, max=4, step=0.25, description="Chunk (s)", readout_format=".2f", **slider
        )
        codes = self.generator.model.lm.config.codebook_size
        self.top_k = ipywidgets.BoundedIntText(
            settings.top_k, min=0, max=codes, description="Top-k (0: all)", style=_LABEL, layout={"width": "240px"}
        )
        self.temperature = ipywidgets.FloatSlider(
            settings.temperature, min=0, max=2, step=0.1, description="Temperature", readout_format=".1f", **slider
        )
        self.upload = ipywidgets.FileUpload(
            description="Go on from a recording", multiple=False, layout={"width": "240px", "margin": "4px 0 4px 134px"}
        )
        self.clear = ipywidgets.Button(description="Clear", icon="trash", tooltip="forget prompt, recording and clip")

    def _connect(self) -> None:
        super()._connect()
        self.upload.observe(self._take, "value")
        self.clear.on_click(lambda _: self._wipe())

    def _take(self, change: dict) -> None:
        """Read the file that was chosen, and say what it is."""
        if not change["new"]:
            return
        (file,) = change["new"]
        try:
            sound, rate = self.generator.recording = read_bytes(file["name"], bytes(file["content"]))
        except ValueError as error:
            self.generator.recording = None
            self.status.value = _line(str(error), strong=True, margin=True)
            return
        told = f"Goes on from {file['name']}, {sound.shape[-1] / rate:.1f} s. The length counts from its beginning."
        self.status.value = _line(told, margin=True)

    def _wipe(self) -> None:
        self.generator.clear()
        self.prompt.value, self.upload.value = "", ()
        self.live.value, self.player.value, self.download.value = "", _placeholder(), ""
        self.progress.value = 0
        self._show_status()

    def _hear(self, sound: LiveSound) -> None:
        if StreamPanel.server is None:
            StreamPanel.server = LiveServer()
        self.live.value = _live(StreamPanel.server.add(sound), str(self.generator.settings))

    def _work(self) -> None:
        super()._work()
        if self.generator.status == "done":
            self.download.value = _download(self.generator)

    def _show_status(self) -> None:
        super()._show_status()
        if self.generator.status == "done":
            self.status.value += _line(self.generator.timing(), margin=True)
        if self.generator.status == "stopped":  # a player drawn anew is silent, and has what was made
            self.live.value = self.live.value.replace(" autoplay", "")


def read_bytes(name: str, content: bytes) -> tuple[Tensor, int]:
    """The sound [C, N] and the rate in Hz of a file that was sent.

    Raises:
        ValueError: it is no sound.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(content)
        try:
            return read_audio(path, mono=False)
        except ValueError as error:
            raise ValueError(f"{name} holds no sound that can be read: choose WAV, FLAC, OGG or MP3.") from error


def _download(generator: Streamer) -> str:
    data = base64.b64encode(wav_bytes(generator.audio, generator.model.sample_rate)).decode()
    name = f"musicgen-edu-seed-{generator.made_with.seed}.wav"
    return (
        f'<a download="{name}" href="data:audio/wav;base64,{data}" style="text-decoration:underline">Download WAV</a>'
    )


def _live(address: str, caption: str = "") -> str:
    label = html.escape(f"While it is being made: {caption}", quote=True)
    return (
        f'<figure style="margin:8px 0;max-width:640px"><figcaption>{label}</figcaption>'
        f'<audio controls autoplay aria-label="{label}" style="width:100%" src="{address}"></audio>'
        "<figcaption>Silent here? Then the kernel runs on another computer: the finished clip appears below."
        "</figcaption></figure>"
    )
