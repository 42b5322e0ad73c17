"""What the stream player shows: settings, the work, and a sound that can be heard from its first chunk on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...model.audio import read_audio
from ...musicgen import MusicGen
from ..generator import Generator, Settings
from .live_sound import LiveSound


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
