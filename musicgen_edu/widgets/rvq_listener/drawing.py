"""The RVQ listener as one SVG string, and its words and players as HTML."""

from __future__ import annotations

from functools import cache

import numpy as np

from ...figures.players import frequency_ticks, player_html
from ...figures.svg import GREY, INK, LIT, PAPER, drawing, image, label, png
from ..page import message, still_page
from ..spectrogram import BANDS
from .state import Listening, caption, count

LEFT, WIDTH, HEIGHT, TOP = 62, 600, 128, 78


def picture(listening: Listening) -> str:
    """The state as an SVG string: which codebooks are used, the result's spectrogram and the residual's."""
    k, K = listening.codebooks, listening.K
    shown = "mel spectrograms of the reconstruction and of what is missing"
    told = f"{k} of {K} codebooks used; {shown}. {listening.measured()}"
    hatch = (
        '<defs><pattern id="rvq-unused" width="7" height="7" patternUnits="userSpaceOnUse">'
        f'<path d="M0 7 L7 0" stroke="{GREY}" stroke-width="1"/></pattern></defs>'
    )
    body = hatch + "".join(_codebook(i, i < k, K) for i in range(K))
    for i, (kind, title) in enumerate((("reconstruction", "result"), ("residual", "residual: original minus result"))):
        body += _spectrogram(listening, kind, TOP + i * (HEIGHT + 54), f"{title}, {count(k)}")
    return drawing(body, LEFT + WIDTH + 14, TOP + 2 * (HEIGHT + 54), told)


def _codebook(index: int, used: bool, K: int) -> str:
    """One box of the row on top. Used: filled, bold and called so; unused: hatched."""
    width = min(140, WIDTH / K - 10)
    x, y = LEFT + index * (width + 10), 10
    fill, ink = (LIT, PAPER) if used else ("url(#rvq-unused)", INK)
    text = f"codebook {index}" if width > 90 else str(index)
    word = "used" if used else "left out"
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="40" rx="3" fill="{fill}" stroke="{INK}"/>'
        + ("" if used else f'<rect x="{x + 6}" y="{y + 4}" width="{width - 12}" height="32" fill="{PAPER}"/>')
        + label(x + width / 2, y + 12, text, 13, ink, "bold" if used else "normal")
        + label(x + width / 2, y + 29, word, 12, ink)
    )


def _spectrogram(listening: Listening, kind: str, y: float, title: str) -> str:
    body = label(LEFT + WIDTH / 2, y - 10, title, 13, weight="bold")
    body += image(png(listening.spectrograms[kind, listening.codebooks]), LEFT, y, WIDTH, HEIGHT)
    for hertz, place in _ticks(listening.sample_rate):
        at = y + HEIGHT * (1 - place)
        body += f'<path d="M{LEFT - 4} {at:.1f} h4" stroke="{INK}"/>' + label(LEFT - 30, at, f"{hertz} Hz", 11)
    for second in np.arange(0, listening.seconds + 1e-6, 0.5):
        at = LEFT + WIDTH * second / listening.seconds
        body += f'<path d="M{at:.1f} {y + HEIGHT} v4" stroke="{INK}"/>' + label(
            at, y + HEIGHT + 13, f"{second:g} s", 11
        )
    return body


@cache
def _ticks(sample_rate: int) -> list[tuple[int, float]]:
    """Some frequencies in Hz with their height in the picture, 0 to 1."""
    ticks = frequency_ticks(sample_rate, BANDS)
    return [(hertz, (place + 0.5) / BANDS) for hertz, place in ticks if 500 <= hertz <= 4000]


def words(listening: Listening) -> str:
    """What is chosen, and how much of the sound is left over."""
    return message(f"{listening.in_words()}\n{listening.measured()}")


def player(listening: Listening, heard: str) -> str:
    """One of the three sounds in a captioned player."""
    clip, told = listening.clip(heard, listening.codebooks), caption(heard, listening.codebooks)
    return player_html(clip, listening.sample_rate, told, spectrogram=False)


def still(listening: Listening):
    """Words, picture, and players of the original and of the reconstruction, without controls."""
    players = player(listening, "original") + player(listening, "reconstruction")
    return still_page(words(listening), picture(listening), players)
