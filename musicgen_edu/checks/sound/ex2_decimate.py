"""Exercise 2, `decimate`."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ... import figures
from .. import Exercise, Wrong, expect, expect_close
from ._shared import expect_array, numpy_generator, sine_wave


def _taps(factor, reach):
    taps = np.sinc(np.arange(-reach, reach + 1) / factor) * np.hanning(2 * reach + 1)
    return taps / taps.sum()


def _decimate(x, factor, reach):
    return np.convolve(x, _taps(factor, reach), mode="same")[::factor]


INNER = slice(30, -30)  # without the edges, where the filter looks at nothing


def one_sample_in_each_factor(answer):
    """Of N samples, N / factor remain, rounded up, the first among them."""
    for N, factor, reach in ((400, 4, 16), (401, 4, 16), (403, 5, 10), (300, 1, 8)):
        expect_array(answer(np.random.uniform(-1, 1, N), factor, reach), (-(-N // factor),), "f")


def level_is_kept(answer):
    """A constant keeps its level."""
    for factor in (2, 4):
        y = answer(np.full(800, 0.25), factor, 32)[INNER]
        expect_close(y, np.full(len(y), 0.25), f"factor {factor}: a constant 0.25 changes", 1e-4)


def low_tones_stay_where_they_are(answer):
    """A tone far below the new Nyquist frequency keeps its amplitude and its place in time."""
    for factor in (2, 4):
        x = sine_wave(0.2 * 0.5 / factor)
        off = float(np.abs(answer(x, factor, 32) - x[::factor])[INNER].max())
        expect(off < 0.02, f"factor {factor}: a tone at a fifth of the new Nyquist frequency is off by {off:.2f}")


def high_tones_vanish(answer):
    """A tone above the new Nyquist frequency leaves next to nothing behind."""
    for factor in (2, 4):
        for times in (1.3, 1.7):
            left = float(np.abs(answer(sine_wave(times * 0.5 / factor), factor, 32)[INNER]).max())
            message = f"factor {factor}: of a tone at {times} times the new Nyquist frequency {left:.3f} is left"
            expect(left < 0.01, message)


def decimates_as_the_library_does(answer):
    """On random sounds the result is the library's."""
    for N, factor, reach in ((500, 3, 24), (333, 4, 20)):
        x = np.random.uniform(-1, 1, N)
        expect_close(answer(x, factor, reach), _decimate(x, factor, reach), f"N {N}, factor {factor}, reach {reach}")


def _decimate_unfiltered(x, factor, reach):
    return x[::factor].copy()


def _decimate_then_filter(x, factor, reach):
    return np.convolve(x[::factor], _taps(factor, reach), mode="same")


def _decimate_loud(x, factor, reach):
    taps = np.sinc(np.arange(-reach, reach + 1) / factor) * np.hanning(2 * reach + 1)
    return np.convolve(x, taps, mode="same")[::factor]


def _decimate_full(x, factor, reach):
    return np.convolve(x, _taps(factor, reach))[::factor]


def _decimate_late(x, factor, reach):
    return np.convolve(x, _taps(factor, reach))[: len(x)][::factor]


def _decimate_mean(x, factor, reach):
    return np.convolve(x, np.ones(factor) / factor, mode="same")[::factor]


def _decimate_wide(x, factor, reach):
    taps = np.sinc(2 * np.arange(-reach, reach + 1) / factor) * np.hanning(2 * reach + 1)
    return np.convolve(x, taps / taps.sum(), mode="same")[::factor]


def _decimate_hard_window(x, factor, reach):
    taps = np.sinc(np.arange(-reach, reach + 1) / factor)
    return np.convolve(x, taps / taps.sum(), mode="same")[::factor]


def _decimate_loop(x, factor, reach):
    taps, padded = _taps(factor, reach), np.pad(x, reach)
    y = [sum(taps[i] * padded[n + i] for i in range(2 * reach + 1)) for n in range(0, len(x), factor)]
    return np.array(y)


def _decimate_windows(x, factor, reach):
    n = np.arange(-reach, reach + 1)
    bell = np.cos(np.pi * n / (2 * reach)) ** 2
    taps = np.where(n == 0, 1.0, np.sin(np.pi * n / factor) / np.where(n == 0, 1, np.pi * n / factor)) * bell
    return sliding_window_view(np.pad(x, reach), 2 * reach + 1)[::factor] @ (taps / taps.sum())


def _decimate_picture(target, yours, arguments):
    figure, axes = figures.new_figure(7.6, 2.6)
    axes.plot(target, color=figures.LIT, linewidth=4, alpha=0.4, label="target")
    axes.plot(yours, color=figures.INK, linestyle="--", linewidth=1.2, label="yours")
    axes.set(xlabel="sample", ylabel="amplitude")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "what remains of a rising tone: target as a broad line, yours dashed")


decimate = Exercise(
    "decimate",
    reference=_decimate,
    properties=(
        one_sample_in_each_factor,
        level_is_kept,
        low_tones_stay_where_they_are,
        high_tones_vanish,
        decimates_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _decimate_full,
            "one_sample_in_each_factor",
            "np.convolve returns N + 2 reach samples unless you ask for mode='same'.",
        ),
        Wrong(
            _decimate_loud,
            "level_is_kept",
            "The taps sum to about `factor`, so everything gets that much louder. Divide them by their sum.",
        ),
        Wrong(
            _decimate_late,
            "low_tones_stay_where_they_are",
            "Everything comes `reach` samples late: the filter must reach as far ahead as back. mode='same' does that.",
        ),
        Wrong(
            _decimate_then_filter,
            "high_tones_vanish",
            "You filter after the samples are gone. What was too high has come back as a low tone by then, and no "
            "filter tells it from a real one. Filter first.",
        ),
        Wrong(
            _decimate_mean,
            "low_tones_stay_where_they_are",
            "A mean of `factor` samples is a low-pass filter, but a poor one, and an even number has no middle. Use "
            "the taps that are given.",
        ),
        Wrong(_decimate_unfiltered, "high_tones_vanish", "There is no filter: high tones come back mirrored."),
        Wrong(
            _decimate_wide,
            "high_tones_vanish",
            "Your filter cuts at twice the new Nyquist frequency, which is the new sample rate. sinc(n / factor) cuts "
            "at half of it.",
        ),
        Wrong(
            _decimate_hard_window,
            "high_tones_vanish",
            "You cut the sinc off without a window. Its edges let some of each high tone through: times np.hanning.",
        ),
    ),
    right=(_decimate_loop, _decimate_windows),
    examples=lambda generator: [
        (np.sin(0.5 * np.pi * np.arange(400) ** 2 / 400), 4, 32),
        (numpy_generator(generator).uniform(-1, 1, 300), 3, 20),
    ],
    picture=_decimate_picture,
)
