"""What the pattern explorer shows: what is chosen, and all that follows from it by the tables `step[k, t]`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from torch import Tensor

from ...model.patterns import PATTERNS, check_table, known_codes, num_steps, pattern_table
from .sound import PatternSound

FOUR = ("parallel", "flattening", "coarse-first", "delay")
VIEWS = ("all four", "two closely")
MOST_CODEBOOKS, FEWEST_FRAMES, MOST_FRAMES = 8, 2, 24
FRAME_RATE = 50.0  # Hz: the codec's
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
        self._check_choice(new)
        tables = {name: self._table(name, new.K, new.T) for name in {*_shown(new), new.heard}}
        limits = {"now": max(num_steps(tables[name]) for name in _shown(new)), "k": new.K - 1, "t": new.T - 1}
        for name, most in limits.items():
            if name in changes and getattr(new, name) not in range(most + 1):
                raise ValueError(f"{name} must be 0 to {most}, not {getattr(new, name)}")
        new = replace(new, **{name: min(getattr(new, name), most) for name, most in limits.items()})
        self.choice, self.tables, self.last = new, tables, limits["now"]

    def _check_choice(self, new: Choice) -> None:
        """Sizes, view and names; a `ValueError` says what there is."""
        for name, least, most in (("K", 1, MOST_CODEBOOKS), ("T", FEWEST_FRAMES, MOST_FRAMES)):
            if getattr(new, name) not in range(least, most + 1):
                raise ValueError(f"{name} must be {least} to {most}, not {getattr(new, name)}")
        if new.view not in VIEWS:
            raise ValueError(f"the view must be one of {', '.join(VIEWS)}, not {new.view!r}")
        for name in ("first", "second", "heard"):
            if getattr(new, name) not in self.names:
                raise ValueError(f"unknown pattern {getattr(new, name)!r}: expected one of {', '.join(self.names)}")

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

    def in_words(self) -> str:
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
        c = self.choice
        if self.sound is None:
            return "none, no codec was given"
        if not self.audible:
            return f"none, the codec has only {self.sound.num_codebooks} codebooks"
        counts = self.sound.counts(self.known(c.heard))
        whole, begun = int((counts == c.K).sum()), int((counts > 0).sum())
        return f"{c.heard} before step {c.now}: {whole} of {c.T} frames whole, {begun - whole} begun"

    @property
    def audible(self) -> bool:
        """Whether there is a codec with enough codebooks."""
        return self.sound is not None and self.sound.num_codebooks >= self.choice.K


def _shown(choice: Choice) -> tuple[str, ...]:
    return FOUR if choice.view == VIEWS[0] else (choice.first, choice.second)


def first_frame_steps(step: Tensor) -> int:
    """After how many steps all codes of frame 0 are there."""
    return int(step[:, 0].max()) + 1


def attention_cost(step: Tensor) -> float:
    """Work of self-attention, relative to one step a frame: step s looks at s + 1 columns, S(S + 1) / 2 in all."""
    S, T = num_steps(step), step.shape[1]
    return S * (S + 1) / (T * (T + 1))
