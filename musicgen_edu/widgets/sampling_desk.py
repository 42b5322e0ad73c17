"""A desk to try out how a token is drawn, and to hear what that makes of a clip (lesson 08).

`Desk` holds the state and knows nothing of drawing; `sampling_desk_drawing.picture` draws one as SVG; `SamplingDesk`
puts controls around it; `still` is for where no kernel runs.
"""

from __future__ import annotations

import bisect
import threading

import ipywidgets

from ..model.sampling import GUIDANCE_SPACES
from .generator import EXAMPLES, LARGEST_SEED
from .sampling_desk_choice import AXES, Clip, compare
from .sampling_desk_drawing import clip_html, message, picture, words
from .sampling_desk_state import EMPTY, Desk

__all__ = ["EXAMPLES", "Desk", "SamplingDesk", "still"]

LARGEST_SCALE, LARGEST_TEMPERATURE = 8.0, 2.0
TOP_K = (1, 2, 3, 5, 10, 20, 50, 100, 250, 500, 1000)  # and all
TOP_P = (*(i / 20 for i in range(1, 20)), 0.99)  # and all
_LABEL = {"description_width": "120px"}
_HALF, _WRAP = {"width": "404px"}, {"flex_flow": "row wrap"}  # two halves fit a cell of JupyterLab


class SamplingDesk:
    """A `Desk` with controls, picture, figures, a Generate button, and two players side by side.

    A clip is generated in a thread, so every control stays alive meanwhile; what is moved while a clip is being made
    counts for the next one.

    Args:
        desk: what to show.
    """

    def __init__(self, desk: Desk):
        self.desk = desk
        self._thread: threading.Thread | None = None
        self._quiet = False
        self._make_controls()
        self._make_clip_controls()
        self.picture, self.words, self.note = (ipywidgets.HTML() for _ in range(3))
        lines = (
            (self.example, self.caption),
            (self.frame, self.codebook),
            (self.space, self.scale, self.gamma),
            (self.temperature, self.seed),
            (self.top_k, self.top_p),
            (self.axis,),
        )
        rows = [ipywidgets.HBox(line, layout=_WRAP) for line in lines]
        below = [ipywidgets.HBox([self.generate, self.progress], layout=_WRAP), self.status, self._clips]
        self.view = ipywidgets.VBox([*rows, self.note, self.picture, self.words, *below], layout={"max_width": "960px"})
        self._connect()
        self._show()
        self._show_clips()
        self._show_status()

    def _make_controls(self) -> None:
        c, desk = self.desk.choice, self.desk
        options = [("choose one", ""), *((text, text) for text in EXAMPLES)]
        self.example = ipywidgets.Dropdown(options=options, description="Example captions", style=_LABEL, layout=_HALF)
        self.caption = ipywidgets.Text(
            c.caption, description="Caption", continuous_update=False, placeholder="describe some music", style=_LABEL,
            layout=_HALF,
        )  # fmt: skip
        self.frame = _slider("Frame", c.frame, desk.frames - 1, 1)
        self.codebook = _slider("Codebook", c.codebook, desk.codebooks - 1, 1)
        mixes = ["unconditional + scale (conditional - unconditional)", "gamma conditional + (1 - gamma) unconditional"]
        self.space = _switch("Guidance in", c.space, GUIDANCE_SPACES, tooltips=mixes)
        self.scale = _slider("Guidance scale", c.scale, LARGEST_SCALE, 0.25)
        self.gamma = _slider("Gamma", c.gamma, 1.0, 0.05)
        self.temperature = _slider("Temperature", c.temperature, LARGEST_TEMPERATURE, 0.05)
        self.top_k = _steps("Top-k", c.top_k, [k for k in TOP_K if k < desk.V])
        self.top_p = _steps("Top-p", c.top_p, TOP_P)
        self.axis = _switch("Bars show", c.axis, AXES)
        self.seed = ipywidgets.BoundedIntText(
            c.seed, min=0, max=LARGEST_SEED, description="Seed", style=_LABEL, layout={"width": "240px"}
        )

    def _make_clip_controls(self) -> None:
        self.generate = ipywidgets.Button(description="Generate", button_style="primary", icon="play")
        self.generate.tooltip = f"make {self.desk.seconds:g} s with these settings"
        self.progress = ipywidgets.IntProgress(min=0, max=1, description="Progress", style=_LABEL, layout=_HALF)
        self.status, self.difference = ipywidgets.HTML(), ipywidgets.HTML()
        places, self._players = [], [ipywidgets.HTML(layout=dict(_HALF)) for _ in range(2)]
        self.first = ipywidgets.Dropdown(description="A", style={"description_width": "20px"}, layout=_HALF)
        self.second = ipywidgets.Dropdown(description="B", style={"description_width": "20px"}, layout=_HALF)
        for menu, player in zip((self.first, self.second), self._players, strict=True):
            places.append(ipywidgets.VBox([menu, player], layout={"width": "408px"}))
        self._clips = ipywidgets.VBox([ipywidgets.HBox(places, layout=_WRAP), self.difference])

    def _connect(self) -> None:
        self._controls = {name: getattr(self, name) for name in _CHOICES}
        for name, control in self._controls.items():
            control.observe(lambda change, name=name: self._move(name, change["new"]), "value")
        self.example.observe(self._use_example, "value")
        self.generate.on_click(lambda _: self.start())
        for menu in (self.first, self.second):
            menu.observe(lambda _: self._show_players(), "value")

    def _use_example(self, change: dict) -> None:
        if change["new"]:
            self.caption.value = change["new"]

    def _move(self, name: str, value: float | int | str) -> None:
        if name == "caption":
            self.note.value = message("The model reads the caption.")
            if not self.generate.disabled:
                self._show_status()  # a caption is there again
        sentence = "" if self.caption.value.strip() else EMPTY
        try:
            self.desk.move(**{name: value})
        except ValueError as error:
            sentence = str(error)
        if name == "caption" and value != self.example.value:
            self.example.value = ""
        self._show(sentence)

    def _show(self, error: str = "") -> None:
        in_logits = self.desk.choice.space == "logits"
        self.scale.layout.display = None if in_logits else "none"
        self.gamma.layout.display = "none" if in_logits else None
        self.note.value = message(error, error=True) if error else ""
        self.picture.value = picture(self.desk)
        self.words.value = words(self.desk)

    def start(self) -> None:
        """What the Generate button does: generate in the background; nothing if that is under way."""
        if self._thread and self._thread.is_alive():
            return
        if not self.caption.value.strip():
            self.status.value = message(EMPTY, error=True)
            return
        self.generate.disabled, self.progress.value = True, 0
        self.status.value = message("Generating.")
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until a generation that was started has ended, at most `timeout` seconds."""
        if self._thread:
            self._thread.join(timeout)

    def _work(self) -> None:
        try:
            if self.desk.generate(self._show_progress):
                self._show_clips()
        finally:
            self.generate.disabled = False
            self._show_status()

    def _show_status(self) -> None:
        self.status.value = message(self.desk.message, error=self.desk.status == "error")

    def _show_progress(self, done: int, total: int) -> None:
        # A message to the page for each step would cost more than the step.
        if done == total or done % max(1, total // 50) == 0:
            self.progress.max, self.progress.value = total, done

    def _show_clips(self) -> None:
        """Offer the last clips, the newest as B and the one before it as A."""
        clips = self.desk.clips
        options = [(f"{clip.number}: {clip.made_with}", clip.number) for clip in clips]
        self._quiet = True
        try:
            for menu, back in ((self.first, 2), (self.second, 1)):
                menu.options = options or [("none yet", 0)]
                menu.value = clips[-back].number if len(clips) >= back else menu.options[0][1]
        finally:
            self._quiet = False
        self._show_players()

    def _show_players(self) -> None:
        if self._quiet:
            return
        chosen = [self._clip(menu.value) for menu in (self.first, self.second)]
        for player, clip, letter in zip(self._players, chosen, "AB", strict=True):
            player.value = clip_html(clip, letter)
        self.difference.value = message(compare(*chosen)) if all(chosen) else ""

    def _clip(self, number: int | None) -> Clip | None:
        return next((clip for clip in self.desk.clips if clip.number == number), None)

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self.desk.text()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"SamplingDesk\n{self.state_text()}"


_CHOICES = ("caption", "frame", "codebook", "space", "scale", "gamma", "temperature", "top_k", "top_p", "seed", "axis")


def _slider(name: str, value: float, most: float, step: float) -> ipywidgets.IntSlider | ipywidgets.FloatSlider:
    common = {"value": value, "min": 0, "max": max(most, value), "step": step, "description": name, "style": _LABEL}
    kind = ipywidgets.IntSlider if step == 1 else ipywidgets.FloatSlider
    return kind(**common, layout=dict(_HALF))


def _switch(name: str, value: str, options: tuple[str, ...], **more: object) -> ipywidgets.ToggleButtons:
    style = _LABEL | {"button_width": "120px"}
    row = {"display": "flex", "flex_flow": "row"}  # else the name stands above its buttons
    return ipywidgets.ToggleButtons(
        options=options, value=value, description=name, style=style, layout=_HALF | row, **more
    )


def _steps(name: str, value: float, places: list[float]) -> ipywidgets.SelectionSlider:
    """A slider over a few values; the last place is 0, which switches the filter off and so keeps all tokens."""
    places = list(places)
    if value and value not in places:
        bisect.insort(places, value)
    options = [*((f"{place:g}", place) for place in places), ("all", 0)]
    return ipywidgets.SelectionSlider(options=options, value=value, description=name, style=_LABEL, layout=_HALF)


def still(desk: Desk) -> object:
    """The state as plain HTML that needs no kernel and no JavaScript: settings, picture, figures and the last clips."""
    from IPython.display import HTML

    clips = "".join(clip.player for clip in desk.clips[-2:])
    chosen = "".join(message(line) for line in desk.text().splitlines())
    return HTML(
        "<details><summary>A still picture of the desk, for where no kernel runs</summary>"
        f"{chosen}{picture(desk)}{words(desk)}{clips}</details>"
    )
