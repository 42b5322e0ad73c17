"""Exercise 1, `codebooks_for`: what a bit rate buys."""

from __future__ import annotations

import math

import torch

from ...model.encodec import EncodecConfig
from .. import Exercise, Wrong, expect


def _codebooks(bit_rate: int, sample_rate: int, ratios: list[int], codebook_size: int) -> int:
    frame_rate = sample_rate / math.prod(ratios)
    return int(bit_rate // (frame_rate * math.log2(codebook_size)))


def the_number_is_a_whole_one(answer):
    """The number of codebooks is an int."""
    found = answer(2200, 32000, [8, 5, 4, 4], 2048)
    expect(type(found) is int, f"the number of codebooks must be an int, not {type(found).__name__}")


def published_codecs_come_out(answer):
    """2.2 kbit/s at 32 kHz are 4 codebooks of 2048, 6 kbit/s at 24 kHz are 8 of 1024."""
    for arguments, expected in (((2200, 32000, [8, 5, 4, 4], 2048), 4), ((6000, 24000, [8, 5, 4, 2], 1024), 8)):
        found = answer(*arguments)
        expect(found == expected, f"codebooks_for{arguments} should be {expected}, not {found}")


def the_rate_is_never_exceeded(answer):
    """As many as fit into the rate, and none more."""
    for bit_rate, expected in ((2199, 3), (2749, 4), (2750, 5), (550, 1), (549, 0)):
        found = answer(bit_rate, 32000, [8, 5, 4, 4], 2048)
        expect(found == expected, f"{bit_rate} bit/s at 50 frames of 11 bits: {expected} codebooks fit, not {found}")


def codebooks_as_the_library_counts(answer):
    """On other sizes the codec's own bit rate fits, and that of one codebook more does not."""
    for rate, ratios, size in ((16000, (5, 4, 4, 4), 1024), (24000, (8, 5, 4, 2), 64), (48000, (8, 5, 4, 2), 4096)):
        one = EncodecConfig(rate, upsampling_ratios=ratios, codebook_size=size, num_codebooks=1).bandwidth * 1000
        for count in (1, 3, 8):
            found = answer(round(one * count) + 5, rate, list(ratios), size)
            expect(found == count, f"{rate} Hz, ratios {list(ratios)}, V {size}: {count} codebooks fit, not {found}")


def _codebooks_float(bit_rate, sample_rate, ratios, codebook_size):
    return bit_rate // (sample_rate / math.prod(ratios) * math.log2(codebook_size))


def _codebooks_entries(bit_rate, sample_rate, ratios, codebook_size):
    return int(bit_rate // (sample_rate / math.prod(ratios) * codebook_size))


def _codebooks_sum(bit_rate, sample_rate, ratios, codebook_size):
    return int(bit_rate // (sample_rate / sum(ratios) * math.log2(codebook_size)))


def _codebooks_samples(bit_rate, sample_rate, ratios, codebook_size):
    return int(bit_rate // (sample_rate * math.log2(codebook_size)))


def _codebooks_round(bit_rate, sample_rate, ratios, codebook_size):
    return round(bit_rate / (sample_rate / math.prod(ratios) * math.log2(codebook_size)))


def _codebooks_ceil(bit_rate, sample_rate, ratios, codebook_size):
    return math.ceil(bit_rate / (sample_rate / math.prod(ratios) * math.log2(codebook_size)))


def _codebooks_ln(bit_rate, sample_rate, ratios, codebook_size):
    return int(bit_rate // (sample_rate / math.prod(ratios) * math.log(codebook_size)))


def _codebooks_loop(bit_rate, sample_rate, ratios, codebook_size):
    hop = 1
    for ratio in ratios:
        hop *= ratio
    count = 0
    while (count + 1) * sample_rate * (codebook_size.bit_length() - 1) <= bit_rate * hop:
        count += 1
    return count


def _codebooks_divmod(bit_rate, sample_rate, ratios, codebook_size):
    frames = torch.tensor(sample_rate, dtype=torch.float64) / torch.tensor(ratios).prod()
    return int(torch.floor(bit_rate / (frames * math.log2(codebook_size))))


codebooks_for = Exercise(
    "codebooks_for",
    reference=_codebooks,
    properties=(
        the_number_is_a_whole_one,
        published_codecs_come_out,
        the_rate_is_never_exceeded,
        codebooks_as_the_library_counts,
    ),
    wrong=(
        Wrong(_codebooks_float, "the_number_is_a_whole_one", "// of floats gives a float: put int() around it."),
        Wrong(
            _codebooks_entries,
            "published_codecs_come_out",
            "You count V bits a code. A code with V values needs log2(V) bits.",
        ),
        Wrong(
            _codebooks_sum,
            "published_codecs_come_out",
            "You add the ratios. Each layer lengthens what the one before it gives out: the hop is their product.",
        ),
        Wrong(
            _codebooks_samples,
            "published_codecs_come_out",
            "You pay for a code at every sample. Codes come once a frame: divide the sample rate by the hop.",
        ),
        Wrong(
            _codebooks_ln,
            "published_codecs_come_out",
            "math.log is the natural logarithm. Bits are counted with math.log2.",
        ),
        Wrong(
            _codebooks_round,
            "the_rate_is_never_exceeded",
            "You round to the nearest number. Rounding up needs more bits than there are: round down.",
        ),
        Wrong(
            _codebooks_ceil,
            "the_rate_is_never_exceeded",
            "You round up. The last codebook then needs more bits than there are: round down.",
        ),
    ),
    right=(_codebooks_loop, _codebooks_divmod),
    examples=lambda generator: [
        (2200, 32000, [8, 5, 4, 4], 2048),
        (6000, 24000, [8, 5, 4, 2], 1024),
        (2199, 32000, [8, 5, 4, 4], 2048),
        (2300, 32000, [8, 5, 4, 4], 2048),
        (10_000_000, 16000, [5, 4, 4, 4], 1024),
    ],
)
