"""See what a head looks at, at each step of a real generation (lesson 06).

`Attending` holds a generation, its attention maps and what is chosen, and knows nothing of drawing; `picture` draws one
as SVG; `AttentionExplorer` puts controls around it; `still` is for where no kernel runs.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np
from torch import Tensor

from ..analysis.attention_maps import attention_maps
from ..figures.svg import GREY, INK, LIT, PALE, PAPER, label
from ..model.patterns import interleave, pattern_table

if TYPE_CHECKING:
    from ..musicgen import MusicGen

KINDS = {"columns": "the columns so far", "text": "the words of the prompt"}


class Attending:
    """A generation, its attention maps, and which of them is looked at.

    Everything is computed once, at the start: a move only chooses.

    Args:
        model: generates the clip, in the delay pattern, and is looked into.
        prompt: what to generate; it needs words.
        seconds: length of the clip; a second makes a picture of 53 steps.
        seed: of the clip.

    Attributes:
        layer, head, step, kind: what is chosen; kind is "columns" (self-attention) or "text" (cross-attention).
        layers, heads, steps: how many there are.
        pieces: the tokens of the prompt.
        sequence: int64 [K, S + 1]: the columns that the model reads, and the last one that it writes.
    """

    def __init__(self, model: MusicGen, prompt: str, seconds: float = 1.0, seed: int = 5):
        if not prompt.strip():
            raise ValueError("the prompt is empty: without words there is nothing to look at")
        self.prompt, self.seed, self.seconds = prompt, seed, seconds
        self.pieces = model.text.tokens(prompt)
        codes = model.generate_codes([prompt], seconds, seed=seed)  # [1, K, T]
        _, self.K, self.frames = codes.shape
        table = pattern_table("delay", self.K, self.frames)
        sequence = interleave(codes, table, model.lm.config.special)  # [1, K, S + 1]
        maps = attention_maps(model.lm, sequence[:, :, :-1], *model.text([prompt]))
        self._maps = {"columns": maps.own[:, 0].cpu(), "text": maps.text[:, 0].cpu()}  # [layers, H, S, S or L]
        self.layers, self.heads, self.steps = self._maps["columns"].shape[:3]
        self.sequence = sequence[0].cpu()
        self._images: dict[tuple[str, int, int], str] = {}
        self.layer, self.head, self.step, self.kind = 0, 0, self.steps // 2, "columns"

    def move(
        self, layer: int | None = None, head: int | None = None, step: int | None = None, kind: str | None = None
    ) -> None:
        """Choose something; None leaves it.

        Raises:
            ValueError: there is no such layer, head, step or kind. Nothing has changed then.
        """
        wanted = {}
        for name, value, count in (
            ("layer", layer, self.layers),
            ("head", head, self.heads),
            ("step", step, self.steps),
        ):
            wanted[name] = getattr(self, name) if value is None else value
            if wanted[name] not in range(count):
                raise ValueError(f"the {name} must be 0 to {count - 1}, not {value}")
        wanted["kind"] = self.kind if kind is None else kind
        if wanted["kind"] not in KINDS:
            raise ValueError(f"a head looks at {' or '.join(KINDS)}, not at {kind!r}")
        for name, value in wanted.items():
            setattr(self, name, value if name == "kind" else int(value))

    @property
    def map(self) -> Tensor:
        """All weights of the chosen layer and head: [S, S] or [S, L]; a row belongs to a step."""
        return self._maps[self.kind][self.layer, self.head]

    @property
    def weights(self) -> list[float]:
        """The weights of the chosen step; they sum to 1."""
        return self.map[self.step].tolist()

    def name(self, target: int) -> str:
        """What a weight belongs to: a column, or a token of the prompt."""
        return f"column {target}" if self.kind == "columns" else f"“{self.pieces[target]}”"

    def text(self) -> str:
        """What was chosen and what follows from the pattern, one line each; nothing that depends on the weights."""
        written = [f"codebook {k} of frame {self.step - k}" for k in range(self.K) if 0 <= self.step - k < self.frames]
        among = f"{self.step + 1} of {self.steps}" if self.kind == "columns" else f"{len(self.pieces)}"
        return "\n".join(
            [
                f"clip:     “{self.prompt}”, {self.seconds:g} s, seed {self.seed}",
                f"layer:    {self.layer} of 0 to {self.layers - 1}, head {self.head} of 0 to {self.heads - 1}",
                f"step:     {self.step} of 0 to {self.steps - 1}, writes {', '.join(written)}",
                f"looks at: {KINDS[self.kind]}, {among}",
            ]
        )

    def measured(self, count: int = 3) -> str:
        """One sentence on what the step looks at most."""
        order = sorted(range(len(self.weights)), key=lambda i: -self.weights[i])[:count]
        told = ", ".join(f"{self.name(i)} ({self.weights[i]:.0%})" for i in order if self.weights[i] >= 0.005)
        return f"Looks most at {told}."

    @property
    def image(self) -> str:
        """The map as a PNG data URL: a step is a column of pixels, a target a row; the darker, the more weight."""
        key = self.kind, self.layer, self.head
        if key not in self._images:
            self._images[key] = _png(self.map)
        return self._images[key]


def _png(weights: Tensor) -> str:
    from PIL import Image

    # The square root: most weights are small, and would all look white.
    shade = (255 * (1 - weights.clamp(0, 1).sqrt())).round().numpy().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(shade.T).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


# ---- drawing -----------------------------------------------------------------------------------------------------

LEFT, TOP, SIDE, GAP, BARS = 96, 62, 340, 24, 190
WIDTH, HEIGHT = LEFT + SIDE + GAP + BARS + 62, TOP + SIDE + 46


def picture(attending: Attending) -> str:
    """The state as an SVG string: the whole map with the chosen step framed, and that step's weights as bars."""
    described = f"{attending.text()} {attending.measured()}".replace("\n", "; ")
    body = _heading(attending) + _map(attending) + _bars(attending)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(described, quote=True)}" style="width:100%;max-width:{WIDTH}px" '
        f'font-family="DejaVu Sans, Verdana, sans-serif" fill="{INK}">'
        f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>{body}</svg>'
    )


def _heading(attending: Attending) -> str:
    self_or_cross = "self-attention" if attending.kind == "columns" else "cross-attention"
    title = f"layer {attending.layer}, head {attending.head}: {self_or_cross}"
    middle = LEFT + SIDE + GAP + BARS / 2
    return (
        label(LEFT + SIDE / 2, 16, title, 13, weight="bold")
        + label(middle, 16, f"weights of step {attending.step}", 13, weight="bold")
        + label(middle, 33, "they sum to 100%", 11)
    )


def _map(attending: Attending) -> str:
    """The map: steps across, what is looked at downwards; a frame and a triangle mark the chosen step."""
    width, targets = SIDE / attending.steps, len(attending.weights)
    at = LEFT + attending.step * width
    body = (
        f'<image x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{attending.image}"/>'
        f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{GREY}"/>'
        f'<rect x="{at:.1f}" y="{TOP}" width="{width:.1f}" height="{SIDE}" fill="none" stroke="{LIT}" '
        'stroke-width="2"/>'
        f'<path d="M{at + width / 2:.1f} {TOP - 2} l-6 -10 h12 z" fill="{LIT}"/>'
        + label(at + width / 2, TOP - 19, str(attending.step), 12, LIT, "bold")
        + label(LEFT + SIDE / 2, TOP + SIDE + 32, "step", 12)
    )
    for s in range(0, attending.steps, 10):
        body += label(LEFT + (s + 0.5) * width, TOP + SIDE + 14, str(s), 11)
    for i in range(0, targets, 1 if attending.kind == "text" else 10):
        name = attending.pieces[i] if attending.kind == "text" else str(i)
        body += label(LEFT - 46, TOP + (i + 0.5) * SIDE / targets, name, 11)
    if attending.kind == "columns":
        body += label(LEFT - 46, TOP - 10, "column", 12)
    return body


def _bars(attending: Attending) -> str:
    """A bar for each weight, in line with the map's rows; the largest three have their number beside them."""
    weights, left = attending.weights, LEFT + SIDE + GAP
    height = SIDE / len(weights)
    named = sorted(range(len(weights)), key=lambda i: -weights[i])[: 3 if attending.kind == "columns" else None]
    body = f'<rect x="{left}" y="{TOP}" width="{BARS}" height="{SIDE}" fill="{PALE}"/>'
    places: list[float] = []
    for i in sorted(range(len(weights)), key=lambda i: -weights[i]):
        y, reach = TOP + i * height, BARS * weights[i]
        body += (
            f'<rect x="{left}" y="{y + 0.1 * height:.1f}" width="{max(reach, 0.5):.1f}" height="{0.8 * height:.1f}" '
            f'fill="{LIT}"/>'
        )
        middle = y + height / 2
        if i in named and weights[i] >= 0.005 and all(abs(middle - other) > 11 for other in places):
            where = f"{i}: " if attending.kind == "columns" else ""
            body += label(left + reach + 32, middle, f"{where}{weights[i]:.0%}", 11)
            places.append(middle)
    return body


# ---- the panel ---------------------------------------------------------------------------------------------------


class AttentionExplorer:
    """An `Attending` with sliders for layer, head and step, buttons for what is looked at, words and picture.

    Args:
        attending: what to explore.
    """

    def __init__(self, attending: Attending):
        self.attending = attending
        self.layer = _slider("Layer", attending.layer, attending.layers)
        self.head = _slider("Head", attending.head, attending.heads)
        self.step = _slider("Step", attending.step, attending.steps)
        self.kind = ipywidgets.ToggleButtons(
            options=[(words, name) for name, words in KINDS.items()],
            value=attending.kind,
            description="Looks at",
            tooltips=["self-attention", "cross-attention"],
            style={"description_width": "80px", "button_width": "210px"},
        )
        self.picture, self.words = ipywidgets.HTML(), ipywidgets.HTML()
        rows = [self.layer, self.head, self.step, self.kind, self.words, self.picture]
        self.view = ipywidgets.VBox(rows, layout={"max_width": "760px"})
        for name in ("layer", "head", "step", "kind"):
            getattr(self, name).observe(lambda change, name=name: self._move(**{name: change["new"]}), "value")
        self._show()

    def _move(self, **choice: int | str) -> None:
        self.attending.move(**choice)
        self._show()

    def _show(self) -> None:
        self.picture.value = picture(self.attending)
        self.words.value = _words(self.attending)

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self.attending.text()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"AttentionExplorer\n{self.state_text()}"


def _slider(name: str, value: int, count: int) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(
        value, min=0, max=count - 1, description=name, style={"description_width": "80px"}, layout={"width": "520px"}
    )


def _words(attending: Attending) -> str:
    lines = [*attending.text().splitlines(), attending.measured()]
    return f'<div role="status" style="line-height:1.5">{"<br>".join(html.escape(line) for line in lines)}</div>'


def still(attending: Attending) -> object:
    """The state as plain HTML that needs no kernel and no JavaScript: both kinds of attention, each with its words."""
    from IPython.display import HTML

    chosen, parts = attending.kind, []
    for kind in KINDS:
        attending.move(kind=kind)
        parts.append(_words(attending) + picture(attending))
    attending.move(kind=chosen)
    return HTML(
        f"<details><summary>A still picture of the panel, for where no kernel runs</summary>{''.join(parts)}</details>"
    )
