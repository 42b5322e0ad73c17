"""Exercise 3, `held_out_gain`."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import linalg

from ...model import pcm
from .. import Exercise, expect, expect_close, mistakes
from ._shared import numpy_generator, sine_wave


def _past(half, order):
    return sliding_window_view(half, order)[:-1, ::-1]  # [M, order], the nearest sample first


def _held_out_gain(x, order):
    middle = len(x) // 2
    first, second = x[:middle], x[middle:]
    weights = np.linalg.lstsq(_past(first, order), first[order:], rcond=None)[0]
    target = second[order:]
    error = target - _past(second, order) @ weights
    return float(10 * np.log10(np.sum(target**2) / np.sum(error**2)))


HALVES = np.array([1.0, 2.0, 4.0, 8.0, 1.0, 3.0, 9.0, 27.0])


def is_one_number(answer):
    """The gain is a single finite number."""
    for N, order in ((60, 1), (81, 4)):
        gain = answer(np.random.uniform(-1, 1, N), order)
        expect(np.ndim(gain) == 0, f"the gain must be one number, not an array of shape {list(np.shape(gain))}")
        expect(math.isfinite(gain), f"the gain of noise: expected a finite number, not {gain}")


def by_hand_on_two_halves(answer):
    """The first half, 1 2 4 8, says “twice the last”; the second, 1 3 9 27, is then a third wrong: 9.54 dB."""
    message = "half 1: weight 2; half 2: targets 3 9 27, errors 1 3 9, so 10 log10(819 / 91)"
    expect_close(answer(HALVES, 1), 10 * math.log10(819 / 91), message, 1e-4)


def a_pure_tone_is_known_from_two_samples(answer):
    """A sine needs two weights and no more, and how loud it is does not matter."""
    for cycles in (0.03, 0.11):
        gain = answer(sine_wave(cycles, 400) + 1e-6 * np.random.standard_normal(400), 2)
        expect(gain > 60, f"a sine with two weights: expected more than 60 dB, not {gain:.1f}")
    x = np.random.standard_normal(200).cumsum()
    for factor in (100, 0.01):
        expect_close(answer(factor * x, 3), answer(x, 3), f"{factor} times as loud, the same gain is", 1e-4)


def noise_cannot_be_foretold(answer):
    """On noise many weights lose: what they learned by heart does not come again."""
    for _ in range(3):
        gain = answer(np.random.standard_normal(300), 60)
        expect(gain < 0, f"60 weights from 150 samples of noise: expected below 0 dB, not {gain:.2f}")


def many_weights_stay_exact(answer):
    """Neighbouring samples are nearly alike, so many weights are nearly one too many: the fit must stay exact."""
    for cycles, order in ((0.002, 8), (0.005, 16)):
        x = sine_wave(cycles, 800) + 1e-5 * np.random.standard_normal(800)
        expect_close(answer(x, order), _gain_by_scipy(x, order), f"a slow sine, order {order}", 1e-3)


def gains_as_the_library_has_them(answer):
    """On random walks it is the library's `pcm.snr` of targets and predictions, with SciPy's least squares."""
    for N, order in ((300, 1), (301, 5), (240, 12), (61, 3)):
        x = np.random.standard_normal(N).cumsum() + np.random.standard_normal(N) + 3
        expect_close(answer(x, order), _gain_by_scipy(x, order), f"N {N}, order {order}", 1e-4)


def _gain_by_scipy(x, order):
    middle = len(x) // 2
    rows = [linalg.toeplitz(half[order - 1 : -1], half[order - 1 :: -1]) for half in (x[:middle], x[middle:])]
    weights = linalg.lstsq(rows[0], x[order:middle])[0]
    return pcm.snr(x[middle + order :], rows[1] @ weights)


def _by_loop(x, order):
    x = [float(one) for one in x]
    first, second = x[: len(x) // 2], x[len(x) // 2 :]
    rows = np.array([[first[n - 1 - i] for i in range(order)] for n in range(order, len(first))])
    weights = np.linalg.pinv(rows) @ np.array(first[order:])
    signal = noise = 0.0
    for n in range(order, len(second)):
        signal += second[n] ** 2
        noise += (second[n] - sum(weights[i] * second[n - 1 - i] for i in range(order))) ** 2
    return 10 * math.log10(signal / noise)


def _by_filter(x, order):
    first, second = x[: len(x) // 2], x[len(x) // 2 :]
    columns = np.stack([first[order - i : len(first) - i] for i in range(1, order + 1)], 1)
    weights = np.linalg.lstsq(columns, first[order:], rcond=None)[0]
    error = np.convolve(second, np.concatenate([[1.0], -weights]))[order : len(second)]
    return 20 * np.log10(np.linalg.norm(second[order:]) / np.linalg.norm(error))


def _by_normal_equations(x, order):
    def rows(half):
        return np.array([half[n - order : n] for n in range(order, len(half))])  # the nearest sample last

    middle = len(x) // 2
    A, b = rows(x[:middle]), x[order:middle]
    error = x[middle + order :] - rows(x[middle:]) @ np.linalg.solve(A.T @ A, A.T @ b)
    return np.array(10 * np.log10(np.var(x[middle + order :]) + x[middle + order :].mean() ** 2)) - 10 * np.log10(
        np.mean(error**2)
    )


held_out_gain = Exercise(
    "held_out_gain",
    reference=_held_out_gain,
    properties=(
        is_one_number, by_hand_on_two_halves, a_pure_tone_is_known_from_two_samples, noise_cannot_be_foretold,
        many_weights_stay_exact, gains_as_the_library_has_them,
    ),
    wrong=mistakes((_past, _held_out_gain), {
        is_one_number: [
            ("np.sum(error**2)", "error**2", "You divide by each error. First the sum of both: one number."),
        ],
        by_hand_on_two_halves: [
            ("[:-1, ::-1]", "[1:, ::-1]", "The sample that is to be predicted stands among its own “past”, so the "
             "prediction is perfect. The past of x[n] ends at x[n - 1]."),
            ("_past(first, order), first[order:]", "_past(x, order), x[order:]",
             "Your weights have seen the second half too. Then nothing is held out: fit them on the first half alone."),
            ("target = second[order:]", "second = first; target = second[order:]",
             "You measure on the half that the weights come from. That flatters them: measure on the second half."),
            ("first, second = x", "second, first = x",
             "The halves are swapped: fit on the first, measure the second."),
            ("10 * np", "20 * np",
             "20 log10 is for a ratio of amplitudes. Your sums of squares are energies: 10 log10."),
            ("10 * np", "-10 * np",
             "The ratio is upside down. A gain is signal over error, so a good prediction has a large one."),
            ("target = second", "second = x[middle - order :]; target = second",
             "The first samples of the second half are predicted from the end of the first. Keep the halves apart: the "
             "first target is x[half + order]."),
            ("np.sum(target**2)", "np.sum(second**2)",
             "The energy of the whole half stands above the line. Its first `order` samples are no targets."),
            ("np.log10", "np.log", "np.log is the natural logarithm. Decibels need np.log10."),
            ("10 * np.log10(np.sum(target**2) / np.sum(error**2))", "np.sum(target**2) / np.sum(error**2)",
             "That is the ratio. In dB it is 10 log10 of it."),
            ("np.sum(target**2) / np.sum(error**2)", "np.abs(target).sum() / np.abs(error).sum()",
             "These are sums of absolute values. Energy is the sum of squares."),
            ("np.sum(target**2)", "np.sum((target - error) ** 2)",
             "The energy of the prediction stands above the line. The gain compares the targets with the errors."),
            ("first, second = x[:middle], x[middle:]", "first, second = x[:middle] - x[:middle].mean(), x[middle:] - "
             "x[middle:].mean()", "You take the mean of each half away. The samples are predicted as they are."),
        ],
        a_pure_tone_is_known_from_two_samples: [
            ("_past(second, order) @", "_past(second, order)[:, ::-1] @",
             "The weights were fitted with the nearest sample first and are used the other way round."),
            ("np.sum(error**2)", "(np.sum(error**2) + 1e-3)",
             "You add a small number to the energy of the error, so a quiet sound has another gain than a loud one."),
            ("target = second[order:]", "weights = np.round(weights, 2); target = second[order:]",
             "You round the weights. Neighbouring weights nearly cancel, so every digit of them counts."),
        ],
        noise_cannot_be_foretold: [
            ("return float(", "return max(0.0, ", "You cut gains below 0 dB off. They are news: such a prediction is "
             "worse than none."),
            ("[0]\n", "[0] if order < 50 else np.zeros(order)\n",
             "You limit the order: `order` weights, however many."),
        ],
        many_weights_stay_exact: [
            ("np.linalg.lstsq(_past(first, order), first[order:], rcond=None)[0]",
             "(lambda A: np.linalg.solve(A.T @ A, A.T @ first[order:]))(_past(first, order).astype(np.float32))",
             "You compute in float32, and the normal equations square what is nearly singular. Use "
             "np.linalg.lstsq, in float64."),
            ("rcond=None", "rcond=1e-3", "Your fit throws away what it takes for noise: small singular values. They "
             "count here: rcond=None."),
            ("np.sum(target**2) / np.sum(error**2)", "np.var(target) / np.var(error)",
             "np.var takes the mean away first. Energy is the sum of the squares as they are."),
        ],
        gains_as_the_library_has_them: [
            ("middle = len(x) // 2", "middle = (len(x) + 1) // 2",
             "With an odd number of samples the first half is the shorter one: len(x) // 2."),
            ("_past(first, order), first[order:]", "_past(first, order)[:-1], first[order:-1]",
             "The last sample of the first half is a target too: yours ends one too early."),
            ("_past(first, order), first", "np.c_[_past(first, order), np.ones(middle - order)], first",
             "_past(second, order) @ weights", "np.c_[_past(second, order), np.ones(len(target))] @ weights",
             "You fit a constant besides the weights. A prediction here is a weighted sum of past samples alone."),
        ],
    }),
    right=(_by_loop, _by_filter, _by_normal_equations),
    examples=lambda generator: [
        (numpy_generator(generator).standard_normal(240).cumsum(), 6),
        (numpy_generator(generator).standard_normal(81), 4),
        (HALVES, 1),
        (sine_wave(0.002, 800) + 1e-5 * numpy_generator(generator).standard_normal(800), 8),
    ],
)  # fmt: skip
