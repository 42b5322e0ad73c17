"""Exercise 3, `codebooks_for`: plan a bit rate."""

from __future__ import annotations

import math

import torch

from ...model.quantization import bit_rate
from .. import Exercise, Wrong, expect, expect_close


def _fit(bits_per_second: float, codebook_size: int, frame_rate: float, most: int) -> int:
    count = min(most, math.floor(bits_per_second / bit_rate(1, codebook_size, frame_rate)))
    if count < 1:
        raise ValueError(f"not even one codebook fits into {bits_per_second} bit/s")
    return count


def gives_a_whole_number(answer):
    """The result is a whole number."""
    for arguments in ((6000, 1024, 75, 32), (2200.0, 2048, 50.0, 4)):
        value = answer(*arguments)
        expect(type(value) is int, f"the number of codebooks must be an int, not {type(value).__name__}")


def published_bandwidths_come_out(answer):
    """EnCodec's 1.5, 6 and 24 kbit/s are 2, 8 and 32 codebooks, and MusicGen's 2.2 kbit/s are 4."""
    for arguments, count in (
        ((1500, 1024, 75, 32), 2),
        ((6000, 1024, 75, 32), 8),
        ((24000, 1024, 75, 32), 32),
        ((2200, 2048, 50, 8), 4),
    ):
        expect_close(answer(*arguments), count, f"{arguments[0]} bit/s, V {arguments[1]}, {arguments[2]} frames/s")


def budget_is_kept(answer):
    """The bit rate never exceeds the budget, and one codebook more would."""
    for budget in (1999, 1501, 751, 2001):
        count = answer(budget, 1024, 50, 99)
        expect(count * 500 <= budget, f"{count} codebooks cost {count * 500} bit/s, but the budget is {budget}")
        expect((count + 1) * 500 > budget, f"{budget} bit/s: {count + 1} codebooks would still fit")


def never_more_than_there_are(answer):
    """A large budget gives all the codebooks there are, not more."""
    expect_close(answer(1_000_000, 1024, 50, 4), 4, "a million bit/s, but the codec has 4 codebooks")


def too_small_a_budget_is_an_error(answer):
    """A budget in which not even one codebook fits is a ValueError."""
    try:
        value = answer(499, 1024, 50, 4)
    except ValueError:
        return
    expect(False, f"499 bit/s with codebooks of 500: expected a ValueError, not {value}")


def rate_agrees_with_the_library(answer):
    """By the library's bit_rate, the result fits and one more does not."""
    for V, rate in ((512, 25), (4096, 12.5), (256, 86)):
        for budget in torch.randint(round(bit_rate(1, V, rate)) + 1, 20_000, (10,)).tolist():
            count = answer(budget, V, rate, 1000)
            fits = bit_rate(count, V, rate) <= budget < bit_rate(count + 1, V, rate)
            expect(fits, f"{budget} bit/s, V {V}, {rate} frames/s: {count} is not the largest number that fits")


def _fit_with(budget, cost, most, to_int=math.floor):
    count = min(most, int(to_int(budget / cost)))
    if count < 1:
        raise ValueError("too little")
    return count


def _fit_float(budget, V, rate, most):
    return float(_fit(budget, V, rate, most))


def _fit_entries(budget, V, rate, most):
    return min(most, int(budget // (V * rate)))


def _fit_natural(budget, V, rate, most):
    return _fit_with(budget, math.log(V) * rate, most)


def _fit_no_frames(budget, V, rate, most):
    return _fit_with(budget, math.log2(V), most)


def _fit_kilo(budget, V, rate, most):
    return _fit_with(budget, math.log2(V) * rate / 1000, most)


def _fit_round(budget, V, rate, most):
    return _fit_with(budget, math.log2(V) * rate, most, round)


def _fit_up(budget, V, rate, most):
    return _fit_with(budget, math.log2(V) * rate, most, math.ceil)


def _fit_no_cap(budget, V, rate, most):
    return _fit_with(budget, math.log2(V) * rate, 10**9)


def _fit_zero(budget, V, rate, most):
    return min(most, math.floor(budget / (math.log2(V) * rate)))


def _fit_at_least_one(budget, V, rate, most):
    return max(1, min(most, math.floor(budget / (math.log2(V) * rate))))


def _fit_loop(budget, V, rate, most):
    count = 0
    while count < most and (count + 1) * math.log2(V) * rate <= budget:
        count += 1
    if not count:
        raise ValueError("the budget is too small for one codebook")
    return count


def _fit_search(budget, V, rate, most):
    fitting = [K for K in range(1, most + 1) if bit_rate(K, V, rate) <= budget]
    if not fitting:
        raise ValueError("the budget is too small for one codebook")
    return max(fitting)


codebooks_for = Exercise(
    "codebooks_for",
    reference=_fit,
    properties=(
        gives_a_whole_number,
        published_bandwidths_come_out,
        budget_is_kept,
        never_more_than_there_are,
        too_small_a_budget_is_an_error,
        rate_agrees_with_the_library,
    ),
    wrong=(
        Wrong(_fit_float, "gives_a_whole_number", "A number of codebooks is an int: math.floor, or int()."),
        Wrong(
            _fit_entries,
            "published_bandwidths_come_out",
            "A code that can take V values costs log2(V) bits, not V.",
        ),
        Wrong(
            _fit_natural,
            "published_bandwidths_come_out",
            "math.log is the natural logarithm. Bits need base 2: math.log2.",
        ),
        Wrong(
            _fit_no_frames,
            "published_bandwidths_come_out",
            "A codebook costs log2(V) bits for each frame, and there are frame_rate frames in a second.",
        ),
        Wrong(
            _fit_kilo,
            "published_bandwidths_come_out",
            "The budget is in bit/s, not in kbit/s: no factor of 1000 is needed.",
        ),
        Wrong(
            _fit_round,
            "budget_is_kept",
            "You round to the nearest number, which may not fit any more. Round down: math.floor.",
        ),
        Wrong(_fit_up, "budget_is_kept", "You round up: the last codebook does not fit. Round down: math.floor."),
        Wrong(
            _fit_no_cap,
            "never_more_than_there_are",
            "You promise more codebooks than the codec has. Take the minimum with `most`.",
        ),
        Wrong(
            _fit_zero,
            "too_small_a_budget_is_an_error",
            "You return 0 codebooks, which is no codec. Raise a ValueError that says so.",
        ),
        Wrong(
            _fit_at_least_one,
            "too_small_a_budget_is_an_error",
            "You return 1 although one codebook costs more than the budget. Raise a ValueError that says so.",
        ),
    ),
    right=(_fit_loop, _fit_search),
    examples=lambda generator: [
        (budget, V, rate, most)
        for budget, V, rate, most in (
            (6000, 1024, 75, 1_000_000),
            (1900, 1024, 50, 9),
            (700, 1024, 50, 9),
            (90_000, 512, 50, 4),
            (300, 1024, 50, 4),
        )
    ],
)
