"""The sampling desk with controls around it."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import ipywidgets

from ...model.settings import GUIDANCE_SPACES
from ..generator.state import EXAMPLES, LARGEST_SEED
from ..page import message
from ..panel import Panel, Progress, Worker, control, switch
from .choice import AXES, Clip, compare
from .drawing import picture, place, words
from .state import EMPTY, Desk

LARGEST_SCALE, LARGEST_TEMPERATURE = 8.0, 2.0
TOP_K = (1, 2, 3, 5, 10, 20, 50, 100, 250, 500, 1000)  # and all
TOP_P = (*(i / 20 for i in range(1, 20)), 0.99)  # and all
LABEL, HALF = 120, "404px"  # two halves fit a cell of JupyterLab
half = partial(control, label=LABEL, width=HALF)


class SamplingDesk(Panel):
    """A `Desk` with controls, picture, figures, a Generate button, and two players side by side.

    A clip is generated in a thread, so every control stays alive meanwhile; what is moved while a clip is being made
    counts for the next one.

    Args:
        desk: what to show.
    """

    def __init__(self, desk: Desk):
        self.desk = desk
        self.worker = Worker(self._work, f"make {desk.seconds:g} s with these settings", LABEL, HALF)
        self.generate, self.progress, self.status = self.worker.button, self.worker.bar, self.worker.words
        self._make_controls()
        self.picture, self.words, self.note, self.difference = (ipywidgets.HTML() for _ in range(4))
        lines = (
            (self.example, self.caption),
            (self.frame, self.codebook),
            (self.space, self.scale, self.gamma),
            (self.temperature, self.seed),
            (self.top_k, self.top_p),
            (self.axis,),
        )
        rows = [_row(*line) for line in lines]
        below = [_row(self.generate, self.progress), self.status, self._make_places(), self.difference]
        super().__init__(desk, [*rows, self.note, self.picture, self.words, *below], 960)
        self._connect()
        self._show()
        self._show_clips()
        self._tell()

    def _make_controls(self) -> None:
        c, desk = self.desk.choice, self.desk
        options = [("choose one", ""), *((text, text) for text in EXAMPLES)]
        self.example = half(ipywidgets.Dropdown, "Example captions", "", options=options)
        late = {"continuous_update": False, "placeholder": "describe some music"}
        self.caption = half(ipywidgets.Text, "Caption", c.caption, **late)
        self.frame = half(ipywidgets.IntSlider, "Frame", c.frame, min=0, max=desk.frames - 1)
        self.codebook = half(ipywidgets.IntSlider, "Codebook", c.codebook, min=0, max=desk.codebooks - 1)
        mixes = ["unconditional + scale (conditional - unconditional)", "gamma conditional + (1 - gamma) unconditional"]
        self.space = switch("Guidance in", c.space, GUIDANCE_SPACES, LABEL, 120, tooltips=mixes)
        self.scale = _slider("Guidance scale", c.scale, LARGEST_SCALE, 0.25)
        self.gamma = _slider("Gamma", c.gamma, 1.0, 0.05)
        self.temperature = _slider("Temperature", c.temperature, LARGEST_TEMPERATURE, 0.05)
        self.top_k = _steps("Top-k", c.top_k, [k for k in TOP_K if k < desk.V])
        self.top_p = _steps("Top-p", c.top_p, TOP_P)
        self.axis = switch("Bars show", c.axis, AXES, LABEL, 120)
        self.seed = control(ipywidgets.BoundedIntText, "Seed", c.seed, LABEL, "240px", min=0, max=LARGEST_SEED)

    def _make_places(self) -> ipywidgets.HBox:
        """Two menus of clips side by side, each with its player below."""
        self.first, self.second = (control(ipywidgets.Dropdown, letter, None, 20, HALF) for letter in "AB")
        self._players = [ipywidgets.HTML(layout={"width": HALF}) for _ in range(2)]
        pairs = zip((self.first, self.second), self._players, strict=True)
        return _row(*(ipywidgets.VBox(pair, layout={"width": "408px"}) for pair in pairs))

    def _connect(self) -> None:
        for name in asdict(self.desk.choice):
            self._listen(getattr(self, name), partial(self._choose, name))
        self.example.observe(self._use_example, "value")
        self.generate.on_click(lambda _: self.start())
        for menu in (self.first, self.second):
            menu.observe(lambda _: self._show_players(), "value")

    def _use_example(self, change: dict) -> None:
        if change["new"]:
            self.caption.value = change["new"]

    def _choose(self, name: str, value: float | int | str) -> None:
        if name == "caption":
            self.note.value = message("The model reads the caption.")
            if not self.worker.busy:
                self._tell()  # a caption is there again
            if value != self.example.value:
                self.example.value = ""
        self.desk.move(**{name: value})

    def _show(self, error: str = "") -> None:
        in_logits = self.desk.choice.space == "logits"
        self.scale.layout.display = None if in_logits else "none"
        self.gamma.layout.display = "none" if in_logits else None
        error = error or ("" if self.caption.value.strip() else EMPTY)
        self.note.value = message(error, error=True) if error else ""
        self.picture.value, self.words.value = picture(self.desk), words(self.desk)

    def start(self) -> None:
        """What the Generate button does: generate in the background; nothing if that is under way."""
        if self.caption.value.strip():
            self.worker.start()
        elif not self.worker.busy:
            self.worker.say(EMPTY, error=True)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until a generation that was started has ended, at most `timeout` seconds."""
        self.worker.wait(timeout)

    def _work(self, progress: Progress) -> None:
        try:
            if self.desk.generate(progress):
                self._show_clips()
        finally:
            self._tell()

    def _tell(self) -> None:
        self.worker.say(self.desk.message, self.desk.status == "error")

    def _show_clips(self) -> None:
        """Offer the last clips, the newest as B and the one before it as A."""
        clips = self.desk.clips
        options = [(f"{clip.number}: {clip.made_with}", clip.number) for clip in clips]
        with self._setting():
            for menu, back in ((self.first, 2), (self.second, 1)):
                menu.options = options or [("none yet", 0)]
                menu.value = clips[-back].number if len(clips) >= back else menu.options[0][1]
        self._show_players()

    def _show_players(self) -> None:
        if self._is_setting:
            return
        chosen = [self._clip(menu.value) for menu in (self.first, self.second)]
        for player, clip, letter in zip(self._players, chosen, "AB", strict=True):
            player.value = place(clip, letter)
        self.difference.value = message(compare(*chosen)) if all(chosen) else ""

    def _clip(self, number: int | None) -> Clip | None:
        return next((clip for clip in self.desk.clips if clip.number == number), None)


def _row(*widgets: ipywidgets.Widget) -> ipywidgets.HBox:
    return ipywidgets.HBox(widgets, layout={"flex_flow": "row wrap"})


def _slider(name: str, value: float, most: float, step: float) -> ipywidgets.FloatSlider:
    return half(ipywidgets.FloatSlider, name, value, min=0, max=max(most, value), step=step)


def _steps(name: str, value: float, places: Sequence[float]) -> ipywidgets.SelectionSlider:
    """A slider over a few values; the last place is 0, which switches the filter off and so keeps all tokens."""
    places = list(places)
    if value and value not in places:
        bisect.insort(places, value)
    return half(
        ipywidgets.SelectionSlider, name, value, options=[*((f"{place:g}", place) for place in places), ("all", 0)]
    )
