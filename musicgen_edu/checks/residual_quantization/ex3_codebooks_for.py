"""Exercise 3, `codebooks_for`: plan a bit rate."""

from __future__ import annotations

import math

import torch

from ...model.quantization import bit_rate
from .. import Exercise, expect, expect_equal, mistakes, plain


def _fit(bits_per_second: float, codebook_size: int, frame_rate: float, most: int) -> int:
    cost = math.log2(codebook_size) * frame_rate
    count = math.floor(bits_per_second / cost)
    if count < 1:
        raise ValueError(f"not even one codebook fits into {bits_per_second} bit/s")
    return min(most, count)


def gives_a_whole_number(answer):
    """The result is a whole number."""
    for arguments in ((6000, 1024, 75, 32), (2200.0, 2048, 50.0, 4), (3001, 512, 50, 9)):
        value = answer(*arguments)
        expect(type(plain(value)) is int, f"the number of codebooks: expected an int, not {value!r}")


def published_bandwidths_come_out(answer):
    """EnCodec's 1.5, 6 and 24 kbit/s are 2, 8 and 32 codebooks, and MusicGen's 2.2 kbit/s are 4."""
    for arguments, count in (
        ((1500, 1024, 75, 32), 2),
        ((6000, 1024, 75, 32), 8),
        ((24000, 1024, 75, 32), 32),
        ((2200, 2048, 50, 8), 4),
    ):
        expect_equal(answer(*arguments), count, f"{arguments[0]} bit/s, V {arguments[1]}, {arguments[2]} frames/s")


def budget_is_kept(answer):
    """The bit rate never exceeds the budget, and one codebook more would."""
    for budget, count in ((1999, 3), (1501, 3), (751, 1), (2001, 4), (500, 1), (999.5, 1)):
        expect_equal(answer(budget, 1024, 50, 99), count, f"{budget} bit/s, codebooks of 500 bit/s each")


def rates_need_not_be_whole(answer):
    """A frame rate may have places behind the point, and V need not be a power of two."""
    for arguments, count in (
        ((6890, 1024, 44100 / 640, 32), 9),  # 68.90625 frames/s: 10 codebooks are 6890.6 bit/s
        ((6890.625, 1024, 44100 / 640, 32), 10),
        ((129, 1024, 12.5, 8), 1),
        ((996, 1000, 50, 8), 1),  # log2(1000) = 9.966
        ((997, 1000, 50, 8), 2),
        ((4760, 3, 100, 64), 30),
        ((4, 2, 0.5, 64), 8),
    ):
        told = f"{arguments[0]} bit/s, V {arguments[1]}, {arguments[2]:.8g} frames/s, at most {arguments[3]}"
        expect_equal(answer(*arguments), count, told)


def never_more_than_there_are(answer):
    """A large budget gives all the codebooks there are, not more."""
    for most in (1, 4, 40):
        expect_equal(answer(1_000_000, 1024, 50, most), most, f"a million bit/s, but the codec has {most} codebooks")


def too_small_a_budget_is_an_error(answer):
    """A budget in which not even one codebook fits is a ValueError."""
    for budget in (499, 499.9, 1, 0):
        try:
            value = answer(budget, 1024, 50, 4)
        except ValueError:
            continue
        expect(False, f"{budget} bit/s with codebooks of 500: expected a ValueError, not {value}")


def rate_agrees_with_the_library(answer):
    """By the library's bit_rate, the result fits and one more does not."""
    for V, rate in ((512, 25), (4096, 12.5), (256, 86), (100, 22050 / 512)):
        one = bit_rate(1, V, rate)
        for fits in torch.randint(1, 65, (12,)).tolist():
            budget = round(one * (fits + float(torch.rand(()) * 0.8 + 0.1)), 2)
            wanted = next(K for K in range(64, 0, -1) if bit_rate(K, V, rate) <= budget)
            expect_equal(answer(budget, V, rate, 64), wanted, f"{budget} bit/s, V {V}, {rate:.8g} frames/s")


def _by_loop(bits_per_second, codebook_size, frame_rate, most):
    count = 0
    while count < most and (count + 1) * math.log2(codebook_size) * frame_rate <= bits_per_second:
        count += 1
    if not count:
        raise ValueError("the budget is too small for one codebook")
    return count


def _by_search(bits_per_second, codebook_size, frame_rate, most):
    fitting = torch.arange(1, most + 1)
    fitting = fitting[fitting.double() * math.log2(codebook_size) * frame_rate <= bits_per_second].numpy()
    if not len(fitting):
        raise ValueError("the budget is too small for one codebook")
    return fitting.max()


def _by_recursion(bits_per_second, codebook_size, frame_rate, most):
    if most == 0:
        raise ValueError("the budget is too small for one codebook")
    if bit_rate(most, codebook_size, frame_rate) <= bits_per_second:
        return most
    return _by_recursion(bits_per_second, codebook_size, frame_rate, most - 1)


_ERROR = """    if count < 1:
        raise ValueError(f"not even one codebook fits into {bits_per_second} bit/s")
"""

codebooks_for = Exercise(
    "codebooks_for",
    reference=_fit,
    properties=(
        gives_a_whole_number, published_bandwidths_come_out, budget_is_kept, rates_need_not_be_whole,
        never_more_than_there_are, too_small_a_budget_is_an_error, rate_agrees_with_the_library,
    ),
    wrong=mistakes(_fit, {
        gives_a_whole_number: [
            ("return min(most, count)", "return float(min(most, count))",
             "A number of codebooks is an int: math.floor, or int()."),
            ("math.floor(bits_per_second / cost)", "bits_per_second / cost",
             "You do not round: with 2.5 codebooks nobody can do anything. Round down: math.floor."),
        ],
        published_bandwidths_come_out: [
            ("math.log2(codebook_size) * frame_rate", "codebook_size * frame_rate", _ERROR, "",
             "A code that can take V values costs log2(V) bits, not V."),
            ("math.log2(", "math.log(", "math.log is the natural logarithm. Bits need base 2: math.log2."),
            ("math.log2(codebook_size) * frame_rate", "math.log2(codebook_size)",
             "A codebook costs log2(V) bits for each frame, and there are frame_rate frames in a second."),
            ("* frame_rate", "* frame_rate / 1000",
             "The budget is in bit/s, not in kbit/s: no factor of 1000 is needed."),
            ("floor(bits_per_second / cost)", "ceil(bits_per_second / cost) - 1",
             "A budget that is used up exactly is kept: at most, not below."),
            ("codebook_size) * frame_rate", "codebook_size) / frame_rate",
             "Frames a second multiply the bits of a frame: the more of them, the dearer is a codebook."),
        ],
        budget_is_kept: [
            ("math.floor(", "round(",
             "You round to the nearest number, which may not fit any more. Round down: math.floor."),
            ("math.floor(", "math.ceil(", "You round up: the last codebook does not fit. Round down: math.floor."),
            ("floor(bits_per_second / cost)", "floor(bits_per_second / cost + 0.05)",
             "You let a budget be exceeded a little. At most means at most."),
        ],
        rates_need_not_be_whole: [
            ("* frame_rate", "* int(frame_rate)",
             "You cut the frame rate to a whole number. At 68.9 frames a second codebooks cost more than at 68."),
            ("* frame_rate", "* round(frame_rate)", "You round the frame rate. It is a measured number of frames in a "
             "second, and need not be whole."),
            ("math.log2(codebook_size)", "(codebook_size - 1).bit_length()",
             "You round the bits of a code up. As `bit_rate` has it, a code costs log2(V), 9.97 for V = 1000."),
            ("math.log2(codebook_size)", "int(math.log2(codebook_size))",
             "You round the bits of a code down. For V = 1000 they are 9.97, not 9."),
            ("math.log2(codebook_size) * frame_rate", "round(math.log2(codebook_size) * frame_rate)",
             "You round the cost of a codebook before you divide. Ten of them then cost more than you think."),
        ],
        never_more_than_there_are: [
            ("min(most, count)", "count", "You promise more codebooks than the codec has. Never more than `most`."),
            ("min(most, count)", "min(32, count)", "32 are those of EnCodec at 24 kHz. Here they are `most`."),
            ("return min(most, count)", "if count > most: raise ValueError('too many')\n    return count",
             "A budget for more than there are is no error: it gives all of them."),
        ],
        too_small_a_budget_is_an_error: [
            (_ERROR, "", "You return 0 codebooks, which is no codec. Raise a ValueError that says so."),
            (_ERROR, "    count = max(1, count)\n",
             "You return 1 although one codebook costs more than the budget. Raise a ValueError that says so."),
            ("raise ValueError(", "raise RuntimeError(", "The error is of another kind: a ValueError is asked for."),
            ("if count < 1", "if bits_per_second <= 0", "You refuse a budget of nothing only. It is too small if one "
             "codebook does not fit."),
        ],
        rate_agrees_with_the_library: [
            ("min(most, count)", "min(most, count, 50)", "You stop at 50 codebooks. `most` is the only limit."),
        ],
    }),
    right=(_by_loop, _by_search, _by_recursion),
    examples=lambda generator: [
        (6000, 1024, 75, 99), (1900, 1024, 50, 9), (700, 1024, 50, 9), (90_000, 512, 50, 4), (300, 1024, 50, 4),
        (6890, 1024, 44100 / 640, 32), (996, 1000, 50, 8), (997, 1000, 50, 8), (90_000, 512, 50, 40),
        (500, 1024, 50, 4), (0, 1024, 50, 4), (1300, 1000, 12.5, 16), (6000, 1024, 75, 100_000),
    ],
)  # fmt: skip
