"""The attention explorer as one SVG string, and its words as HTML."""

from __future__ import annotations

from torch import Tensor

from ...figures.svg import GREY, LIT, PALE, drawing, image, label, png
from ..page import message, still_page
from .state import KINDS, Attending

LEFT, TOP, SIDE, GAP, BARS = 96, 62, 340, 24, 190
WIDTH, HEIGHT = LEFT + SIDE + GAP + BARS + 62, TOP + SIDE + 46


def picture(attending: Attending) -> str:
    """The state as an SVG string: the whole map with the chosen step framed, and that step's weights as bars."""
    body = _heading(attending) + _map(attending) + _bars(attending)
    return drawing(body, WIDTH, HEIGHT, f"{attending.in_words()} {attending.measured()}")


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
        image(_shades(attending.map), LEFT, TOP, SIDE, SIDE)
        + f'<rect x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{GREY}"/>'
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


def _shades(weights: Tensor) -> str:
    """A map as an image: a step is a column of pixels, a target a row; the darker, the more weight."""
    # The square root: most weights are small, and would all look white.
    return png(1 - weights.sqrt().T.numpy(), "gray")


def words(attending: Attending) -> str:
    """What is looked at, and what the step looks at most."""
    return message(f"{attending.in_words()}\n{attending.measured()}")


def still(attending: Attending):
    """Both kinds of attention without controls, each with its words."""
    chosen, parts = attending.kind, []
    for kind in KINDS:
        attending.move(kind=kind)
        parts += [words(attending), picture(attending)]
    attending.move(kind=chosen)
    return still_page(*parts)
