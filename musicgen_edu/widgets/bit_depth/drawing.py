"""The listener of lesson 01 as one SVG string, and its words and players as HTML."""

from __future__ import annotations

import numpy as np

from ...figures.players import player_html
from ...figures.svg import GREY, INK, LIT, PALE, drawing, image, label, png
from ...model.pcm import decode
from ..page import message, still_page
from .state import Listener

WIDTH, HEIGHT, TOP, TALL = 700, 300, 30, 226  # of the whole; where both pictures begin, and how tall they are
WAVE, SPECTRUM = (46, 320), (440, 250)  # left edge and width of each


def picture(listener: Listener) -> str:
    """Six milliseconds of the clip before and after, beside the spectrogram of what comes out: one SVG."""
    return drawing(_wave(listener, *WAVE) + _spectrogram(listener, *SPECTRUM), WIDTH, HEIGHT, listener.in_words())


def _wave(listener: Listener, left: float, width: float) -> str:
    """Before, stored and after around the loudest sample, on lines for the levels where they are few."""
    rate, divisor = listener.sample_rate, listener.sample_rate // listener.settings.sample_rate
    count = round(0.006 * rate / 16) * 16
    start = _loudest(listener.source, count) // 16 * 16  # a sample that every rate on offer keeps
    source, output = listener.source[start:][:count], listener.output[start:][:count]
    stored = listener.stored[start // divisor :][: count // divisor]
    limit = max(1e-6, float(np.abs(np.concatenate([source, output, stored])).max()))

    def points(values: np.ndarray, step: int = 1) -> list[tuple[float, float]]:
        places = left + width * step * np.arange(len(values)) / count
        return list(zip(places, TOP + TALL / 2 * (1 - values / limit), strict=True))

    def path(values: np.ndarray) -> str:
        return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points(values))

    return (
        f'<rect x="{left}" y="{TOP}" width="{width}" height="{TALL}" fill="{PALE}" stroke="{GREY}"/>'
        + "".join(f'<path d="M{left} {y:.1f} h{width}" stroke="#c9c9d2"/>' for _, y in points(_levels(listener, limit)))
        + f'<path d="{path(source)}" fill="none" stroke="{INK}" stroke-dasharray="5 3" stroke-width="1.4"/>'
        + f'<path d="{path(output)}" fill="none" stroke="{LIT}" stroke-width="2"/>'
        + "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{LIT}"/>' for x, y in points(stored, divisor))
        + label(left + width / 2, 14, "dashed: before · dots: stored · line: after", 12)
        + label(left + width / 2, TOP + TALL + 24, f"{1000 * count / rate:g} ms at {start / rate:.2f} s", 12)
        + label(left - 24, TOP + 6, f"{limit:.2g}", 11)
        + label(left - 24, TOP + TALL - 4, f"-{limit:.2g}", 11)
    )


def _levels(listener: Listener, limit: float) -> np.ndarray:
    """The levels up to a limit; none where they are so many that they would be a grey block."""
    now = listener.settings
    levels = decode(np.arange(2**now.bits), now.bits, now.law)
    levels = levels[np.abs(levels) <= limit]
    return levels if len(levels) <= 40 else np.zeros(0)


def _loudest(audio: np.ndarray, count: int) -> int:
    """Where a window of `count` samples about the loudest sample begins, within the clip."""
    return int(np.clip(np.abs(audio).argmax() - count // 2, 0, max(0, len(audio) - count)))


def _spectrogram(listener: Listener, left: float, width: float) -> str:
    """Linear in frequency, so that what is mirrored is seen mirrored; 80 dB from black to white."""
    heard = np.pad(listener.heard(), (0, 512))
    frames = np.lib.stride_tricks.sliding_window_view(heard, 512)[::256] * np.hanning(512)  # [frames, 512]
    power = np.abs(np.fft.rfft(frames)).T[::-1] ** 2  # [257, frames], low frequencies last
    decibels = 10 * np.log10(np.maximum(power, 1e-12) / max(float(power.max()), 1e-12))
    half, seconds = listener.sample_rate / 2000, len(listener.source) / listener.sample_rate
    return (
        image(png(1 + decibels / 80), left, TOP, width, TALL)
        + "".join(label(left - 18, TOP + TALL * (1 - k / 4), f"{half * k / 4:g}", 11) for k in range(5))
        + label(left + width / 2, 14, "spectrogram of the sound after (kHz)", 12)
        + label(left + width / 2, TOP + TALL + 24, f"0 to {seconds:g} s", 12)
    )


def words(listener: Listener) -> str:
    """What is stored, and how wrong it is; the controls themselves show the settings."""
    return message("\n".join(listener.in_words().splitlines()[1:]), indent=134)


def before(listener: Listener) -> str:
    """A player of the clip as it is."""
    name = listener.settings.clip
    return _player(listener.clips[name], listener.sample_rate, f"before: {name}")


def after(listener: Listener) -> str:
    """A player of what comes out."""
    now = listener.settings
    turned_up = f", turned up again by {listener.gain():.0f} dB" if now.level else ""
    caption = f"after: {now.bits} bits {now.law} at {now.sample_rate} Hz{turned_up}"
    return _player(listener.heard(), listener.sample_rate, caption)


def _player(audio: np.ndarray, rate: int, caption: str) -> str:
    return f'<div style="width:330px;margin-right:16px">{player_html(audio, rate, caption, spectrogram=False)}</div>'


def still(listener: Listener):
    """Settings, picture and sound without controls."""
    return still_page(message(listener.in_words()), picture(listener), after(listener))
