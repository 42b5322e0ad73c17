"""The exercises of assignment 01: silence that stays silent, fewer samples, an honest prediction, where notes begin."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from .. import figures
from . import Exercise, Wrong, expect, expect_close, seal


def _expect_array(value, shape: tuple[int, ...], kind: str, name: str = "the result") -> None:
    """Expect an array of that shape, of whole numbers (kind "i") or of floating-point numbers ("f")."""
    expect(isinstance(value, np.ndarray), f"{name} must be an array, not {type(value).__name__}")
    expect(value.shape == shape, f"{name} must have shape {list(shape)}, not {list(value.shape)}")
    expect(value.dtype.kind == kind, f"{name} must be {'int64' if kind == 'i' else 'float'}, not {value.dtype}")


def _random(generator: torch.Generator) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))


# ---- 1. mid_tread ------------------------------------------------------------------------------------------------


def _mid_tread(x, bits):
    half = 2 ** (bits - 1)
    codes = np.clip(np.round(x * half), -half, half - 1).astype(np.int64)
    return codes, codes / half


def returns_codes_and_values(answer):
    """Codes are int64 and values float, both of the shape of x."""
    for shape, bits in (((7,), 3), ((2, 5), 8), ((1,), 16)):
        results = answer(np.random.uniform(-1, 1, shape), bits)
        expect(isinstance(results, tuple) and len(results) == 2, "two results are expected: codes, values")
        _expect_array(results[0], shape, "i", "codes")
        _expect_array(results[1], shape, "f", "values")


def silence_stays_silent(answer):
    """Zero, and what is within half a step of it, comes back as exactly zero."""
    for bits in (2, 8):
        half = 2 ** (bits - 1)
        codes, values = answer(np.array([0.0, 0.4, -0.4]) / half, bits)
        expect(not codes.any(), f"{bits} bits: 0, 0.4 and -0.4 steps must all get code 0, not {codes.tolist()}")
        expect(not values.any(), f"{bits} bits: code 0 must come back as 0, not {values.tolist()}")


def three_bits_by_hand(answer):
    """Three bits on six samples: steps of a quarter, each sample to the nearest."""
    codes, values = answer(np.array([-1.0, -0.6, -0.15, 0.1, 0.4, 0.6]), 3)
    expect_close(codes, np.array([-4, -2, -1, 0, 2, 2]), "the codes of -1, -0.6, -0.15, 0.1, 0.4, 0.6")
    expect_close(values, np.array([-1, -0.5, -0.25, 0, 0.5, 0.5]), "their values")


def codes_fit_into_the_bits(answer):
    """There are 2^bits codes and no more, however loud the sound."""
    for bits in (1, 4, 16):
        half = 2 ** (bits - 1)
        codes, values = answer(np.array([-3.0, 3.0]), bits)
        expect(
            codes.tolist() == [-half, half - 1],
            f"with {bits} bits codes go from {-half} to {half - 1}, but -3 and 3 got {codes.tolist()}",
        )
        expect_close(values, np.array([-half, half - 1]) / half, "a value is its code times the step")


def quantizes_as_the_library_does(answer):
    """On random sounds, codes and values are those of the library."""
    for shape, bits in (((300,), 5), ((3, 40), 10)):
        x = 1.1 * np.random.uniform(-1, 1, shape)
        for name, yours, target in zip(("codes", "values"), answer(x, bits), _mid_tread(x, bits), strict=True):
            expect_close(yours, target, f"{bits} bits: {name} differ")


def _tread_truncated(x, bits):
    half = 2 ** (bits - 1)
    codes = np.clip((x * half).astype(np.int64), -half, half - 1)
    return codes, codes / half


def _tread_floored(x, bits):
    half = 2 ** (bits - 1)
    codes = np.clip(np.floor(x * half), -half, half - 1).astype(np.int64)
    return codes, codes / half


def _tread_unclipped(x, bits):
    codes = np.round(x * 2 ** (bits - 1)).astype(np.int64)
    return codes, codes / 2 ** (bits - 1)


def _tread_one_too_many(x, bits):
    half = 2 ** (bits - 1)
    codes = np.clip(np.round(x * half), -half, half).astype(np.int64)
    return codes, codes / half


def _tread_narrow(x, bits):
    most = max(2 ** (bits - 1) - 1, 1)
    codes = np.clip(np.round(x * most), -most - 1, most).astype(np.int64)
    return codes, codes / most


def _tread_all_bits(x, bits):
    codes = np.clip(np.round(x * 2**bits), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int64)
    return codes, codes / 2**bits


def _tread_float_codes(x, bits):
    half = 2 ** (bits - 1)
    codes = np.clip(np.round(x * half), -half, half - 1)
    return codes, codes / half


def _tread_loop(x, bits):
    half = 2 ** (bits - 1)
    codes = np.array([min(max(math.floor(float(one) * half + 0.5), -half), half - 1) for one in x.flat])
    return codes.reshape(x.shape), codes.reshape(x.shape) / half


def _tread_search(x, bits):
    levels = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    edges = levels[:-1] + 0.5
    codes = levels[np.searchsorted(edges, x * 2 ** (bits - 1))]
    return codes, codes * 2.0 ** (1 - bits)


mid_tread = Exercise(
    "mid_tread",
    reference=_mid_tread,
    properties=(
        returns_codes_and_values,
        silence_stays_silent,
        three_bits_by_hand,
        codes_fit_into_the_bits,
        quantizes_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _tread_float_codes,
            "returns_codes_and_values",
            "Your codes are whole numbers of type float. Turn them into integers: .astype(np.int64).",
        ),
        Wrong(
            _tread_floored,
            "silence_stays_silent",
            "You round down. The smallest negative noise then becomes a whole step. Round to the nearest: np.round.",
        ),
        Wrong(
            _tread_truncated,
            "three_bits_by_hand",
            "astype(int) cuts off what stands behind the point, so everything moves towards zero. Call np.round first.",
        ),
        Wrong(
            _tread_all_bits,
            "silence_stays_silent",
            "The range from -1 to 1 is 2 wide and has 2^bits steps, so a step is 2 / 2^bits = 1 / 2^(bits - 1).",
        ),
        Wrong(
            _tread_narrow,
            "three_bits_by_hand",
            "You stretch by 2^(bits - 1) - 1, so that 1.0 just fits. Here the step is 1 / 2^(bits - 1): multiply by "
            "2^(bits - 1) and let 1.0 be clipped.",
        ),
        Wrong(
            _tread_unclipped,
            "codes_fit_into_the_bits",
            "A loud sample gets a code that the bits cannot hold. In a file it would turn over: clip the codes.",
        ),
        Wrong(
            _tread_one_too_many,
            "codes_fit_into_the_bits",
            "From -half to half there are 2^bits + 1 codes, zero included. The highest is half - 1.",
        ),
    ),
    right=(_tread_loop, _tread_search),
    examples=lambda generator: [
        (1.2 * _random(generator).uniform(-1, 1, 64), 3),
        (_random(generator).uniform(-1, 1, (2, 9)), 8),
        (np.array([-2.0, 0.0, 0.06, 2.0]), 4),
    ],
)


# ---- 2. decimate -------------------------------------------------------------------------------------------------


def _taps(factor, reach):
    taps = np.sinc(np.arange(-reach, reach + 1) / factor) * np.hanning(2 * reach + 1)
    return taps / taps.sum()


def _decimate(x, factor, reach):
    return np.convolve(x, _taps(factor, reach), mode="same")[::factor]


def _sine(cycles: float, N: int = 1024) -> np.ndarray:
    """A sine of so many cycles a sample, [N]."""
    return np.sin(2 * np.pi * cycles * np.arange(N))


INNER = slice(30, -30)  # without the edges, where the filter looks at nothing


def one_sample_in_each_factor(answer):
    """Of N samples, N / factor remain, rounded up, the first among them."""
    for N, factor, reach in ((400, 4, 16), (401, 4, 16), (403, 5, 10), (300, 1, 8)):
        _expect_array(answer(np.random.uniform(-1, 1, N), factor, reach), (-(-N // factor),), "f")


def level_is_kept(answer):
    """A constant keeps its level."""
    for factor in (2, 4):
        y = answer(np.full(800, 0.25), factor, 32)[INNER]
        expect_close(y, np.full(len(y), 0.25), f"factor {factor}: a constant 0.25 changes", 1e-4)


def low_tones_stay_where_they_are(answer):
    """A tone far below the new Nyquist frequency keeps its amplitude and its place in time."""
    for factor in (2, 4):
        x = _sine(0.2 * 0.5 / factor)
        off = float(np.abs(answer(x, factor, 32) - x[::factor])[INNER].max())
        expect(off < 0.02, f"factor {factor}: a tone at a fifth of the new Nyquist frequency is off by {off:.2f}")


def high_tones_vanish(answer):
    """A tone above the new Nyquist frequency leaves next to nothing behind."""
    for factor in (2, 4):
        for times in (1.3, 1.7):
            left = float(np.abs(answer(_sine(times * 0.5 / factor), factor, 32)[INNER]).max())
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
        (_random(generator).uniform(-1, 1, 300), 3, 20),
    ],
    picture=_decimate_picture,
)


# ---- 3. held_out_gain --------------------------------------------------------------------------------------------


def _pairs(x, order):
    return sliding_window_view(x, order)[:-1, ::-1], x[order:]


def _held_out_gain(x, order):
    first, second = x[: len(x) // 2], x[len(x) // 2 :]
    weights = np.linalg.lstsq(*_pairs(first, order), rcond=None)[0]
    past, target = _pairs(second, order)
    return float(10 * np.log10(np.sum(target**2) / np.sum((target - past @ weights) ** 2)))


HALVES = np.array([1.0, 2.0, 4.0, 8.0, 1.0, 3.0, 9.0, 27.0])


def is_one_number(answer):
    """The gain is a single finite number."""
    for N, order in ((60, 1), (81, 4)):
        gain = answer(np.random.uniform(-1, 1, N), order)
        message = f"the gain must be one number, not {type(gain).__name__}"
        expect(isinstance(gain, float | np.floating) or np.ndim(gain) == 0, message)
        expect(math.isfinite(gain), f"the gain of noise must be finite, not {gain}")


def by_hand_on_two_halves(answer):
    """The first half, 1 2 4 8, says “twice the last”; the second, 1 3 9 27, is then a third wrong: 9.54 dB."""
    message = "half 1: weight 2; half 2: targets 3 9 27, errors 1 3 9, so 10 log10(819 / 91)"
    expect_close(answer(HALVES, 1), 10 * math.log10(819 / 91), message, 1e-4)


def a_pure_tone_is_known_from_two_samples(answer):
    """A sine needs two weights and no more, and how loud it is does not matter."""
    for cycles in (0.03, 0.11):
        gain = answer(_sine(cycles, 400) + 1e-6 * np.random.standard_normal(400), 2)
        expect(gain > 60, f"a sine with two weights must be known to more than 60 dB, not {gain:.1f}")
    x = np.random.standard_normal(200).cumsum()
    expect_close(answer(100 * x, 3), answer(x, 3), "a hundred times as loud, the gain must be the same", 1e-4)


def noise_cannot_be_foretold(answer):
    """On noise many weights lose: what they learned by heart does not come again."""
    for _ in range(3):
        gain = answer(np.random.standard_normal(300), 60)
        expect(gain < 0, f"60 weights from 150 samples of noise must do worse than none (below 0 dB), not {gain:.2f}")


def gains_as_the_library_does(answer):
    """On random walks the gain is the library's."""
    for N, order in ((300, 1), (301, 5), (240, 12)):
        x = np.random.standard_normal(N).cumsum() + np.random.standard_normal(N)
        expect_close(answer(x, order), _held_out_gain(x, order), f"N {N}, order {order}", 1e-4)


def _gain(target, error):
    return float(10 * np.log10(np.sum(target**2) / np.sum(error**2)))


def _gain_all(x, order):
    weights = np.linalg.lstsq(*_pairs(x, order), rcond=None)[0]
    past, target = _pairs(x[len(x) // 2 :], order)
    return _gain(target, target - past @ weights)


def _gain_training_half(x, order):
    past, target = _pairs(x[: len(x) // 2], order)
    weights = np.linalg.lstsq(past, target, rcond=None)[0]
    return _gain(target, target - past @ weights)


def _gain_swapped(x, order):
    weights = np.linalg.lstsq(*_pairs(x[len(x) // 2 :], order), rcond=None)[0]
    past, target = _pairs(x[: len(x) // 2], order)
    return _gain(target, target - past @ weights)


def _gain_peeking(x, order):
    def pairs(y):
        return sliding_window_view(y, order)[1:, ::-1], y[order:]

    weights = np.linalg.lstsq(*pairs(x[: len(x) // 2]), rcond=None)[0]
    past, target = pairs(x[len(x) // 2 :])
    return _gain(target, target - past @ weights)


def _gain_twice(x, order):
    return 2 * _held_out_gain(x, order)


def _gain_upside_down(x, order):
    return -_held_out_gain(x, order)


def _gain_reversed(x, order):
    weights = np.linalg.lstsq(*_pairs(x[: len(x) // 2], order), rcond=None)[0]
    past, target = _pairs(x[len(x) // 2 :], order)
    return _gain(target, target - past[:, ::-1] @ weights)


def _gain_across(x, order):
    half = len(x) // 2
    weights = np.linalg.lstsq(*_pairs(x[:half], order), rcond=None)[0]
    past, target = _pairs(x[half - order :], order)
    return _gain(target, target - past @ weights)


def _gain_loop(x, order):
    x = [float(one) for one in x]
    first, second = x[: len(x) // 2], x[len(x) // 2 :]
    rows = np.array([[first[n - 1 - i] for i in range(order)] for n in range(order, len(first))])
    weights = np.linalg.pinv(rows) @ np.array(first[order:])
    signal = noise = 0.0
    for n in range(order, len(second)):
        signal += second[n] ** 2
        noise += (second[n] - sum(weights[i] * second[n - 1 - i] for i in range(order))) ** 2
    return 10 * math.log10(signal / noise)


def _gain_filter(x, order):
    first, second = np.array_split(x, [len(x) // 2])
    columns = np.stack([first[order - i : len(first) - i] for i in range(1, order + 1)], 1)
    weights = np.linalg.lstsq(columns, first[order:], rcond=None)[0]
    error = np.convolve(second, np.concatenate([[1.0], -weights]))[order : len(second)]
    return 20 * np.log10(np.linalg.norm(second[order:]) / np.linalg.norm(error))


held_out_gain = Exercise(
    "held_out_gain",
    reference=_held_out_gain,
    properties=(
        is_one_number,
        by_hand_on_two_halves,
        a_pure_tone_is_known_from_two_samples,
        noise_cannot_be_foretold,
        gains_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _gain_peeking,
            "by_hand_on_two_halves",
            "The sample that is to be predicted stands among its own “past”, so the prediction is perfect. The past "
            "of x[n] ends at x[n - 1].",
        ),
        Wrong(
            _gain_all,
            "by_hand_on_two_halves",
            "Your weights have seen the second half too. Then nothing is held out: fit them on the first half alone.",
        ),
        Wrong(
            _gain_training_half,
            "by_hand_on_two_halves",
            "You measure on the half that the weights come from. That flatters them: measure on the second half.",
        ),
        Wrong(_gain_swapped, "by_hand_on_two_halves", "The halves are swapped: fit on the first, measure the second."),
        Wrong(
            _gain_twice,
            "by_hand_on_two_halves",
            "20 log10 is for a ratio of amplitudes. Your sums of squares are energies: 10 log10.",
        ),
        Wrong(
            _gain_upside_down,
            "by_hand_on_two_halves",
            "The ratio is upside down. A gain is signal over error, so a good prediction has a large one.",
        ),
        Wrong(
            _gain_across,
            "by_hand_on_two_halves",
            "The first samples of the second half are predicted from the end of the first. Keep the halves apart: the "
            "first target is x[half + order].",
        ),
        Wrong(
            _gain_reversed,
            "a_pure_tone_is_known_from_two_samples",
            "The weights were fitted with the nearest sample first and are used the other way round.",
        ),
    ),
    right=(_gain_loop, _gain_filter),
    examples=lambda generator: [
        (_random(generator).standard_normal(240).cumsum(), 6),
        (_random(generator).standard_normal(81), 4),
        (HALVES, 1),
    ],
)


# ---- 4. onset_strength -------------------------------------------------------------------------------------------


def _onset_strength(x, window, hop):
    frames = sliding_window_view(x, len(window))[::hop]  # [T, W]
    magnitude = np.abs(np.fft.rfft(frames * window))  # [T, W / 2 + 1]
    rise = np.maximum(np.diff(magnitude, axis=0), 0).sum(1)  # [T - 1]
    return np.concatenate([[0.0], rise])


def _hann(W: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(W) / W)


def one_strength_for_each_frame(answer):
    """There is one number for each whole frame, the first of them 0."""
    for N, W, hop in ((200, 32, 8), (100, 16, 16), (75, 20, 7)):
        strength = answer(np.random.uniform(-1, 1, N), _hann(W), hop)
        _expect_array(strength, (1 + (N - W) // hop,), "f")
        expect(strength[0] == 0, f"before the first frame there is none, so its strength is 0, not {strength[0]:.3g}")


def a_click_by_hand(answer):
    """A click of 4 where the window is a half: five frequencies, each rising by 2, and then nothing."""
    x = np.zeros(32)
    x[18] = 4.0  # frame 2, place 2
    expect_close(answer(x, _hann(8), 8), np.array([0.0, 0.0, 10.0, 0.0]), "frames of 8: nothing, nothing, 10, nothing")


def an_end_is_not_a_beginning(answer):
    """While a tone dies away nothing begins: all strengths are 0."""
    x = _sine(1 / 16, 600) * np.exp(-np.arange(600) / 100)
    expect_close(answer(x, _hann(64), 16), np.zeros(34), "a tone that dies away", 1e-6)


def a_new_note_counts_though_the_old_one_ends(answer):
    """When a tone gives way to another as loud, the rise is not cancelled by the fall."""
    x = np.concatenate([_sine(1 / 16, 512), _sine(3 / 16, 512)])
    strength = answer(x, _hann(64), 64)
    expect(strength[8] > 20, f"16 cycles give way to 48: the strength of frame 8 must be large, not {strength[8]:.2f}")
    expect(float(np.delete(strength, 8).max()) < 1e-6, "a tone that just goes on has the strength 0")


def strengths_are_the_librarys(answer):
    """On random sounds the strengths are the library's."""
    for N, W, hop in ((300, 32, 8), (211, 30, 13)):
        x, window = np.random.uniform(-1, 1, N), _hann(W)
        expect_close(answer(x, window, hop), _onset_strength(x, window, hop), f"N {N}, W {W}, hop {hop}")


def _magnitude(x, window, hop):
    return np.abs(np.fft.rfft(sliding_window_view(x, len(window))[::hop] * window))


def _onset_unrectified(x, window, hop):
    return np.concatenate([[0.0], np.diff(_magnitude(x, window, hop), axis=0).sum(1)])


def _onset_both_ways(x, window, hop):
    return np.concatenate([[0.0], np.abs(np.diff(_magnitude(x, window, hop), axis=0)).sum(1)])


def _onset_sum_first(x, window, hop):
    return np.concatenate([[0.0], np.maximum(np.diff(_magnitude(x, window, hop).sum(1)), 0)])


def _onset_without_first(x, window, hop):
    return np.maximum(np.diff(_magnitude(x, window, hop), axis=0), 0).sum(1)


def _onset_across_frequencies(x, window, hop):
    return np.maximum(np.diff(_magnitude(x, window, hop), axis=1), 0).sum(1)


def _onset_whole_fft(x, window, hop):
    magnitude = np.abs(np.fft.fft(sliding_window_view(x, len(window))[::hop] * window))
    return np.concatenate([[0.0], np.maximum(np.diff(magnitude, axis=0), 0).sum(1)])


def _onset_power(x, window, hop):
    return np.concatenate([[0.0], np.maximum(np.diff(_magnitude(x, window, hop) ** 2, axis=0), 0).sum(1)])


def _onset_no_window(x, window, hop):
    return _onset_strength(x, np.ones(len(window)), hop)


def _onset_loop(x, window, hop):
    W, before, strengths = len(window), None, []
    for start in range(0, len(x) - W + 1, hop):
        now = np.abs(np.fft.rfft(x[start : start + W] * window))
        strengths.append(0.0 if before is None else sum(max(b - a, 0.0) for a, b in zip(before, now, strict=True)))
        before = now
    return np.array(strengths)


def _onset_matrix(x, window, hop):
    W = len(window)
    wave = np.exp(-2j * np.pi * np.outer(np.arange(W), np.arange(W // 2 + 1)) / W)  # [W, W / 2 + 1]
    starts = np.arange(0, len(x) - W + 1, hop)[:, None]
    magnitude = np.abs((x[starts + np.arange(W)] * window) @ wave)
    change = np.diff(magnitude, axis=0, prepend=magnitude[:1])
    return ((change + np.abs(change)) / 2).sum(-1)


def _onset_picture(target, yours, arguments):
    figure, axes = figures.new_figure(7.6, 2.4)
    axes.plot(target, color=figures.LIT, linewidth=4, alpha=0.4, label="target")
    axes.plot(yours, color=figures.INK, linestyle="--", linewidth=1.2, label="yours")
    axes.set(xlabel="frame", ylabel="strength")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "onset strength by frame: target as a broad line, yours dashed")


def _two_notes(generator: torch.Generator) -> tuple:
    x = 0.01 * _random(generator).standard_normal(800)
    x[200:500] += _sine(0.07, 300) * np.exp(-np.arange(300) / 150)
    x[500:] += _sine(0.11, 300) * np.exp(-np.arange(300) / 150)
    return x, _hann(64), 16


onset_strength = Exercise(
    "onset_strength",
    reference=_onset_strength,
    properties=(
        one_strength_for_each_frame,
        a_click_by_hand,
        an_end_is_not_a_beginning,
        a_new_note_counts_though_the_old_one_ends,
        strengths_are_the_librarys,
    ),
    wrong=(
        Wrong(
            _onset_without_first,
            "one_strength_for_each_frame",
            "T frames have T - 1 differences. Put a 0 in front, so that strength t belongs to frame t.",
        ),
        Wrong(
            _onset_across_frequencies,
            "one_strength_for_each_frame",
            "You compare each frequency with the next one of the same frame. Compare each frame with the one before: "
            "axis 0 of [T, W / 2 + 1].",
        ),
        Wrong(
            _onset_whole_fft,
            "a_click_by_hand",
            "np.fft.fft gives every frequency of a real sound twice, so you count it twice. Use np.fft.rfft.",
        ),
        Wrong(_onset_power, "a_click_by_hand", "These are energies. Take the magnitude, without the square."),
        Wrong(
            _onset_no_window,
            "a_click_by_hand",
            "The frames are not multiplied with the window. Without it a steady tone seems to change from frame to "
            "frame.",
        ),
        Wrong(
            _onset_unrectified,
            "a_click_by_hand",
            "Rises and falls are added up, so they cancel. Only rises count: np.maximum(difference, 0) before the sum.",
        ),
        Wrong(
            _onset_both_ways,
            "a_click_by_hand",
            "The absolute value counts falls as well: every end looks like a beginning. np.maximum(difference, 0).",
        ),
        Wrong(
            _onset_sum_first,
            "a_new_note_counts_though_the_old_one_ends",
            "You add up the frequencies first. Then a note that ends cancels one that begins. First the difference of "
            "each frequency, then the sum of the positive ones.",
        ),
    ),
    right=(_onset_loop, _onset_matrix),
    examples=lambda generator: [_two_notes(generator), (_random(generator).uniform(-1, 1, 90), _hann(20), 7)],
    picture=_onset_picture,
)


EXERCISES = (mid_tread, decimate, held_out_gain, onset_strength)
seal(__name__)
