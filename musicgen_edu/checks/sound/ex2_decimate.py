"""Exercise 2, `decimate`."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal

from .. import Exercise, expect, expect_close, mistakes
from ._shared import expect_array, numpy_generator, sine_wave, two_lines


def _decimate(x, factor, reach):
    n = np.arange(-reach, reach + 1)
    taps = np.sinc(n / factor) * np.hanning(2 * reach + 1)
    taps = taps / taps.sum()
    y = np.convolve(x, taps, mode="same")
    return y[::factor]


INNER = slice(40, -40)  # without the edges, where the filter looks at nothing


def one_sample_in_each_factor(answer):
    """Of N samples, N / factor remain, rounded up, the first among them."""
    for N, factor, reach in ((400, 4, 16), (401, 4, 16), (403, 5, 10), (300, 1, 8)):
        expect_array(answer(np.random.uniform(-1, 1, N), factor, reach), (-(-N // factor),), "f")


def level_is_kept(answer):
    """A constant keeps its level."""
    for factor, reach in ((2, 32), (4, 32), (4, 3), (3, 7)):
        y = answer(np.full(800, 0.25), factor, reach)[INNER]
        expect_close(y, np.full(len(y), 0.25), f"a constant 0.25, factor {factor}, reach {reach}", 1e-6)


def low_tones_stay_where_they_are(answer):
    """A tone far below the new Nyquist frequency keeps its amplitude and its place in time."""
    for factor in (2, 4):
        x = sine_wave(0.2 * 0.5 / factor)
        off = float(np.abs(answer(x, factor, 32) - x[::factor])[INNER].max())
        told = f"factor {factor}, a tone at a fifth of the new Nyquist frequency: expected to stay within 0.02"
        expect(off < 0.02, f"{told}, not {off:.2f} off")


def high_tones_vanish(answer):
    """A tone above the new Nyquist frequency leaves next to nothing behind."""
    for factor in (2, 4):
        for times in (1.3, 1.7):
            left = float(np.abs(answer(sine_wave(times * 0.5 / factor), factor, 32)[INNER]).max())
            told = f"factor {factor}, a tone at {times} times the new Nyquist frequency: expected less than 0.01 of it"
            expect(left < 0.01, f"{told}, not {left:.3f}")


def a_factor_of_one_changes_nothing(answer):
    """With a factor of 1 there is nothing to remove: the sound comes back as it was, to its ends."""
    x = np.random.uniform(-1, 1, 90)
    expect_close(answer(x, 1, 10), x, "factor 1, reach 10")


def decimates_as_scipy_does(answer):
    """On random sounds it is SciPy's `firwin` and `convolve`, from the first sample to the last."""
    for N, factor, reach in ((500, 3, 24), (333, 4, 20), (41, 2, 20), (120, 5, 1), (200, 7, 4), (300, 4, 64)):
        x = np.random.uniform(-5, 5, N)
        taps = signal.firwin(2 * reach + 1, 1 / factor, window="hann")
        wanted = signal.convolve(x, taps, mode="same", method="direct")[::factor]
        expect_close(answer(x, factor, reach), wanted, f"N {N}, factor {factor}, reach {reach}")


def _by_loop(x, factor, reach):
    taps = [float(np.sinc(n / factor)) * (0.5 + 0.5 * np.cos(np.pi * n / reach)) for n in range(-reach, reach + 1)]
    total, padded = sum(taps), np.pad(x, reach)
    return np.array([np.dot(taps, padded[n : n + 2 * reach + 1]) / total for n in range(0, len(x), factor)])


def _by_windows(x, factor, reach):
    n = np.arange(-reach, reach + 1)
    bell = np.cos(np.pi * n / (2 * reach)) ** 2
    taps = np.where(n == 0, 1.0, np.sin(np.pi * n / factor) / np.where(n == 0, 1, np.pi * n / factor)) * bell
    return sliding_window_view(np.pad(x, reach), 2 * reach + 1)[::factor] @ (taps / taps.sum())


def _by_fft(x, factor, reach):
    taps = np.sinc(np.linspace(-reach, reach, 2 * reach + 1) / factor) * signal.get_window("hann", 2 * reach + 1, False)
    size = len(x) + 2 * reach
    y = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(taps / np.sum(taps), size), size)
    return y[reach : reach + len(x) : factor]


decimate = Exercise(
    "decimate",
    reference=_decimate,
    properties=(
        one_sample_in_each_factor, level_is_kept, low_tones_stay_where_they_are, high_tones_vanish,
        a_factor_of_one_changes_nothing, decimates_as_scipy_does,
    ),
    wrong=mistakes(_decimate, {
        one_sample_in_each_factor: [
            (', mode="same"', "", "np.convolve returns N + 2 reach samples unless you ask for mode='same'."),
            ('mode="same"', 'mode="valid"',
             "mode='valid' leaves out the samples at both ends, where the filter would look past the sound."),
            ("y[::factor]", "y[: len(x) // factor * factor : factor]",
             "You cut off the last, incomplete group. Its first sample stays: N / factor, rounded up."),
            ("y[::factor]", "y[factor - 1 :: factor]",
             "You keep the last of each `factor` samples. The first one begins: [::factor]."),
            ("return y[::factor]", "return y", "You filter, but keep every sample: every factor-th is asked for."),
        ],
        level_is_kept: [
            ("taps = taps / taps.sum()", "",
             "The taps sum to about `factor`, so everything gets that much louder. Divide them by their sum."),
            ("/ taps.sum()", "/ factor",
             "The sum of the taps is near `factor`, but not equal: the window has taken a little. Divide by the sum."),
            ("/ taps.sum()", "/ np.abs(taps).sum()",
             "You divide by the sum of the absolute values. Taps below zero count as such: a constant meets them too."),
            ("/ taps.sum()", "/ np.linalg.norm(taps)", "You divide by the length of the taps as a vector. A constant "
             "comes back times their sum: divide by that."),
        ],
        low_tones_stay_where_they_are: [
            (', mode="same"', "", "y[::factor]", "y[: len(x)][::factor]",
             "Everything comes `reach` samples late: the filter must reach as far ahead as back: mode='same'."),
            ("convolve(x, taps", "convolve(x, np.ones(factor) / factor",
             "A mean of `factor` samples is a low-pass filter, but a poor one, and an even number has no middle. Use "
             "the taps that are given."),
            ("y[::factor]", "np.roll(y, -1)[::factor]",
             "All samples are one too early. The first one of the result is the first of the filtered sound."),
            ("return y[::factor]", "return np.interp(np.arange(0, len(x), factor) * 1.01, np.arange(len(x)), y)",
             "The samples that you keep are not exactly `factor` apart, so the tone is out of place at the end."),
        ],
        high_tones_vanish: [
            ("convolve(x, taps", "convolve(x[::factor], taps", "y[::factor]", "y",
             "You filter after the samples are gone. What was too high has come back as a low tone by then, and no "
             "filter tells it from a real one. Filter first."),
            ("return y[::factor]", "return x[::factor].copy()",
             "There is no filter (or one that changes nothing, as sinc(n) does): high tones come back mirrored."),
            ("np.sinc(n / factor)", "np.sinc(2 * n / factor)",
             "Your filter cuts at twice the new Nyquist frequency, which is the new sample rate. sinc(n / factor) cuts "
             "at half of it."),
            (" * np.hanning(2 * reach + 1)", "",
             "You cut the sinc off without a window. Its edges let some of each high tone through: times np.hanning."),
            ("np.sinc(n / factor)", "np.sinc(np.pi * n / factor)",
             "np.sinc(t) is sin(pi t) / (pi t): the pi is in it already."),
        ],
        a_factor_of_one_changes_nothing: [
            ("np.sinc(n / factor)", "np.sinc(n / factor / 2)",
             "Your filter cuts at half the new Nyquist frequency, so upper tones that had room are lost."),
        ],
        decimates_as_scipy_does: [
            ("return y[::factor]", "return np.clip(y, -1, 1)[::factor]", "You clip the result to [-1, 1]. A filter is "
             "linear: what is twice as loud comes out twice as loud."),
            ("np.hanning(2 * reach + 1)", "np.hamming(2 * reach + 1)", "That is the Hamming window. np.hanning is "
             "asked for, which fades out to 0."),
            ("np.hanning(2 * reach + 1)", "np.blackman(2 * reach + 1)", "That is the Blackman window: np.hanning."),
            ("np.hanning(2 * reach + 1)", "np.hanning(2 * reach + 2)[:-1]",
             "Your window is not symmetric: a periodic one is for a spectrum. np.hanning(2 * reach + 1)."),
            ("np.hanning(2 * reach + 1)", "np.hanning(2 * reach + 3)[1:-1]",
             "Your window is two samples wider than the filter. np.hanning(2 * reach + 1), which ends with 0."),
            ('np.convolve(x, taps, mode="same")', 'np.convolve(np.pad(x, reach, mode="edge"), taps, mode="valid")',
             "You continue the sound at its ends. mode='same' takes what lies outside as 0."),
            ('np.convolve(x, taps, mode="same")', 'np.convolve(np.pad(x, reach, mode="reflect"), taps, mode="valid")',
             "You mirror the sound at its ends. Outside of it there is nothing: zeros, as with mode='same'."),
            ('np.convolve(x, taps, mode="same")', "np.fft.ifft(np.fft.fft(x) * np.fft.fft(np.roll(np.pad(taps, (0, "
             "len(x) - len(taps))), -reach))).real",
             "A product of spectra goes round in a circle: the end of the sound reaches its start. Pad with zeros."),
        ],
    }),
    right=(_by_loop, _by_windows, _by_fft),
    examples=lambda generator: [
        (np.sin(0.5 * np.pi * np.arange(400) ** 2 / 400), 4, 32),
        (numpy_generator(generator).uniform(-1, 1, 300), 3, 20),
        (numpy_generator(generator).uniform(-1, 1, 41), 2, 20),
    ],
    picture=lambda target, yours, arguments: two_lines(target, yours, "sample", "amplitude"),
)  # fmt: skip
