"""A picture of a lesson: an image with a description for those who cannot see it."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence

import numpy as np

from .svg import GREY, INK, LIT, PAPER, data_url, document

STYLES = (  # marker, line, colour: each differs from the others in at least two of them
    ("o", "-", LIT),
    ("s", "--", "#c2571a"),
    ("^", "-.", INK),
    ("D", ":", "#2f7d4f"),
    ("v", "-", GREY),
    ("x", "--", "#7a3f8f"),
)


class Picture:
    """An image that a notebook shows: `source` is a data URL, `description` what a screen reader says."""

    def __init__(self, source: str, description: str, width: int):
        self.source, self.description, self.width = source, description, width

    def _repr_html_(self) -> str:
        alt = html.escape(self.description, quote=True)
        return f'<img src="{self.source}" alt="{alt}" width="{self.width}" style="max-width:100%;height:auto">'

    def __repr__(self) -> str:
        return f"Picture: {self.description}"


def svg_picture(body: str, width: int, height: int, description: str) -> Picture:
    """Shapes in SVG as a picture of `width` x `height` pixels on a light ground."""
    whole = document(body, width, height, f'width="{width}" height="{height}"')
    return Picture(data_url("image/svg+xml", whole.encode()), description, width)


def new_figure(width: float, height: float, columns: int = 1, rows: int = 1, **options):
    """A matplotlib figure in inches (100 pixels each) and its axes, apart from any figure that pyplot keeps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def matrix_figure(names: Sequence[str], values: np.ndarray, margin: float, low: float, dark: float, what: str):
    """A matplotlib figure of n x n values, each written into its cell, and its axes, which still want their ticks.

    Args:
        names: of the n things that are compared two by two.
        values: [n, n].
        margin: inches of height beside the cells.
        low: the value that is white, as 1 is black; above `dark` the ink is white.
        what: the values are.

    Raises:
        ValueError: not as many rows and columns as names.
    """
    n = len(names)
    if values.shape != (n, n):
        raise ValueError(f"{n} names need values of shape [{n}, {n}], not {list(values.shape)}")
    figure, axes = new_figure(8.4, margin + 0.42 * n)
    image = axes.imshow(values, cmap="Greys", vmin=low, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        ink = PAPER if value > dark else INK
        axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color=ink)
    figure.colorbar(image, ax=axes, label=what, pad=0.01)
    return figure, axes


def figure_picture(figure, description: str) -> Picture:
    """A matplotlib figure as a picture, drawn with two pixels for each one it takes on the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return _picture_of(figure, buffer.getvalue(), description)


def compact_picture(figure, description: str, dpi: int = 100) -> Picture:
    """A figure that is full of pixels as a picture that takes a tenth of the room: see `compact_png`."""
    return _picture_of(figure, compact_png(figure, dpi), description)


def compact_png(figure, dpi: int = 100) -> bytes:
    """A figure as a PNG in 48 colours, which look the same: a lesson holds twenty spectrograms."""
    from PIL import Image

    raw, buffer = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=dpi)
    Image.open(raw).convert("RGB").quantize(48, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _picture_of(figure, content: bytes, description: str) -> Picture:
    return Picture(data_url("image/png", content), description, round(100 * figure.get_figwidth()))
