"""Exercise 4, `code_rate`: bits a second, plain and ideal."""

from __future__ import annotations

import math
from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.quantization import bit_rate, perplexity
from .. import Exercise, expect, expect_close, mistakes


def _rate(codes: Tensor, codebook_size: int, frame_rate: float) -> tuple[float, float]:
    counts = torch.bincount(codes.flatten(), minlength=codebook_size).double()  # [V]
    shares = counts / codes.numel()
    entropy = -torch.special.xlogy(shares, shares).sum().item() / math.log(2)  # bits
    plain = math.log2(codebook_size)
    return plain * frame_rate, entropy * frame_rate


def _two(answer, *arguments) -> tuple[float, float]:
    found = answer(*arguments)
    count = len(found) if hasattr(found, "__len__") else 1
    expect(count == 2, f"two numbers are expected, plain and ideal, not {count}")
    return float(found[0]), float(found[1])


def returns_two_finite_numbers(answer):
    """The result is two finite numbers, also when most entries are never used."""
    for name, one in zip(("plain", "ideal"), _two(answer, torch.tensor([[0, 0, 5]]), 16, 50.0), strict=True):
        expect(math.isfinite(one), f"{name}: expected a finite number, not {one}")


def plain_rate_is_log2_of_the_codebook(answer):
    """Without entropy coding a code costs log2(V) bits, whatever it is, and V may be any number."""
    for V, frame_rate, bits in ((2048, 50.0, 550.0), (8, 10.0, 30.0), (1000, 12.5, 12.5 * math.log2(1000))):
        for codes in (torch.tensor([[0, 1, 1, 2]]), torch.tensor([[0, 3], [1, 2], [5, 6]])):
            expect_close(_two(answer, codes, V, frame_rate)[0], bits, f"V = {V} at {frame_rate:g} Hz")


def ideal_rate_is_the_entropy(answer):
    """Codes 0, 0, 1, 2: one half, one quarter, one quarter, so 1.5 bits a code."""
    expect_close(_two(answer, torch.tensor([[0, 0, 1, 2]]), 6, 10.0)[1], 15.0, "1.5 bits a code, 10 codes a second")
    expect_close(_two(answer, torch.arange(8)[None], 9, 1.0)[1], 3.0, "eight codes used equally often cost 3 bits")


def silence_is_free(answer):
    """A stream of one code only carries no information: the ideal rate is 0."""
    expect_close(_two(answer, torch.full((2, 9), 3), 16, 50.0)[1], 0.0, "one code only")
    expect_close(_two(answer, torch.zeros(1, 4, dtype=torch.int64), 1, 50.0), [0.0, 0.0], "a codebook of one entry")


def one_code_for_all_clips(answer):
    """The shares are those of the whole batch: one coder serves all clips."""
    codes = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]])
    expect_close(_two(answer, codes, 4, 10.0)[1], 10.0, "two clips, one of 0 only and one of 1 only: 1 bit a code")


def rate_is_that_of_the_library(answer):
    """On random codes: the library's `bit_rate`, and the logarithm of its `perplexity`; rates need not be whole."""
    for B, T, V, frame_rate in ((2, 50, 8, 75.0), (3, 40, 100, 44100 / 640), (1, 10, 1024, 86.13), (2, 600, 300, 0.5)):
        codes = (torch.rand(B, T) ** 2 * V).long()
        wanted = bit_rate(1, V, frame_rate), math.log2(perplexity(codes, V)) * frame_rate
        for name, yours, target in zip(("plain", "ideal"), _two(answer, codes, V, frame_rate), wanted, strict=True):
            expect_close(yours, target, f"{name}, B {B}, T {T}, V {V}, {frame_rate:.4g} Hz", tolerance=2e-5)


def _by_counter(codes, codebook_size, frame_rate):
    counts = Counter(codes.flatten().tolist())
    total = sum(counts.values())
    ideal = -sum(n / total * math.log2(n / total) for n in counts.values()) * frame_rate
    return [math.log2(codebook_size) * frame_rate, ideal]


def _by_distribution(codes, codebook_size, frame_rate):
    shares = F.one_hot(codes, codebook_size).double().mean((0, 1))
    entropy = torch.distributions.Categorical(shares).entropy() / math.log(2)
    return math.log(codebook_size, 2) * frame_rate, entropy * frame_rate


code_rate = Exercise(
    "code_rate",
    reference=_rate,
    properties=(
        returns_two_finite_numbers, plain_rate_is_log2_of_the_codebook, ideal_rate_is_the_entropy, silence_is_free,
        one_code_for_all_clips, rate_is_that_of_the_library,
    ),
    wrong=mistakes(_rate, {
        returns_two_finite_numbers: [
            ("torch.special.xlogy(shares, shares)", "(shares * shares.log())",
             "0 * log(0) is nan here, but an entry that is never used costs nothing: leave its share out, or use "
             "torch.special.entr."),
            ("return plain * frame_rate, entropy * frame_rate", "return plain * frame_rate",
             "That is the plain rate alone. The ideal one is asked for as well."),
        ],
        plain_rate_is_log2_of_the_codebook: [
            ("math.log2(codebook_size)", "math.log2(int(codes.max()) + 1)",
             "The largest code, or how many are used, is not the size of the codebook: be ready for all V."),
            ("plain * frame_rate, entropy * frame_rate", "plain, entropy",
             "These are bits a code. Multiply by the frame rate: bits a second are asked for."),
            ("math.log2(codebook_size)", "(codebook_size - 1).bit_length()",
             "You round up to whole bits. log2(V) is asked for, and for V = 1000 that is 9.97."),
            ("math.log2(codebook_size)", "codebook_size.bit_length()",
             "The codes are 0 to V - 1. bit_length counts the bits that the number V itself would need."),
            ("math.log2(codebook_size)", "int(math.log2(codebook_size))",
             "You round log2(V) down. A rate may have places behind the point."),
            ("math.log2(codebook_size)", "math.log(codebook_size)",
             "math.log is the natural logarithm. Bits need base 2: math.log2."),
            ("plain * frame_rate, entropy * frame_rate", "entropy * frame_rate, plain * frame_rate",
             "The two are swapped: first the plain rate, then the ideal one."),
            ("plain * frame_rate,", "plain * frame_rate * len(codes),",
             "You multiply by the number of clips. The rate is that of one stream."),
            ("plain * frame_rate, entropy * frame_rate", "plain * codes.numel(), entropy * codes.numel()",
             "These are the bits of all the codes. Bits a second are bits a code times codes a second."),
            ("plain * frame_rate,", "plain * int(frame_rate),",
             "You cut the frame rate to a whole number. 12.5 codes a second are 12.5."),
        ],
        ideal_rate_is_the_entropy: [
            (" / math.log(2)", "",
             "This is the entropy with the natural logarithm. Divide by log(2): bits are asked for."),
            ("entropy * frame_rate", "2 ** entropy * frame_rate",
             "This is the perplexity, the number of entries in effective use. Bits are its logarithm."),
            ("entropy * frame_rate", "math.log2(len(codes.unique())) * frame_rate",
             "You count the entries in use as if all were used equally often. Frequent codes get shorter words."),
            (" / math.log(2)", " / math.log(10)", "Your logarithm has base 10. Bits need base 2."),
            ("-torch.special", "torch.special", "A share is below 1 and its logarithm negative: minus the sum."),
            ("torch.special.xlogy(shares, shares).sum()", "(shares + 1e-3).log()[shares > 0].mean()",
             "You average the logarithms. Each counts as often as its code comes: times its share, then the sum."),
            ("entropy * frame_rate", "min(plain, math.ceil(entropy)) * frame_rate",
             "You round up to whole bits a code. An ideal coder spends parts of a bit."),
            ("/ codes.numel()", "/ codebook_size",
             "Shares are counts divided by the number of codes, and add up to 1."),
        ],
        one_code_for_all_clips: [
            ("entropy * frame_rate", "sum(_rate(one[None], codebook_size, frame_rate)[1] for one in codes) / len(codes)"
             " if len(codes) > 1 else entropy * frame_rate",
             "You average the entropies of the clips: that takes a coder of its own for each, which the receiver "
             "does not have. Count over the whole batch."),
            ("codes.flatten()", "codes[0]", "codes.numel()", "codes.shape[1]",
             "You count the codes of the first clip alone. The coder serves all of them."),
            ("entropy * frame_rate", "entropy * frame_rate * len(codes)",
             "You add the rates of the clips. The rate is that of one stream."),
        ],
        rate_is_that_of_the_library: [
            ("entropy * frame_rate", "round(entropy, 3) * frame_rate",
             "You round the entropy. With many codes a second that is several bits."),
        ],
    }),
    right=(_by_counter, _by_distribution),
    examples=lambda generator: [
        ((torch.rand(B, T, generator=generator) ** 2 * top).long(), V, rate)
        for B, T, top, V, rate in ((2, 60, 8, 8, 50.0), (3, 40, 10, 100, 12.5))
    ],
)  # fmt: skip
