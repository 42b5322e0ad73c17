"""The codec inspector as one SVG string, and its words and player as HTML."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...figures.players import frequency_ticks, player_html
from ...figures.svg import GREY, LIT, PALE, drawing, image, png, words_at
from ...model.audio import mel_spectrogram
from ..page import message, still_page
from .state import AS_ENCODED, MUTED, Inspector

BANDS = 80
LEFT, WIDTH, RIGHT, ROW, MEL_HEIGHT = 96, 560, 112, 26, 130  # pixels
HATCH = (
    '<defs><pattern id="off" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<rect width="8" height="8" fill="{PALE}"/><rect width="2" height="8" fill="{GREY}"/></pattern></defs>'
)


def picture(inspector: Inspector) -> str:
    """SVG: one row of coloured cells a codebook, its treatment in words beside it, the spectrogram below in step."""
    codes, config, top = inspector.treated().cpu(), inspector.codec.config, 8
    K, T = codes.shape
    body = HATCH
    for k, treatment in enumerate(inspector.treatments):
        body += _code_row(codes[k].numpy() / config.codebook_size, k, treatment, top + k * ROW)
    y = top + K * ROW + 10
    body += image(png(_mel(inspector.audio(), config.sampling_rate)), LEFT, y, WIDTH, MEL_HEIGHT)
    body += _frequencies(config.sampling_rate, y) + _times(T / config.frame_rate, y + MEL_HEIGHT)
    told = f"codes above, spectrogram below. {inspector.in_words()}"
    return drawing(body, LEFT + WIDTH + RIGHT, y + MEL_HEIGHT + 34, told)


def _code_row(shades: np.ndarray, k: int, treatment: str, y: int) -> str:
    """Codes [T] as shares of V. What is done to them is said by a word and by the frame, not by colour."""
    place = f'x="{LEFT}" y="{y}" width="{WIDTH}" height="{ROW - 6}"'
    if treatment == MUTED:
        cells = f'<rect {place} fill="url(#off)"/>'
    else:
        cells = image(png(shades[None], "viridis"), LEFT, y, WIDTH, ROW - 6)
    colour, thick, dash, weight = (LIT, 3, ' stroke-dasharray="9 4"', "bold")
    if treatment == AS_ENCODED:
        colour, thick, dash, weight = GREY, 1, "", "normal"
    frame = f'<rect {place} fill="none" stroke="{colour}" stroke-width="{thick}"{dash}/>'
    middle = y + (ROW - 6) / 2
    named = words_at(LEFT - 8, middle, f"codebook {k}", 13, "end")
    return cells + frame + named + words_at(LEFT + WIDTH + 8, middle, treatment, 13, weight=weight)


def _mel(audio: Tensor, sample_rate: int) -> np.ndarray:
    """Mel spectrogram [BANDS, frames], high bands first, 1 at its peak and 0 at 80 dB below; silence is 0."""
    if float(audio.abs().max()) < 1e-4:
        return np.zeros((BANDS, 2))
    return 1 + np.flipud(mel_spectrogram(audio, sample_rate, BANDS)) / 80


def _frequencies(sample_rate: int, y: float) -> str:
    return "".join(
        words_at(LEFT - 8, y + MEL_HEIGHT * (1 - (place + 0.5) / BANDS), f"{hertz} Hz", 13, "end")
        for hertz, place in frequency_ticks(sample_rate, BANDS)
    )


def _times(seconds: float, y: float) -> str:
    marks = np.arange(0, seconds + 1e-6, 0.5)
    return "".join(
        words_at(LEFT + WIDTH * mark / seconds, y + 14, f"{mark:g}{' s' if mark == marks[-1] else ''}", 13, "middle")
        for mark in marks
    )


def words(inspector: Inspector) -> str:
    """How far the treated sound is from the untreated copy."""
    if set(inspector.treatments) == {AS_ENCODED}:
        return message("Nothing is treated: this is the clip as the codec returns it.")
    ratio, chroma = inspector.likeness()
    return message(f"Against the untreated copy: SI-SDR {ratio:.1f} dB, chroma cosine {chroma:.2f}.")


def player(inspector: Inspector) -> str:
    """A player without a spectrogram of its own: the picture has it."""
    treated = [f"codebook {k} {name}" for k, name in enumerate(inspector.treatments) if name != AS_ENCODED]
    caption = f"{inspector.clip}: {', '.join(treated) or AS_ENCODED}"
    return player_html(inspector.audio(), inspector.codec.config.sampling_rate, caption, spectrogram=False)


def still(inspector: Inspector):
    """Picture, figures and sound without controls."""
    return still_page(picture(inspector), words(inspector), player(inspector))
