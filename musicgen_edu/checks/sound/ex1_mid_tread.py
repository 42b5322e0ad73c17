"""Exercise 1, `mid_tread`."""

from __future__ import annotations

import math

import numpy as np

from .. import Exercise, Wrong, expect, expect_close
from ._shared import expect_array, numpy_generator


def _mid_tread(x, bits):
    half = 2 ** (bits - 1)
    codes = np.clip(np.round(x * half), -half, half - 1).astype(np.int64)
    return codes, codes / half


def returns_codes_and_values(answer):
    """Codes are int64 and values float, both of the shape of x."""
    for shape, bits in (((7,), 3), ((2, 5), 8), ((1,), 16)):
        results = answer(np.random.uniform(-1, 1, shape), bits)
        expect(isinstance(results, tuple) and len(results) == 2, "two results are expected: codes, values")
        expect_array(results[0], shape, "i", "codes")
        expect_array(results[1], shape, "f", "values")


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
        (1.2 * numpy_generator(generator).uniform(-1, 1, 64), 3),
        (numpy_generator(generator).uniform(-1, 1, (2, 9)), 8),
        (np.array([-2.0, 0.0, 0.06, 2.0]), 4),
    ],
)
