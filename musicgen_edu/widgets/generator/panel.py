"""The generator with controls around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import ipywidgets

from ...musicgen import MusicGen
from ..page import message
from ..panel import Panel, Progress, Worker, control
from .drawing import clip
from .state import DEFAULT, EXAMPLES, LARGEST_GUIDANCE, LARGEST_SEED, Generator, Settings

LABEL, WIDE = 130, "98%"
setting = partial(control, label=LABEL, width=WIDE)


class GeneratorPanel(Panel):
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
        self.worker = Worker(self._work, "make a clip from these settings", LABEL, WIDE)
        self.generate, self.progress, self.status = self.worker.button, self.worker.bar, self.worker.words
        self.stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True)
        self.stop.tooltip = "end after the current step"
        self.note, self.player = ipywidgets.HTML(), ipywidgets.HTML(clip(self.generator))
        self._make_controls(settings, model.max_seconds)
        super().__init__(self.generator, self._rows(), 700)
        self._connect()
        self._show()
        self._tell()

    def _make_controls(self, settings: Settings, longest: float) -> None:
        options = [("choose one", ""), *((text, text) for text in EXAMPLES)]
        self.example = setting(ipywidgets.Dropdown, "Example prompts", "", options=options)
        self.prompt = setting(ipywidgets.Text, "Prompt", settings.prompt, placeholder="describe some music")
        slider = partial(setting, ipywidgets.FloatSlider, step=0.5, readout_format=".1f")
        self.seconds = slider("Length (s)", settings.seconds, min=1, max=int(longest))
        self.guidance_scale = slider("Guidance", settings.guidance_scale, min=0, max=LARGEST_GUIDANCE)
        self.seed = control(ipywidgets.BoundedIntText, "Seed", settings.seed, LABEL, "240px", min=0, max=LARGEST_SEED)

    def _rows(self) -> Sequence[ipywidgets.Widget]:
        controls = [self.example, self.prompt, self.seconds, self.guidance_scale, self.seed, self.note]
        return [*controls, in_a_row(self.generate, self.stop), self.progress, self.status, self.player]

    def _connect(self) -> None:
        self.example.observe(self._use_example, "value")
        for name in asdict(self.generator.settings):
            self._listen(getattr(self, name), partial(self._choose, name))
        self.generate.on_click(lambda _: self.start())
        self.stop.on_click(lambda _: self.generator.stop())

    def _use_example(self, change: dict) -> None:
        if change["new"]:
            self.prompt.value = change["new"]

    def _choose(self, name: str, value: str | float | int) -> None:
        self.generator.set(**{name: value})
        if name == "prompt" and value != self.example.value:
            self.example.value = ""

    def _show(self, error: str = "") -> None:
        self.note.value = message(error or self.generator.cost(), bool(error), LABEL + 4)

    def start(self) -> None:
        """What the Generate button does: generate in the background; nothing if that is under way."""
        if not self.worker.busy:
            self.stop.disabled = False
            self.worker.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until a generation that was started has ended, at most `timeout` seconds."""
        self.worker.wait(timeout)

    def _work(self, progress: Progress) -> None:
        try:
            if self.generator.run(progress):
                self.player.value = clip(self.generator)
        finally:
            self.stop.disabled = True
            self._tell()

    def _tell(self) -> None:
        self.worker.say(self.generator.message, self.generator.status == "error")


def in_a_row(*buttons: ipywidgets.Button) -> ipywidgets.HBox:
    """Buttons side by side, below the controls."""
    return ipywidgets.HBox(buttons, layout={"margin": f"4px 0 4px {LABEL + 2}px"})
