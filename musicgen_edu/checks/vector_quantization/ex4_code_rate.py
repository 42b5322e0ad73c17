"""Exercise 4, `code_rate`: bits a second, plain and ideal."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, Wrong, expect, expect_close


def _rate(codes: Tensor, codebook_size: int, frame_rate: float) -> tuple[float, float]:
    shares = torch.bincount(codes.flatten(), minlength=codebook_size).double() / codes.numel()  # [V]
    entropy = torch.special.entr(shares).sum().item() / math.log(2)  # bits
    return math.log2(codebook_size) * frame_rate, entropy * frame_rate


def returns_two_finite_numbers(answer):
    """The result is two finite numbers, also when most entries are never used."""
    found = answer(torch.tensor([[0, 0, 5]]), 16, 50.0)
    expect(len(found) == 2, f"two numbers are expected, not {len(found)}")
    for name, one in zip(("plain", "ideal"), found, strict=True):
        expect(math.isfinite(float(one)), f"{name} is {float(one)}")


def plain_rate_is_log2_of_the_codebook(answer):
    """Without entropy coding a code costs log2(V) bits, whatever it is."""
    for V, frame_rate, bits in ((2048, 50.0, 550.0), (8, 10.0, 30.0)):
        plain = answer(torch.tensor([[0, 1, 1, 2]]), V, frame_rate)[0]
        expect_close(float(plain), bits, f"V = {V} at {frame_rate:g} Hz")


def ideal_rate_is_the_entropy(answer):
    """Codes 0, 0, 1, 2: one half, one quarter, one quarter, so 1.5 bits a code."""
    ideal = answer(torch.tensor([[0, 0, 1, 2]]), 4, 10.0)[1]
    expect_close(float(ideal), 15.0, "1.5 bits a code, 10 codes a second")
    expect_close(float(answer(torch.arange(8)[None], 8, 1.0)[1]), 3.0, "eight codes used equally often cost 3 bits")


def silence_is_free(answer):
    """A stream of one code only carries no information: the ideal rate is 0."""
    expect_close(float(answer(torch.full((2, 9), 3), 16, 50.0)[1]), 0.0, "one code only")


def one_code_for_all_clips(answer):
    """The shares are those of the whole batch: one coder serves all clips."""
    codes = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]])
    expect_close(float(answer(codes, 4, 10.0)[1]), 10.0, "two clips, one of 0 only and one of 1 only: 1 bit a code")


def rate_is_that_of_the_library(answer):
    """On random codes both rates are those of the library."""
    for B, T, V in ((2, 50, 8), (3, 40, 64), (1, 10, 1024)):
        codes = (torch.rand(B, T) ** 2 * V).long()
        for name, yours, target in zip(("plain", "ideal"), answer(codes, V, 75.0), _rate(codes, V, 75.0), strict=True):
            expect_close(float(yours), target, f"{name}, V = {V}", tolerance=1e-4)


def _shares(codes, V):
    return torch.bincount(codes.flatten(), minlength=V).double() / codes.numel()


def _rate_nats(codes, V, frame_rate):
    return math.log2(V) * frame_rate, torch.special.entr(_shares(codes, V)).sum().item() * frame_rate


def _rate_nan(codes, V, frame_rate):
    shares = _shares(codes, V)
    return math.log2(V) * frame_rate, float(-(shares * shares.log2()).sum() * frame_rate)


def _rate_perplexity(codes, V, frame_rate):
    return math.log2(V) * frame_rate, torch.special.entr(_shares(codes, V)).sum().exp().item() * frame_rate


def _rate_per_clip(codes, V, frame_rate):
    found = [_rate(one[None], V, frame_rate)[1] for one in codes]
    return math.log2(V) * frame_rate, sum(found) / len(found)


def _rate_used(codes, V, frame_rate):
    return math.log2(V) * frame_rate, math.log2(len(codes.unique())) * frame_rate


def _rate_no_frames(codes, V, frame_rate):
    return math.log2(V), _rate(codes, V, 1.0)[1]


def _rate_used_plain(codes, V, frame_rate):
    return math.log2(int(codes.max()) + 1) * frame_rate, _rate(codes, V, frame_rate)[1]


def _rate_counter(codes, V, frame_rate):
    from collections import Counter

    counts = Counter(codes.flatten().tolist())
    total = sum(counts.values())
    return math.log2(V) * frame_rate, -sum(n / total * math.log2(n / total) for n in counts.values()) * frame_rate


def _rate_distribution(codes, V, frame_rate):
    shares = F.one_hot(codes, V).double().mean((0, 1))
    return math.log(V, 2) * frame_rate, (torch.distributions.Categorical(shares).entropy() / math.log(2)) * frame_rate


code_rate = Exercise(
    "code_rate",
    reference=_rate,
    properties=(
        returns_two_finite_numbers,
        plain_rate_is_log2_of_the_codebook,
        ideal_rate_is_the_entropy,
        silence_is_free,
        one_code_for_all_clips,
        rate_is_that_of_the_library,
    ),
    wrong=(
        Wrong(
            _rate_nan,
            "returns_two_finite_numbers",
            "0 * log(0) is nan here, but an entry that is never used costs nothing: leave its share out, or use "
            "torch.special.entr.",
        ),
        Wrong(
            _rate_used_plain,
            "plain_rate_is_log2_of_the_codebook",
            "You take the largest code for the size of the codebook. Who writes the codes must be ready for all V.",
        ),
        Wrong(
            _rate_no_frames,
            "plain_rate_is_log2_of_the_codebook",
            "These are bits a code. Multiply by the frame rate: bits a second are asked for.",
        ),
        Wrong(
            _rate_nats,
            "ideal_rate_is_the_entropy",
            "This is the entropy with the natural logarithm. Divide by log(2): bits are asked for.",
        ),
        Wrong(
            _rate_perplexity,
            "ideal_rate_is_the_entropy",
            "This is the perplexity, the number of entries in effective use. Bits are its logarithm.",
        ),
        Wrong(
            _rate_used,
            "ideal_rate_is_the_entropy",
            "You count the entries in use as if all were used equally often. Frequent codes get shorter words.",
        ),
        Wrong(
            _rate_per_clip,
            "one_code_for_all_clips",
            "You average the entropies of the clips: that takes a coder of its own for each, which the receiver "
            "does not have. Count over the whole batch.",
        ),
    ),
    right=(_rate_counter, _rate_distribution),
    examples=lambda generator: [
        ((torch.rand(B, T, generator=generator) ** 2 * top).long(), V, 50.0)
        for B, T, top, V in ((2, 60, 8, 8), (3, 40, 10, 64))
    ],
)
