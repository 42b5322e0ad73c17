"""Four interleaving patterns side by side, step by step (lesson 05).

`Exploration` holds what is chosen and reads everything else off the tables `step[k, t]` of of `model.patterns`; it
knows nothing of drawing. `pattern_drawing.picture` draws one, `pattern_sound.PatternSound` lets it be heard,
`PatternExplorer` puts controls around it, and `still` is for where no kernel runs.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import ipywidgets
from torch import Tensor

from ..model.patterns import PATTERNS, check_table, known_codes, num_steps, pattern_table
from .pattern_drawing import picture, words

if TYPE_CHECKING:
    from .pattern_sound import PatternSound

FOUR = ("parallel", "flattening", "coarse-first", "delay")
VIEWS = ("all four", "two closely")
MOST_CODEBOOKS, FEWEST_FRAMES, MOST_FRAMES = 8, 2, 24
FRAME_RATE = 50.0  # Hz: the codec's
PAUSE = 0.25  # seconds without a move after which the player is renewed
Maker = Callable[[int, int], Tensor]


@dataclass(frozen=True)
class Choice:
    """What is chosen: the sizes, the moment, a code to look at, which patterns are shown, and which one is heard."""

    K: int = 4
    T: int = 12
    now: int = 5  # the step that is being done
    k: int = 1
    t: int = 3
    view: str = VIEWS[0]
    first: str = "parallel"
    second: str = "delay"
    heard: str = "delay"


class Exploration:
    """A choice, and what follows from it.

    Args:
        own: patterns of your own by name: functions of (K, T) that return a table, int64 [K, T].
        sound: decodes what is known; None leaves the sound out.
        choice: fields of `Choice` to start with.

    Raises:
        ValueError: a choice that cannot be made.
    """

    def __init__(self, own: dict[str, Maker] | None = None, sound: PatternSound | None = None, **choice: int | str):
        self.own, self.sound = dict(own or {}), sound
        self.names = (*PATTERNS, *self.own)
        self.choice = Choice()
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"a pattern of your own needs a name of its own, not one of {', '.join(PATTERNS)}")
        self.move(**choice)

    def move(self, **changes: int | str) -> None:
        """Change what is chosen. When sizes shrink, the moment and the code looked at stay inside.

        Raises:
            ValueError: with one sentence; nothing has changed then.
        """
        unknown = set(changes) - {field.name for field in fields(Choice)}
        if unknown:
            raise ValueError(f"there is nothing called {', '.join(sorted(unknown))} to choose")
        new = replace(self.choice, **changes)
        for name, least, most in (("K", 1, MOST_CODEBOOKS), ("T", FEWEST_FRAMES, MOST_FRAMES)):
            if getattr(new, name) not in range(least, most + 1):
                raise ValueError(f"{name} must be {least} to {most}, not {getattr(new, name)}")
        if new.view not in VIEWS:
            raise ValueError(f"the view must be one of {', '.join(VIEWS)}, not {new.view!r}")
        for name in ("first", "second", "heard"):
            if getattr(new, name) not in self.names:
                raise ValueError(f"unknown pattern {getattr(new, name)!r}: expected one of {', '.join(self.names)}")
        tables = {name: self._table(name, new.K, new.T) for name in {*_shown(new), new.heard}}
        limits = {"now": max(num_steps(tables[name]) for name in _shown(new)), "k": new.K - 1, "t": new.T - 1}
        for name, most in limits.items():
            if name in changes and getattr(new, name) not in range(most + 1):
                raise ValueError(f"{name} must be 0 to {most}, not {getattr(new, name)}")
        new = replace(new, **{name: min(getattr(new, name), most) for name, most in limits.items()})
        self.choice, self.tables, self.last = new, tables, limits["now"]

    def _table(self, name: str, K: int, T: int) -> Tensor:
        if name not in self.own:
            return pattern_table(name, K, T)
        step = check_table(self.own[name](K, T))
        if tuple(step.shape) != (K, T):
            raise ValueError(f"{name} gives a table {list(step.shape)} for K = {K} and T = {T}")
        return step

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of the patterns in the picture."""
        return _shown(self.choice)

    def known(self, name: str) -> Tensor:
        """Which codes have been written before this step, bool [K, T]."""
        return self.tables[name] < self.choice.now

    def written(self, name: str) -> Tensor:
        """Which codes are predicted in this step, bool [K, T]."""
        return self.tables[name] == self.choice.now

    def seen(self, name: str) -> Tensor:
        """Which codes the chosen one may be predicted from, bool [K, T]."""
        return known_codes(self.tables[name], self.choice.k, self.choice.t)

    def facts(self, name: str) -> str:
        """One line: steps, latency, cost."""
        step = self.tables[name]
        S, first = num_steps(step), first_frame_steps(step)
        done = min(self.choice.now, S)
        return (
            f"{done} of {S} steps done; first whole frame after {first} step{'' if first == 1 else 's'} "
            f"= {1000 * first / FRAME_RATE:g} ms; attention x{attention_cost(step):.1f}"
        )

    def glance(self, name: str) -> str:
        """One line: how many codes are known, and what the chosen one may see."""
        known, written, seen = (int(f(name).sum()) for f in (self.known, self.written, self.seen))
        total = self.tables[name].numel()
        return (
            f"{known} codes known, {written} predicted now, {total - known - written} to come; "
            f"the chosen code may see {seen} and must ignore {total - 1 - seen}"
        )

    def text(self) -> str:
        """The whole state in words and letters.

        Left K known, N predicted now, . to come; right * the chosen code, o may be seen, x must be ignored.
        """
        c = self.choice
        lines = [f"K = {c.K}, T = {c.T}, step {c.now} of {self.last}, chosen: codebook {c.k}, frame {c.t}"]
        for name in self.shown:
            lines += [f"{name}: {self.facts(name)}", f"  {self.glance(name)}"]
            state = 2 * self.known(name).int() + self.written(name).int()  # [K, T]
            sight = self.seen(name).int()
            sight[c.k, c.t] = 2
            for left, right in zip(state.tolist(), sight.tolist(), strict=True):
                lines.append(f"    {''.join('.NK'[i] for i in left)}   {''.join('xo*'[i] for i in right)}")
        return "\n".join([*lines, f"sound: {self.listening()}"])

    def listening(self) -> str:
        """One line on what is heard."""
        if self.sound is None:
            return "none, no codec was given"
        c, most = self.choice, self.sound.num_codebooks
        if most < c.K:
            return f"none, the codec has only {most} codebooks"
        counts = self.sound.counts(self.known(c.heard))
        whole, begun = int((counts == c.K).sum()), int((counts > 0).sum())
        return f"{c.heard} before step {c.now}: {whole} of {c.T} frames whole, {begun - whole} begun"

    def player(self) -> str:
        """What is known by now as sound, HTML; empty where there is nothing to hear."""
        if self.sound is None or self.sound.num_codebooks < self.choice.K:
            return ""
        return self.sound.player(self.known(self.choice.heard), self.listening())


def _shown(choice: Choice) -> tuple[str, ...]:
    return FOUR if choice.view == VIEWS[0] else (choice.first, choice.second)


def first_frame_steps(step: Tensor) -> int:
    """After how many steps all codes of frame 0 are there."""
    return int(step[:, 0].max()) + 1


def attention_cost(step: Tensor) -> float:
    """Work of self-attention, relative to one step a frame: step s looks at s + 1 columns, S(S + 1) / 2 in all."""
    S, T = num_steps(step), step.shape[1]
    return S * (S + 1) / (T * (T + 1))


# ---- the panel ---------------------------------------------------------------------------------------------------


class PatternExplorer:
    """An `Exploration` with sliders, a play button, picture, words and player; the arguments are the same."""

    def __init__(self, own: dict[str, Maker] | None = None, sound: PatternSound | None = None, **choice: int | str):
        self.exploration = Exploration(own, sound, **choice)
        self._quiet, self._pending = False, None
        self._make_controls()
        self.picture, self.words, self.player = (ipywidgets.HTML() for _ in range(3))
        lines = ((self.view_as, self.first, self.second), (self.K, self.T), (self.now, self.play), (self.k, self.t))
        self._lines = [ipywidgets.HBox(line, layout=_WRAP) for line in lines]
        sound_rows = [self.heard, self.player] if sound else []
        rows = [*self._lines, self.picture, self.words, *sound_rows]
        self.view = ipywidgets.VBox(rows, layout={"max_width": "960px"})
        self._controls = {name: self.view_as if name == "view" else getattr(self, name) for name in _CHOICES}
        for name, control in (*self._controls.items(), ("now", self.play)):
            self._listen(name, control)
        self._show()

    def _make_controls(self) -> None:
        def slider(name: str, low: int, high: int, value: int) -> ipywidgets.IntSlider:
            return ipywidgets.IntSlider(value, min=low, max=high, description=name, style=_LABEL, layout=_HALF)

        def menu(name: str, value: str) -> ipywidgets.Dropdown:
            names = self.exploration.names
            return ipywidgets.Dropdown(options=names, value=value, description=name, style=_SHORT, layout=_THIRD)

        c, last = self.exploration.choice, self.exploration.last
        self.view_as = ipywidgets.ToggleButtons(options=VIEWS, value=c.view, description="View", style=_BUTTONS)
        self.first, self.second, self.heard = menu("First", c.first), menu("Second", c.second), menu("Listen", c.heard)
        self.K = slider("Codebooks K", 1, MOST_CODEBOOKS, c.K)
        self.T = slider("Frames T", FEWEST_FRAMES, MOST_FRAMES, c.T)
        self.now = slider("Step", 0, last, c.now)
        self.k = slider("Look at codebook", 0, max(1, c.K - 1), c.k)
        self.t = slider("Look at frame", 0, c.T - 1, c.t)
        self.play = ipywidgets.Play(c.now, min=0, max=last, interval=500, description="Play", show_repeat=False)

    def _listen(self, name: str, control: ipywidgets.Widget) -> None:
        control.observe(lambda change: self._move(name, change["new"]), "value")

    def _end_at(self, name: str, most: int) -> None:
        """Give a slider another end. In the page the key End goes to the first one for ever, so it is replaced."""
        old = self._controls[name]
        if old.max == most:
            return
        new = ipywidgets.IntSlider(
            min(old.value, most), min=0, max=most, description=old.description, style=old.style, layout=old.layout
        )
        self._listen(name, new)
        self._controls[name] = new
        setattr(self, name, new)
        for line in self._lines:
            if old in line.children:
                line.children = [new if one is old else one for one in line.children]
        old.close()

    def _move(self, name: str, value: int | str) -> None:
        if self._quiet:
            return
        sentence = ""
        try:
            self.exploration.move(**{name: value})
        except ValueError as error:
            sentence = str(error)
        self._show(sentence)

    def _show(self, error: str = "") -> None:
        exploration, c = self.exploration, self.exploration.choice
        self._quiet = True
        try:
            # A slider of one place would be an error in the page: it keeps two and is switched off.
            for name, most in (("now", exploration.last), ("t", c.T - 1), ("k", max(1, c.K - 1))):
                self._end_at(name, most)
            self.k.disabled, self.first.disabled, self.second.disabled = (
                c.K == 1,
                c.view == VIEWS[0],
                c.view == VIEWS[0],
            )
            for name, control in self._controls.items():
                control.value = getattr(c, name)
            self.play.max = exploration.last
            self.play.value = c.now
        finally:
            self._quiet = False
        self.picture.value = picture(exploration)
        self.words.value = words(exploration, error)
        self._sound_later()

    def _sound_later(self) -> None:
        """The player follows when the moves pause: a tenth of a megabyte with each would hold up the picture."""
        if self._pending:
            self._pending.cancel()
        try:
            self._pending = asyncio.get_running_loop().call_later(PAUSE, self._show_sound)
        except RuntimeError:  # no loop, no page that could be held up
            self._show_sound()

    def _show_sound(self) -> None:
        self.player.value = _sound(self.exploration)

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self.exploration.text()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"PatternExplorer\n{self.state_text()}"


_CHOICES = tuple(field.name for field in fields(Choice))
_LABEL, _SHORT = {"description_width": "125px"}, {"description_width": "60px"}
_BUTTONS = {"description_width": "60px", "button_width": "100px"}
_HALF, _THIRD, _WRAP = {"width": "440px"}, {"width": "240px"}, {"flex_flow": "row wrap"}


def _sound(exploration: Exploration) -> str:
    if exploration.sound is None:
        return ""
    player = exploration.player()
    said = "" if player else f"<div>Sound: {html.escape(exploration.listening())}.</div>"
    return f"{said}{player}<div><small>{html.escape(exploration.sound.note())}</small></div>"


def still(exploration: Exploration) -> object:
    """The state as plain HTML that needs no kernel and no JavaScript."""
    from IPython.display import HTML

    return HTML(
        "<details><summary>A still picture of the panel, for where no kernel runs</summary>"
        f"{picture(exploration)}{words(exploration)}{_sound(exploration)}</details>"
    )
