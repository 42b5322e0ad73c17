"""Exercise 3, `held_out_gain`."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import Exercise, Wrong, expect, expect_close
from ._shared import numpy_generator, sine_wave


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
        gain = answer(sine_wave(cycles, 400) + 1e-6 * np.random.standard_normal(400), 2)
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
        (numpy_generator(generator).standard_normal(240).cumsum(), 6),
        (numpy_generator(generator).standard_normal(81), 4),
        (HALVES, 1),
    ],
)
