"""Exercise 1, `mid_tread`."""

from __future__ import annotations

import math

import numpy as np

from ...model import pcm
from .. import Exercise, expect, expect_close, expect_equal, mistakes
from ._shared import expect_array, numpy_generator


def _mid_tread(x, bits):
    half = 2 ** (bits - 1)
    steps = np.round(x * half)
    codes = np.clip(steps, -half, half - 1).astype(np.int64)
    values = codes / half
    return codes, values


def _both(answer, x, bits):
    results = answer(x, bits)
    expect(len(results) == 2, f"two results are expected, codes and values, not {len(results)}")
    expect_array(results[0], x.shape, "i", "codes")
    expect_array(results[1], x.shape, "f", "values")
    return results


def returns_codes_and_values(answer):
    """Codes are int64 and values float, both of the shape of x."""
    for shape, bits in (((7,), 3), ((2, 5), 8), ((1,), 16), ((2, 3, 4), 5)):
        _both(answer, np.random.uniform(-1, 1, shape), bits)


def silence_stays_silent(answer):
    """Zero, and what is within half a step of it, comes back as exactly zero."""
    for bits in (2, 8):
        half = 2 ** (bits - 1)
        codes, values = _both(answer, np.array([0.0, 0.4, -0.4]) / half, bits)
        expect_equal(codes, [0, 0, 0], f"{bits} bits, the codes of 0, 0.4 and -0.4 steps")
        expect(not values.any(), f"{bits} bits, the values of 0, 0.4 and -0.4 steps: expected 0, not {values.tolist()}")


def three_bits_by_hand(answer):
    """Three bits on six samples: steps of a quarter, each sample to the nearest."""
    codes, values = _both(answer, np.array([-1.0, -0.6, -0.15, 0.1, 0.4, 0.6]), 3)
    expect_equal(codes, [-4, -2, -1, 0, 2, 2], "the codes of -1, -0.6, -0.15, 0.1, 0.4, 0.6")
    expect_close(values, [-1, -0.5, -0.25, 0, 0.5, 0.5], "their values")


def codes_fit_into_the_bits(answer):
    """There are 2^bits codes and no more, however loud the sound."""
    for bits in (1, 4, 16):
        half = 2 ** (bits - 1)
        codes, values = _both(answer, np.array([-3.0, 3.0, -90.0, 90.0, 1.0]), bits)
        wanted = [-half, half - 1, -half, half - 1, half - 1]
        expect_equal(codes, wanted, f"the codes of -3, 3, -90, 90 and 1 with {bits} bits")
        expect_close(values, np.array(wanted) / half, f"{bits} bits: a value is its code times the step")


def quantizes_as_the_library_does(answer):
    """On random sounds it is the library's `pcm`, moved by half a step."""
    for shape, bits in (((300,), 5), ((3, 40), 10), ((200,), 16), ((50,), 1)):
        x, step = 1.1 * np.random.uniform(-1, 1, shape), 2.0 ** (1 - bits)
        for dtype in (np.float64, np.float32):
            codes, values = _both(answer, x.astype(dtype), bits)
            above = pcm.encode(x.astype(dtype).astype(np.float64) + step / 2, bits)
            expect_equal(codes, above - 2 ** (bits - 1), f"{bits} bits, {np.dtype(dtype)}: codes differ")
            expect_close(values, pcm.decode(above, bits).astype(np.float64) - step / 2, f"{bits} bits: values differ")


def _by_loop(x, bits):
    half = 2 ** (bits - 1)
    codes = np.array([min(max(math.floor(float(one) * half + 0.5), -half), half - 1) for one in x.flat])
    return codes.reshape(x.shape), codes.reshape(x.shape) / half


def _by_search(x, bits):
    levels = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    codes = levels[np.searchsorted(levels[:-1] + 0.5, x.astype(np.float64) * 2 ** (bits - 1))]
    return [codes, (codes * 2.0 ** (1 - bits)).astype(np.float32)]


def _by_sign(x, bits):
    step = 1 / (1 << (bits - 1))
    limited = np.maximum(np.minimum(x, 1 - step), -1)
    codes = np.trunc(limited / step + np.copysign(0.5, x)).astype("int64")
    return codes, codes.astype(float) * step


mid_tread = Exercise(
    "mid_tread",
    reference=_mid_tread,
    properties=(
        returns_codes_and_values, silence_stays_silent, three_bits_by_hand, codes_fit_into_the_bits,
        quantizes_as_the_library_does,
    ),
    wrong=mistakes(_mid_tread, {
        returns_codes_and_values: [
            (".astype(np.int64)", "",
             "Your codes are whole numbers of type float. Turn them into integers: .astype(np.int64)."),
            ("np.int64", "np.int32", "The codes are int32. int64 is asked for, so that sums over them have room."),
            ("np.int64", "np.int16", "int16 holds 16 bits just so, and sums of such codes turn over. Use int64."),
            ("return codes, values", "return values, codes", "The two are swapped: first the codes, then the values."),
            ("codes / half", "codes // half", "// throws away what is behind the point. Values are fractions: /."),
            ("return codes, values", "return codes",
             "You return the codes alone. The values, codes times the step, are asked for as well."),
            ("np.round(x * half)", "np.round(x.flatten() * half)", "x may have several axes, codes have its shape."),
        ],
        silence_stays_silent: [
            ("values = codes / half", "values = x", "You return the sound itself as the values. What was rounded away "
             "is gone: values are codes times the step."),
            ("np.round(", "np.floor(",
             "You round down. The smallest negative noise then becomes a whole step. Round to the nearest: np.round."),
            ("np.round(", "np.ceil(", "You round up: half of all silence becomes a step. Round to the nearest."),
            ("x * half", "x * half * 2",
             "The range from -1 to 1 is 2 wide and has 2^bits steps, so a step is 2 / 2^bits = 1 / 2^(bits - 1)."),
            ("codes / half", "(codes + 0.5) / half",
             "That is the middle of a cell of the lesson's quantizer. Here the level itself lies at code * step."),
            ("np.clip(steps, -half, half - 1)", "np.clip(steps + half, 0, 2 * half - 1)",
             "Your codes begin at 0. Here silence has code 0, and what is below it is negative."),
        ],
        three_bits_by_hand: [
            ("np.round(x * half)", "np.trunc(x * half)", "astype(int) cuts off what stands behind the point, so "
             "everything moves towards zero. Call np.round first."),
            ("np.round(x * half)", "np.trunc(x * half + 0.5)",
             "Adding a half and cutting off rounds what is negative the wrong way: cutting off goes towards zero."),
            ("half = 2 ** (bits - 1)", "half = max(2 ** (bits - 1) - 1, 1)", "-half, half - 1", "-half - 1, half",
             "You stretch by 2^(bits - 1) - 1, so that 1.0 just fits. Here the step is 1 / 2^(bits - 1): multiply by "
             "2^(bits - 1) and let 1.0 be clipped."),
            ("-half, half - 1", "1 - half, half - 1", "There is one code more below zero than above: -1 has -2^(bits - "
             "1)."),
            ("values = codes / half", "values = codes / (half - 1)",
             "Your codes are right, but a value is its code divided by 2^(bits - 1), not by one less."),
        ],
        codes_fit_into_the_bits: [
            ("np.clip(steps, -half, half - 1)", "steps",
             "A loud sample gets a code that the bits cannot hold. In a file it would turn over: clip the codes."),
            ("half - 1)", "half)",
             "From -half to half there are 2^bits + 1 codes, zero included. The highest is half - 1, even for 1.0."),
            ("values = codes / half", "values = steps / half",
             "The codes are clipped, the values are not: they must be those that the codes stand for."),
            ("np.clip(steps, -half, half - 1)", "((steps + half) % (2 * half) - half)",
             "Loud samples turn over, from the top to the bottom. That clicks: they stay at the outermost code."),
            ("values = codes / half", "values = (codes / half).astype(np.float16)",
             "float16 has 11 bits for the digits, and the values of 16 bits need more: float32 or float64."),
            ("-half, half - 1", "-128, 127", "Those are the limits of 8 bits. They depend on `bits`."),
        ],
        quantizes_as_the_library_does: [
            ("np.round(x * half)", "np.round(np.round(x, 3) * half)",
             "You round the samples themselves first. With 16 bits a step is 0.00003: that loses codes."),
        ],
    }),
    right=(_by_loop, _by_search, _by_sign),
    examples=lambda generator: [
        (1.2 * numpy_generator(generator).uniform(-1, 1, 64), 3),
        (numpy_generator(generator).uniform(-1, 1, (2, 9)), 8),
        (np.array([-2.0, 0.0, 0.06, 2.0]), 4),
        (1.2 * numpy_generator(generator).uniform(-1, 1, 40), 16),
    ],
)  # fmt: skip
