"""Exercise 1, `codebooks_for`: what a bit rate buys."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from ...model.encodec import EncodecConfig
from .. import Exercise, expect, expect_equal, mistakes, plain


def _codebooks(bit_rate, sample_rate, ratios, codebook_size):
    frame_rate = sample_rate / math.prod(ratios)
    return int(bit_rate // (frame_rate * math.log2(codebook_size)))


def the_number_is_a_whole_one(answer):
    """The number of codebooks is an int."""
    found = answer(2200, 32000, [8, 5, 4, 4], 2048)
    expect(type(plain(found)) is int, f"the number of codebooks must be an int, not {type(found).__name__}")


def published_codecs_come_out(answer):
    """2.2 kbit/s at 32 kHz are 4 codebooks of 2048, 6 kbit/s at 24 kHz are 8 of 1024."""
    for arguments, expected in (((2200, 32000, [8, 5, 4, 4], 2048), 4), ((6000, 24000, [8, 5, 4, 2], 1024), 8)):
        expect_equal(answer(*arguments), expected, f"codebooks_for{arguments}")


def the_rate_is_never_exceeded(answer):
    """As many as fit into the rate, and none more."""
    for bit_rate, expected in ((2199, 3), (2749, 4), (2750, 5), (550, 1), (549, 0), (0, 0), (26400, 48)):
        found = answer(bit_rate, 32000, [8, 5, 4, 4], 2048)
        expect_equal(found, expected, f"codebooks that fit into {bit_rate} bit/s at 50 frames of 11 bits a second")


def frames_per_second_may_be_broken(answer):
    """44.1 kHz in frames of 640 samples are 68.90625 frames a second: ten codebooks of 1024 need 6890.625 bit/s."""
    for bit_rate, expected in ((6890, 9), (6891, 10)):
        found = answer(bit_rate, 44100, [8, 5, 4, 4], 1024)
        expect_equal(found, expected, f"codebooks that fit into {bit_rate} bit/s at 68.90625 frames of 10 bits")


def codebooks_as_the_library_counts(answer):
    """On other sizes the codec's own bit rate fits, and one bit a second less does not."""
    for rate, ratios, size in (
        (16000, (5, 4, 4, 4), 1024), (24000, (8, 5, 4, 2), 64), (48000, (8, 5, 4, 2), 4096), (44100, (7, 7, 3, 3), 2),
        (22050, (8, 8, 4, 2), 512), (32000, (640,), 2048), (24000, (2, 2, 4, 4, 5), 256),
    ):  # fmt: skip
        for count in range(1, 65):
            config = EncodecConfig(rate, upsampling_ratios=ratios, codebook_size=size, num_codebooks=count)
            enough = math.ceil(round(config.bandwidth * 1000, 6))
            for bit_rate, expected in ((enough, count), (enough - 1, count - 1)):
                found = answer(bit_rate, rate, list(ratios), size)
                expect_equal(found, expected, f"{bit_rate} bit/s at {rate} Hz, ratios {list(ratios)}, V = {size}")


def _by_counting(bit_rate, sample_rate, ratios, codebook_size):
    hop, count = 1, 0
    for ratio in ratios:
        hop *= ratio
    while (count + 1) * sample_rate * (codebook_size.bit_length() - 1) <= bit_rate * hop:
        count += 1
    return count


def _with_numpy(bit_rate, sample_rate, ratios, codebook_size):
    return np.floor_divide(bit_rate * np.prod(ratios), sample_rate * np.log2(codebook_size)).astype(int)


def _one_more_if_it_fits(bit_rate, sample_rate, ratios, codebook_size):
    one = Fraction(sample_rate, math.prod(ratios)) * round(math.log2(codebook_size))
    return 0 if bit_rate < one else 1 + _one_more_if_it_fits(bit_rate - one, sample_rate, ratios, codebook_size)


codebooks_for = Exercise(
    "codebooks_for",
    reference=_codebooks,
    properties=(
        the_number_is_a_whole_one, published_codecs_come_out, the_rate_is_never_exceeded,
        frames_per_second_may_be_broken, codebooks_as_the_library_counts,
    ),
    wrong=mistakes(_codebooks, {
        the_number_is_a_whole_one: [("int(", "(", "// of floats gives a float: put int() around it.")],
        published_codecs_come_out: [
            ("math.log2(codebook_size)", "codebook_size",
             "You count V bits a code. A code with V values needs log2(V) bits."),
            ("math.prod", "sum",
             "You add the ratios. Each layer lengthens what the one before it gives out: the hop is their product."),
            (" / math.prod(ratios)", "",
             "You pay for a code at every sample. Codes come once a frame: divide the sample rate by the hop."),
            ("log2", "log", "math.log is the natural logarithm. Bits are counted with math.log2."),
            ("math.log2(codebook_size)", "codebook_size.bit_length()",
             "bit_length of V is one more than log2(V): V codes have the numbers 0 to V - 1."),
            ("log2(codebook_size))", "log2(codebook_size) * len(ratios))",
             "You pay once for each ratio. The ratios say how long a frame is, not how many codes it has."),
            ("math.log2(codebook_size)", "11", "You always count 11 bits. A code with V values needs log2(V) bits."),
            ("bit_rate //", "(bit_rate - 1) //",
             "A codebook that needs exactly what is left still fits: up to the rate, that included."),
        ],
        the_rate_is_never_exceeded: [
            ("int(bit_rate // (frame_rate * math.log2(codebook_size)))",
             "round(bit_rate / (frame_rate * math.log2(codebook_size)))",
             "You round to the nearest number. Rounding up needs more bits than there are: round down."),
            ("int(bit_rate // (frame_rate * math.log2(codebook_size)))",
             "math.ceil(bit_rate / (frame_rate * math.log2(codebook_size)))",
             "You round up. The last codebook then needs more bits than there are: round down."),
            ("int(bit_rate // (frame_rate * math.log2(codebook_size)))",
             "max(1, int(bit_rate // (frame_rate * math.log2(codebook_size))))",
             "You always grant one codebook. If not even one fits, the answer is 0."),
            ("int(bit_rate // (frame_rate * math.log2(codebook_size)))",
             "min(32, int(bit_rate // (frame_rate * math.log2(codebook_size))))",
             "You stop at 32 codebooks. Nothing limits them here but the rate."),
        ],
        frames_per_second_may_be_broken: [
            ("sample_rate / math", "sample_rate // math",
             "You round the frames per second down before you divide. Here they are 68.9: round once, at the end."),
            ("sample_rate / math.prod(ratios)", "math.ceil(sample_rate / math.prod(ratios))",
             "You round the frames per second up before you divide. Here they are 68.9: round once, at the end."),
        ],
    }),
    right=(_by_counting, _with_numpy, _one_more_if_it_fits),
    examples=lambda generator: [
        (2200, 32000, [8, 5, 4, 4], 2048), (6000, 24000, [8, 5, 4, 2], 1024), (2199, 32000, [8, 5, 4, 4], 2048),
        (2300, 32000, [8, 5, 4, 4], 2048), (549, 32000, [8, 5, 4, 4], 2048), (6400, 16000, [5, 4, 4, 4], 4),
        (6890, 44100, [8, 5, 4, 4], 1024), (6891, 44100, [8, 5, 4, 4], 1024),
    ],
)  # fmt: skip
