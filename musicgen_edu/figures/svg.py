"""The colours of the course, and shapes as SVG text: what pictures and panels are drawn with.

Everything is drawn on its own light ground, so it can be read in a dark theme too, and what colour says is also said by
a number, an outline or a word.
"""

from __future__ import annotations

import base64
import html
import io

import numpy as np

INK, PAPER, GREY, LIT, PALE = "#1b1b1f", "#ffffff", "#8a8a94", "#1f4e9c", "#f1f1f4"
SOFT, MARKED, EMPTY, RULE = "#8fa8d0", "#ffe9a8", "#d4d4da", "#e4e4e8"
FONT = "DejaVu Sans, Verdana, sans-serif"


def data_url(kind: str, content: bytes) -> str:
    """A file as an address that holds it, so that a page needs no other file; `kind` is such as "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def document(body: str, width: float, height: float, attributes: str) -> str:
    """Shapes as a whole SVG of `width` x `height` pixels on a light ground."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" {attributes} '
        f'font-family="{FONT}" font-size="13" fill="{INK}">'
        f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>{body}</svg>'
    )


def drawing(body: str, width: float, height: float, description: str) -> str:
    """A panel's picture: SVG that stands in the page, shrinks with it, and says what it shows.

    Args:
        body: shapes.
        width, height: pixels of the shapes' ground.
        description: for screen readers; its lines become parts of one sentence.
    """
    told = description.replace("\n", "; ")
    attributes = f'role="img" aria-label="{html.escape(told, quote=True)}" style="width:100%;max-width:{width:g}px"'
    return document(body, width, height, attributes)


def words_at(
    x: float,
    y: float,
    words: str,
    size: float = 12,
    anchor: str = "start",
    colour: str = INK,
    weight: str = "normal",
    more: str = "",
) -> str:
    """One line of text that starts, ends or has its middle ("start", "end", "middle") at (x, y)."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}" dominant-baseline="central"{more}>{html.escape(words)}</text>'
    )


def label(x: float, y: float, words: str, size: float = 13, colour: str = INK, weight: str = "normal") -> str:
    """One line of text, centred on (x, y)."""
    return words_at(x, y, words, size, "middle", colour, weight)


def image(source: str, x: float, y: float, width: float, height: float) -> str:
    """An image, given by its address, stretched over a rectangle without smoothing."""
    return (
        f'<image x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{source}"/>'
    )


def png(shades: np.ndarray, colours: str = "magma") -> str:
    """Shades [rows, columns] from 0 to 1 as the data URL of an image of so many pixels.

    Args:
        shades: the first row is on top.
        colours: a colour map of matplotlib.
    """
    from matplotlib import colormaps
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.fromarray(np.rint(255 * np.clip(shades, 0, 1)).astype(np.uint8)).convert("P")
    image.putpalette((255 * colormaps[colours](np.arange(256))[:, :3]).astype(np.uint8).ravel().tolist())
    image.save(buffer, format="PNG", optimize=True)
    return data_url("image/png", buffer.getvalue())
