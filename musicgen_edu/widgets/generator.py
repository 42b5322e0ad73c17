"""A panel that turns a prompt into sound (lesson 00).

`Generator` holds the settings, the work and its outcome, and knows nothing of drawing; `GeneratorPanel` draws one
with ipywidgets; `still` draws one as plain HTML, for where no kernel runs.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import ipywidgets

from ..errors import Stopped
from ..figures.players import player_html

if TYPE_CHECKING:
    from torch import Tensor

    from ..musicgen import MusicGen

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
            return _sentence(error)
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
            self.status, self.message = "error", _sentence(error)
            return False
        self.audio, self.made_with = audio[0].cpu(), settings
        self.status, self.message = "done", f"Done: {settings}."
        return True

    def _make(self, wanted: dict, report: Callable[[int, int], None]) -> Tensor:
        return self.model.generate([wanted.pop("prompt")], **wanted, progress=report)

    def text(self) -> str:
        """The state in words, one line each: settings, status, clip."""
        seconds = 0 if self.audio is None else self.audio.shape[-1] / self.model.sample_rate
        return "\n".join(
            [
                f"settings: {self.settings}",
                f"status:   {self.status}: {self.message}",
                f"clip:     {f'{seconds:.1f} s of {self.made_with}' if self.made_with else 'none yet'}",
            ]
        )


def _sentence(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    text = text.splitlines()[0]
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


class GeneratorPanel:
    """A `Generator` with controls, progress, player and spectrogram.

    Generation runs in a thread, so that Stop is heard and every control stays alive meanwhile; what is set while a
    clip is being made counts for the next one.

    Args:
        model: what generates.
        settings: what to start from.
    """

    kind = Generator

    def __init__(self, model: MusicGen, settings: Settings = DEFAULT):
        self.generator = self.kind(model, settings)
        self._thread: threading.Thread | None = None
        self._make_controls(settings, model.max_seconds)
        self.note = ipywidgets.HTML()
        self.status = ipywidgets.HTML()
        self.progress = ipywidgets.IntProgress(min=0, max=1, description="Progress", style=_LABEL, layout=_WIDE)
        self.player = ipywidgets.HTML(_placeholder())
        buttons = ipywidgets.HBox([self.generate, self.stop], layout={"margin": "4px 0 4px 132px"})
        rows = [self.example, self.prompt, self.seconds, self.guidance_scale, self.seed, self.note, buttons]
        self.view = ipywidgets.VBox([*rows, self.progress, self.status, self.player], layout={"max_width": "700px"})
        self._connect()
        self._show_note()
        self._show_status()

    def _make_controls(self, settings: Settings, longest: float) -> None:
        common = {"style": _LABEL, "layout": _WIDE}
        options = [("choose one", ""), *((text, text) for text in EXAMPLES)]
        self.example = ipywidgets.Dropdown(options=options, value="", description="Example prompts", **common)
        self.prompt = ipywidgets.Text(
            settings.prompt, description="Prompt", placeholder="describe some music", **common
        )
        self.seconds = ipywidgets.FloatSlider(
            settings.seconds,
            min=1,
            max=int(longest),
            step=0.5,
            description="Length (s)",
            readout_format=".1f",
            **common,
        )
        self.guidance_scale = ipywidgets.FloatSlider(
            settings.guidance_scale,
            min=0,
            max=LARGEST_GUIDANCE,
            step=0.5,
            description="Guidance",
            readout_format=".1f",
            **common,
        )
        self.seed = ipywidgets.BoundedIntText(
            settings.seed, min=0, max=LARGEST_SEED, description="Seed", style=_LABEL, layout={"width": "240px"}
        )
        self.generate = ipywidgets.Button(description="Generate", button_style="primary", icon="play")
        self.stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True)
        self.generate.tooltip, self.stop.tooltip = "make a clip from these settings", "end after the current step"

    def _connect(self) -> None:
        self.example.observe(self._use_example, "value")
        for name in asdict(self.generator.settings):
            getattr(self, name).observe(self._use_setting(name), "value")
        self.generate.on_click(lambda _: self.start())
        self.stop.on_click(lambda _: self.generator.stop())

    def _use_example(self, change: dict) -> None:
        if change["new"]:
            self.prompt.value = change["new"]

    def _use_setting(self, name: str) -> Callable[[dict], None]:
        def use(change: dict) -> None:
            self.generator.set(**{name: change["new"]})
            if name == "prompt" and change["new"] != self.example.value:
                self.example.value = ""
            self._show_note()

        return use

    def start(self) -> None:
        """What the Generate button does: generate in the background; nothing if that is under way."""
        if self._thread and self._thread.is_alive():
            return
        self.generate.disabled, self.stop.disabled = True, False
        self.progress.value = 0
        self.status.value = _line("Generating.", margin=True)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until a generation that was started has ended, at most `timeout` seconds."""
        if self._thread:
            self._thread.join(timeout)

    def _work(self) -> None:
        try:
            if self.generator.run(self._show_progress):
                self.player.value = _clip_html(self.generator)
        finally:
            self.generate.disabled, self.stop.disabled = False, True
            self._show_status()

    def _show_progress(self, done: int, total: int) -> None:
        # A message to the page for each step would cost more than the step.
        if done == total or done % max(1, total // 50) == 0:
            self.progress.max, self.progress.value = total, done
            self.status.value = _line(f"Generating: step {done} of {total}.", margin=True)

    def _show_note(self) -> None:
        self.note.value = _line(self.generator.cost(), margin=True)

    def _show_status(self) -> None:
        self.status.value = _line(self.generator.message, strong=self.generator.status == "error", margin=True)

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self.generator.text()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"GeneratorPanel\n{self.state_text()}"


_LABEL = {"description_width": "130px"}
_WIDE = {"width": "98%"}


def _line(text: str, strong: bool = False, margin: bool = False) -> str:
    # An error is told by a word and a frame, not by colour alone.
    text = html.escape(text)
    if strong:
        frame = f"border:2px solid currentColor;padding:4px 8px;margin:4px 0 4px {134 if margin else 0}px"
        return f'<div role="alert" style="{frame}"><b>Error.</b> {text}</div>'
    return f'<div role="status" style="{"margin-left:134px;" if margin else ""}line-height:1.5">{text}</div>'


def _placeholder() -> str:
    return '<div style="border:1px dashed currentColor;padding:24px;text-align:center">The player appears here.</div>'


def _clip_html(generator: Generator) -> str:
    return player_html(generator.audio, generator.model.sample_rate, str(generator.made_with))


def still(generator: Generator) -> object:
    """A generator's settings and its last clip as plain HTML that needs no kernel and no JavaScript."""
    from IPython.display import HTML

    rows = "".join(
        f'<tr><th style="text-align:right;padding:2px 10px">{name}</th>'
        f'<td style="text-align:left;padding:2px 10px">{html.escape(value)}</td></tr>'
        for name, value in generator.settings.shown().items()
    )
    clip = _placeholder() if generator.audio is None else _clip_html(generator)
    return HTML(
        "<details><summary>A still picture of the panel, for where no kernel runs</summary>"
        f"<table>{rows}</table>{clip}</details>"
    )
