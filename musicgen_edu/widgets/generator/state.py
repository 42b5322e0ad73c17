"""What the generator panel shows: the settings of a clip, the work, and its outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from ...errors import Stopped
from ...musicgen import MusicGen

EXAMPLES = (
    "a fast happy bell melody, with drums",
    "a slow calm melody on a plucked string",
    "a sad organ piece in D minor, no drums",
    "lively buzzing synth, over a drum machine",
    "a peaceful warm pad tune, without drums",
    "a steady cheerful guitar song in C major, with percussion",
)
LARGEST_SEED = 9999
LARGEST_GUIDANCE = 6.0


@dataclass(frozen=True)
class Settings:
    """What a clip is made from: a text, a length in seconds, the guidance scale and a seed."""

    prompt: str = EXAMPLES[0]
    seconds: float = 4.0
    guidance_scale: float = 3.0
    seed: int = 5

    def __str__(self) -> str:
        return f"“{self.prompt}”, {self.seconds:g} s, guidance {self.guidance_scale:g}, seed {self.seed}"

    def shown(self) -> dict[str, str]:
        """Names and values as a reader sees them."""
        return {
            "Prompt": self.prompt,
            "Length (s)": f"{self.seconds:.1f}",
            "Guidance": f"{self.guidance_scale:.1f}",
            "Seed": str(self.seed),
        }


DEFAULT = Settings()


class Generator:
    """Settings, the work and its outcome.

    Args:
        model: what generates.
        settings: what to start from.

    Attributes:
        settings: of the next clip; changing them starts nothing.
        status: "ready", "generating", "done", "stopped" or "error".
        message: one sentence for the reader.
        steps: (done, total) of the current or last run.
        audio: the last clip that was finished, float32 [C, N], or None; a failed or stopped run leaves it.
        made_with: the settings of that clip.
    """

    def __init__(self, model: MusicGen, settings: Settings = DEFAULT):
        self.model, self.settings = model, settings
        self.status, self.message, self.steps = "ready", "Press Generate.", (0, 0)
        self.audio: Tensor | None = None
        self.made_with: Settings | None = None
        self._stop = threading.Event()

    def set(self, **changes: str | float | int) -> None:
        """Change some of the settings by name."""
        self.settings = replace(self.settings, **changes)

    def stop(self) -> None:
        """Ask a running generation to end after its current step."""
        self._stop.set()

    def cost(self) -> str:
        """One sentence on what the current settings ask of the model."""
        settings, K = self.settings, self.model.lm.config.num_codebooks
        try:
            frames = self.model.frames(settings.seconds)
        except ValueError as error:
            return sentence(error)
        alone = {0: "once, without the text", 1: "once, with the text"}
        passes = alone.get(settings.guidance_scale, "twice, with and without the text")
        steps = frames + K - 1
        return f"{settings.seconds:g} s = {frames} frames, made in {steps} steps. Each step asks the model {passes}."

    def run(self, progress: Callable[[int, int], None] | None = None) -> bool:
        """Generate a clip from the settings; true if it was finished, otherwise `status` and `message` say why not.

        Args:
            progress: called after each step with the steps done and their total.
        """
        settings = self.settings
        self._stop.clear()
        self.status, self.message, self.steps = "generating", "Generating.", (0, 0)

        def report(done: int, total: int) -> None:
            self.steps = (done, total)
            if self._stop.is_set():
                raise Stopped
            if progress:
                progress(done, total)

        try:
            if not settings.prompt.strip():
                raise ValueError("The prompt is empty: write a few words, or choose an example.")
            audio = self._make(asdict(settings), report)
        except Stopped:
            self.status, self.message = "stopped", f"Stopped after {self.steps[0]} of {self.steps[1]} steps."
            return False
        except Exception as error:  # whatever went wrong, the reader gets a sentence and keeps the last clip
            self.status, self.message = "error", sentence(error)
            return False
        self.audio, self.made_with = audio[0].cpu(), settings
        self.status, self.message = "done", f"Done: {settings}."
        return True

    def _make(self, wanted: dict, report: Callable[[int, int], None]) -> Tensor:
        return self.model.generate([wanted.pop("prompt")], **wanted, progress=report)

    def in_words(self) -> str:
        """The state in words, one line each: settings, status, clip."""
        seconds = 0 if self.audio is None else self.audio.shape[-1] / self.model.sample_rate
        return "\n".join(
            [
                f"settings: {self.settings}",
                f"status:   {self.status}: {self.message}",
                f"clip:     {f'{seconds:.1f} s of {self.made_with}' if self.made_with else 'none yet'}",
            ]
        )


def sentence(error: Exception) -> str:
    """What went wrong as one sentence for a reader."""
    text = str(error).strip() or type(error).__name__
    text = text.splitlines()[0]
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
