"""The exercises of assignment 03: stop early, decode fewer stages, plan a rate, share out energy, search wider."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import figures
from ..quantization import ResidualVectorQuantizer, bit_rate, nearest_code
from . import Exercise, Wrong, expect, expect_close, expect_tensor, seal


def _quantizer(codebooks: Tensor) -> ResidualVectorQuantizer:
    """The library's quantizer with these codebooks [K, V, D]."""
    K, V, D = codebooks.shape
    quantizer = ResidualVectorQuantizer(K, V, D).eval()
    for layer, codebook in zip(quantizer.layers, codebooks, strict=True):
        layer.embed.copy_(codebook)
    return quantizer


def _leftovers(vectors: Tensor, codebooks: Tensor) -> list[Tensor]:
    """What is left over before any stage and after each: K + 1 tensors [N, D]."""
    left = [vectors]
    for codebook in codebooks:
        left.append(left[-1] - codebook[nearest_code(left[-1], codebook)])
    return left


def _energies(vectors: Tensor, codebooks: Tensor) -> Tensor:
    """Squared length of each of them: [K + 1, N]."""
    return torch.stack([one.pow(2).sum(1) for one in _leftovers(vectors, codebooks)])


def _drawn(generator: torch.Generator, N: int, K: int, V: int, D: int) -> tuple[Tensor, Tensor]:
    """Random vectors [N, D] and codebooks [K, V, D] whose entries shrink from stage to stage."""
    scale = 0.6 ** torch.arange(K)[:, None, None]
    return torch.randn(N, D, generator=generator), scale * torch.randn(K, V, D, generator=generator)


# ---- 1. stages_needed: stop as soon as it is good enough -----------------------------------------------------------


def _needed(vectors: Tensor, codebooks: Tensor, tolerance: float) -> Tensor:
    enough = _energies(vectors, codebooks) <= tolerance  # [K + 1, N]
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


STEPS = torch.tensor([[[-s], [0.0], [s]] for s in (4.0, 2.0, 1.0, 0.5)])  # [4, 3, 1]


def gives_one_whole_number_for_each_vector(answer):
    """The result holds one whole number, 0 to K, for each vector."""
    for N, K in ((7, 3), (1, 4), (5, 1)):
        vectors, codebooks = torch.randn(N, 2), torch.randn(K, 4, 2)
        needed = answer(vectors, codebooks, 0.3)
        expect_tensor(needed, (N,), torch.int64)
        expect(bool(((needed >= 0) & (needed <= K)).all()), f"there are {K} stages, but it says {needed.tolist()}")


def counts_stages_of_the_residual(answer):
    """On a line with steps of 4, 2, 1 and 0.5, the numbers 4, 6, 7 and 3.05 need 1, 2, 3 and 3 stages."""
    needed = answer(torch.tensor([[4.0], [6.0], [7.0], [3.05]]), STEPS, 0.1)
    expect_close(needed, [1, 2, 3, 3], "tolerance 0.1")


def none_can_be_enough(answer):
    """A vector that is short enough needs no stage at all."""
    expect_close(answer(torch.tensor([[0.05], [4.0]]), STEPS, 0.1), [0, 1], "0.05 is as good as nothing")


def equal_to_the_tolerance_is_enough(answer):
    """A squared length that equals the tolerance is small enough."""
    expect_close(answer(torch.tensor([[5.0], [7.0]]), STEPS, 1.0), [1, 2], "5 leaves exactly 1, the tolerance")


def squared_length_is_compared(answer):
    """The squared length is compared: the sum of squares over all D numbers."""
    nothing = torch.zeros(1, 1, 2)
    expect_close(answer(torch.tensor([[0.6, 0.0]]), nothing, 0.5), [0], "[0.6, 0] has 0.36, tolerance 0.5")
    expect_close(answer(torch.tensor([[0.6, 0.6]]), nothing, 0.5), [1], "[0.6, 0.6] has 0.72, tolerance 0.5")


def first_time_counts(answer):
    """Counting ends at the first stage that is good enough, even if a later one makes it worse again."""
    codebooks = torch.tensor([[[-4.0], [4.0]], [[-2.0], [2.0]], [[-1.0], [1.0]]])
    expect_close(answer(torch.tensor([[4.0], [6.0]]), codebooks, 0.1), [1, 2], "steps without a 0 overshoot")


def never_enough_takes_all(answer):
    """A vector that is never good enough takes all K stages."""
    expect_close(answer(torch.tensor([[100.0], [4.0]]), STEPS, 0.1), [4, 1], "100 is out of reach")


def needs_what_the_library_needs(answer):
    """On random vectors the numbers are those of the library."""
    for N, K, V, D in ((40, 4, 8, 3), (30, 6, 5, 2)):
        vectors, codebooks = torch.randn(N, D), torch.randn(K, V, D) * 0.6 ** torch.arange(K)[:, None, None]
        expect_close(answer(vectors, codebooks, 0.4), _needed(vectors, codebooks, 0.4), f"N {N}, K {K}, V {V}, D {D}")


def _needed_last_index(vectors, codebooks, tolerance):
    enough = _energies(vectors, codebooks)[1:] <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks) - 1)


def _needed_x(vectors, codebooks, tolerance):
    left, total = [vectors], torch.zeros_like(vectors)
    for codebook in codebooks:
        total = total + codebook[nearest_code(vectors, codebook)]
        left.append(vectors - total)
    enough = torch.stack(left).pow(2).sum(2) <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_together(vectors, codebooks, tolerance):
    means = _energies(vectors, codebooks).mean(1, keepdim=True).expand(-1, len(vectors))
    enough = means <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_at_least_one(vectors, codebooks, tolerance):
    return _needed(vectors, codebooks, tolerance).clamp(min=1)


def _needed_strict(vectors, codebooks, tolerance):
    enough = _energies(vectors, codebooks) < tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_length(vectors, codebooks, tolerance):
    enough = _energies(vectors, codebooks).sqrt() <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_mean(vectors, codebooks, tolerance):
    enough = _energies(vectors, codebooks) / vectors.shape[1] <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_count(vectors, codebooks, tolerance):
    return (_energies(vectors, codebooks) > tolerance).sum(0).clamp(max=len(codebooks))


def _needed_argmax(vectors, codebooks, tolerance):
    return (_energies(vectors, codebooks) <= tolerance).int().argmax(0)


def _needed_loop(vectors, codebooks, tolerance):
    needed = []
    for vector in vectors:
        residual, k = vector, 0
        while k < len(codebooks) and residual @ residual > tolerance:
            residual = residual - min(codebooks[k], key=lambda entry, r=residual: float((r - entry).pow(2).sum()))
            k += 1
        needed.append(k)
    return torch.tensor(needed)


def _needed_active(vectors, codebooks, tolerance):
    residual, needed = vectors.clone(), torch.zeros(len(vectors), dtype=torch.long)
    for codebook in codebooks:
        active = (residual.square().sum(-1) > tolerance) & (needed >= 0)
        residual = torch.where(
            active[:, None], residual - codebook[torch.cdist(residual, codebook).argmin(1)], residual
        )
        needed += active
    return needed


stages_needed = Exercise(
    "stages_needed",
    reference=_needed,
    properties=(
        gives_one_whole_number_for_each_vector,
        counts_stages_of_the_residual,
        none_can_be_enough,
        equal_to_the_tolerance_is_enough,
        never_enough_takes_all,
        squared_length_is_compared,
        first_time_counts,
        needs_what_the_library_needs,
    ),
    wrong=(
        Wrong(
            _needed_last_index,
            "counts_stages_of_the_residual",
            "You return the number of the last stage that was used, counted from 0. How many stages is that?",
        ),
        Wrong(
            _needed_x,
            "counts_stages_of_the_residual",
            "Every stage of yours quantizes the vector itself. From the second stage on it must be what is left over.",
        ),
        Wrong(
            _needed_together,
            "counts_stages_of_the_residual",
            "All vectors stop together, when their mean is small enough. Each vector stops for itself.",
        ),
        Wrong(
            _needed_at_least_one,
            "none_can_be_enough",
            "You never look at the vector before the first stage. A short one needs no stage at all: 0.",
        ),
        Wrong(
            _needed_strict,
            "equal_to_the_tolerance_is_enough",
            "You ask for less than the tolerance. Equal is enough: <=.",
        ),
        Wrong(
            _needed_length,
            "squared_length_is_compared",
            "You compare the length. The tolerance is for the squared length: leave the square root out.",
        ),
        Wrong(
            _needed_mean,
            "squared_length_is_compared",
            "You average the squares over the D numbers of a vector. A squared length is their sum.",
        ),
        Wrong(
            _needed_count,
            "first_time_counts",
            "You count how often the vector was not good enough. If a later stage makes it worse again, that is not "
            "when it was good enough for the first time.",
        ),
        Wrong(
            _needed_argmax,
            "never_enough_takes_all",
            "argmax over a column of nothing but False is 0. A vector that is never good enough takes all K stages.",
        ),
    ),
    right=(_needed_loop, _needed_active),
    examples=lambda generator: [
        (*_drawn(generator, 30, 4, 6, 2), 0.3),
        (*_drawn(generator, 20, 3, 4, 3), 0.5),
        (torch.tensor([[4.5], [0.1], [100.0], [7.0]]), STEPS, 0.25),
    ],
)


# ---- 2. decode_first: each clip its own number of codebooks --------------------------------------------------------


def _first(codes: Tensor, codebooks: Tensor, counts: Tensor) -> Tensor:
    B, K, T = codes.shape
    entries = torch.stack([codebooks[k][codes[:, k]] for k in range(K)], 1)  # [B, K, T, D]
    kept = torch.arange(K) < counts[:, None]  # [B, K]
    return (entries * kept[:, :, None, None]).sum(1).transpose(1, 2)  # [B, D, T]


def _codes(generator: torch.Generator | None, B: int, K: int, T: int, V: int) -> Tensor:
    return torch.randint(V, (B, K, T), generator=generator)


def has_the_shape_of_latents(answer):
    """The result has the shape of latents, [B, D, T]."""
    for B, K, T, V, D in ((2, 3, 5, 4, 6), (1, 1, 2, 3, 4)):
        decoded = answer(_codes(None, B, K, T, V), torch.randn(K, V, D), torch.full((B,), K))
        expect_tensor(decoded, (B, D, T), torch.float32)


def all_codebooks_give_the_sum(answer):
    """With all K codebooks it is the sum of the K entries of a frame."""
    codebooks = torch.tensor([[[1.0], [2.0]], [[10.0], [20.0]], [[100.0], [200.0]]])  # [K, V, D]
    codes = torch.tensor([[[0, 1], [1, 0], [1, 1]]])  # [B, K, T]
    expect_close(
        answer(codes, codebooks, torch.tensor([3])), [[[221.0, 212.0]]], "entries 1 + 20 + 200 and 2 + 10 + 200"
    )


def the_first_ones_are_kept(answer):
    """With a count of n, codebooks 0 to n - 1 are used."""
    codebooks = torch.tensor([[[0.0], [2.0]], [[0.0], [20.0]], [[0.0], [200.0]]])
    codes = torch.ones(1, 3, 1, dtype=torch.long)
    for n, total in ((1, 2.0), (2, 22.0)):
        expect_close(answer(codes, codebooks, torch.tensor([n])), [[[total]]], f"entries 2, 20 and 200, count {n}")


def what_is_left_out_adds_nothing(answer):
    """A codebook that is left out adds nothing, and a count of 0 gives zeros."""
    codebooks = torch.tensor([[[1.0], [2.0]], [[10.0], [20.0]]])
    codes = torch.ones(1, 2, 1, dtype=torch.long)
    expect_close(answer(codes, codebooks, torch.tensor([1])), [[[2.0]]], "entry 2 alone, and 20 left out")
    expect_close(answer(codes, codebooks, torch.tensor([0])), [[[0.0]]], "count 0")


def each_clip_has_its_own_count(answer):
    """Each clip of a batch is decoded with its own count."""
    codebooks = torch.tensor([[[0.0], [2.0]], [[0.0], [20.0]]])
    decoded = answer(torch.ones(3, 2, 1, dtype=torch.long), codebooks, torch.tensor([2, 0, 1]))
    expect_close(decoded.flatten(), [22.0, 0.0, 2.0], "counts 2, 0 and 1")


def decodes_as_the_library_does(answer):
    """Each clip equals what the library decodes from the first n rows of its codes."""
    for B, K, T, V, D in ((5, 4, 7, 8, 3), (3, 6, 2, 5, 9)):
        codes, codebooks, counts = _codes(None, B, K, T, V), torch.randn(K, V, D), torch.randint(1, K + 1, (B,))
        quantizer = _quantizer(codebooks)
        expected = torch.cat([quantizer.decode(codes[b : b + 1, :n]) for b, n in enumerate(counts.tolist())])
        expect_close(answer(codes, codebooks, counts), expected, f"counts {counts.tolist()}")


def _entries(codes, codebooks):
    return torch.stack([codebooks[k][codes[:, k]] for k in range(codes.shape[1])], 1)  # [B, K, T, D]


def _masked(codes, codebooks, kept):
    return (_entries(codes, codebooks) * kept[:, :, None, None]).sum(1).transpose(1, 2)


def _stage(codes):
    return torch.arange(codes.shape[1])


def _first_untransposed(codes, codebooks, counts):
    return _first(codes, codebooks, counts).transpose(1, 2)


def _first_one_codebook(codes, codebooks, counts):
    return _first(codes, codebooks[:1].expand_as(codebooks), counts)


def _first_mean(codes, codebooks, counts):
    return _first(codes, codebooks, counts) / counts.clamp(min=1)[:, None, None]


def _first_only_that(codes, codebooks, counts):
    return _masked(codes, codebooks, _stage(codes) == counts[:, None] - 1)


def _first_one_more(codes, codebooks, counts):
    return _masked(codes, codebooks, _stage(codes) <= counts[:, None])


def _first_last(codes, codebooks, counts):
    return _masked(codes, codebooks, _stage(codes) >= codes.shape[1] - counts[:, None])


def _first_code_zero(codes, codebooks, counts):
    kept = _stage(codes) < counts[:, None]
    return _entries(codes * kept[:, :, None], codebooks).sum(1).transpose(1, 2)


def _first_same(codes, codebooks, counts):
    return _first(codes, codebooks, counts[:1].expand_as(counts))


def _first_loops(codes, codebooks, counts):
    B, K, T = codes.shape
    decoded = torch.zeros(B, codebooks.shape[2], T)
    for b in range(B):
        for k in range(int(counts[b])):
            for t in range(T):
                decoded[b, :, t] += codebooks[k, codes[b, k, t]]
    return decoded


def _first_einsum(codes, codebooks, counts):
    K, V, D = codebooks.shape
    chosen = F.one_hot(codes, V).float()  # [B, K, T, V]
    kept = (torch.arange(K)[None] < counts[:, None]).float()
    return torch.einsum("bktv,kvd,bk->bdt", chosen, codebooks, kept)


decode_first = Exercise(
    "decode_first",
    reference=_first,
    properties=(
        has_the_shape_of_latents,
        all_codebooks_give_the_sum,
        the_first_ones_are_kept,
        what_is_left_out_adds_nothing,
        each_clip_has_its_own_count,
        decodes_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _first_untransposed,
            "has_the_shape_of_latents",
            "Yours is [B, T, D]. Latents have the width before the time: transpose(1, 2).",
        ),
        Wrong(
            _first_one_codebook,
            "all_codebooks_give_the_sum",
            "You look all codes up in codebook 0. Row k of the codes belongs to codebook k.",
        ),
        Wrong(
            _first_mean,
            "all_codebooks_give_the_sum",
            "You divide by the count. Stages are corrections that add up: the sum, not the mean.",
        ),
        Wrong(
            _first_only_that,
            "all_codebooks_give_the_sum",
            "You use codebook n - 1 alone. A count of n means all of the codebooks 0 to n - 1.",
        ),
        Wrong(
            _first_one_more,
            "the_first_ones_are_kept",
            "You keep one codebook too many: numbers start at 0, so k < n, not k <= n.",
        ),
        Wrong(
            _first_last,
            "the_first_ones_are_kept",
            "You keep the last n codebooks. The first ones carry the most, and the later ones correct them.",
        ),
        Wrong(
            _first_code_zero,
            "what_is_left_out_adds_nothing",
            "You set codes to 0, but 0 is a code like any other: it stands for entry 0, and that is added. Mask the "
            "vectors, not the codes.",
        ),
        Wrong(
            _first_same,
            "each_clip_has_its_own_count",
            "All clips are decoded with the count of the first one. Compare with counts[:, None].",
        ),
    ),
    right=(_first_loops, _first_einsum),
    examples=lambda generator: [
        (_codes(generator, 3, 4, 5, 6), torch.randn(4, 6, 2, generator=generator), torch.tensor([3, 1, 2])),
        (_codes(generator, 2, 3, 4, 5), torch.randn(3, 5, 4, generator=generator), torch.tensor([0, 3])),
    ],
)


# ---- 3. codebooks_for: plan a bit rate -----------------------------------------------------------------------------


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


# ---- 4. energy_shares: who explains what ---------------------------------------------------------------------------


def _shares(vectors: Tensor, codebooks: Tensor) -> Tensor:
    energy = _energies(vectors, codebooks).sum(1)  # [K + 1]
    return torch.cat([energy[:-1] - energy[1:], energy[-1:]]) / energy[0]


def _fitted(N: int = 60, K: int = 3, V: int = 6, D: int = 3) -> tuple[Tensor, Tensor]:
    vectors = torch.randn(N, D)
    return vectors, torch.randn(K, V, D) * 0.6 ** torch.arange(K)[:, None, None]


def has_a_share_for_each_stage_and_the_rest(answer):
    """The result holds K + 1 numbers: one for each stage, and one for what is left over."""
    for K in (1, 3, 4):
        expect_tensor(answer(*_fitted(K=K)), (K + 1,), torch.float32)


def shares_add_up_to_one(answer):
    """The shares add up to 1."""
    for _ in range(5):
        expect_close(answer(*_fitted()).sum(), 1.0, "the sum of all shares", tolerance=1e-4)


HALVES = torch.tensor([[[-4.0], [0.0], [4.0]], [[-2.0], [0.0], [2.0]]])


def shares_by_hand(answer):
    """One vector, 7, with steps of 4 and 2: energies 49, 9 and 1, so the shares are 40, 8 and 1 of 49."""
    expect_close(answer(torch.tensor([[7.0]]), HALVES), [40 / 49, 8 / 49, 1 / 49], "vector 7")


def loud_vectors_count_more(answer):
    """Energies are added over all vectors before anything is divided."""
    # 7: 49, 9, 1. 1: 1, 1, 1. Together 50, 10, 2.
    expect_close(answer(torch.tensor([[7.0], [1.0]]), HALVES), [40 / 50, 8 / 50, 2 / 50], "vectors 7 and 1")


def a_bad_stage_has_a_negative_share(answer):
    """A stage that makes things worse has a share below 0."""
    codebooks = torch.tensor([[[4.0]], [[3.0]]])  # 4: energies 16, 0, 9
    expect_close(answer(torch.tensor([[4.0]]), codebooks), [1.0, -9 / 16, 9 / 16], "vector 4, entries 4 and 3")


def shares_are_those_of_the_library(answer):
    """On random vectors the shares are those of the library."""
    for K, V, D in ((4, 8, 5), (2, 30, 3)):
        vectors, codebooks = _fitted(80, K, V, D)
        expect_close(answer(vectors, codebooks), _shares(vectors, codebooks), f"K {K}, V {V}, D {D}", 1e-4)


def _shares_no_rest(vectors, codebooks):
    return _shares(vectors, codebooks)[:-1]


def _shares_residuals(vectors, codebooks):
    energy = _energies(vectors, codebooks).sum(1)
    return energy / energy[0]


def _shares_undivided(vectors, codebooks):
    return _shares(vectors, codebooks) * vectors.square().sum()


def _shares_entries(vectors, codebooks):
    left = _leftovers(vectors, codebooks)
    entries = [(before - after).square().sum() for before, after in itertools.pairwise(left)]
    return torch.stack([*entries, left[-1].square().sum()]) / vectors.square().sum()


def _shares_entries_scaled(vectors, codebooks):
    shares = _shares_entries(vectors, codebooks)
    return shares / shares.sum()


def _shares_lengths(vectors, codebooks):
    energy = _energies(vectors, codebooks).sum(1).sqrt()
    return torch.cat([energy[:-1] - energy[1:], energy[-1:]]) / energy[0]


def _shares_mean_of_ratios(vectors, codebooks):
    energy = _energies(vectors, codebooks)
    energy = energy / energy[0]
    return torch.cat([energy[:-1] - energy[1:], energy[-1:]]).mean(1)


def _shares_clamped(vectors, codebooks):
    shares = _shares(vectors, codebooks)
    kept = shares.clamp(min=0)
    return kept / kept.sum()


def _shares_loop(vectors, codebooks):
    totals = [0.0] * (len(codebooks) + 1)
    for vector in vectors:
        residual = vector.clone()
        totals[0] += float(residual @ residual)
        for k, codebook in enumerate(codebooks):
            residual = residual - codebook[(codebook - residual).square().sum(1).argmin()]
            totals[k + 1] += float(residual @ residual)
    return torch.tensor([*(a - b for a, b in itertools.pairwise(totals)), totals[-1]]) / totals[0]


def _shares_library(vectors, codebooks):
    quantizer, x = _quantizer(codebooks), vectors.T[None]
    codes = quantizer.encode(x)
    left = [x.square().mean()]
    left += [(x - quantizer.decode(codes[:, : k + 1])).square().mean() for k in range(len(codebooks))]
    return -torch.diff(torch.stack(left), append=torch.zeros(1)) / left[0]


def _shares_picture(target, yours, arguments):
    figure, axes = figures.new_figure(6.4, 2.6)
    names = [*(f"stage {k}" for k in range(len(target) - 1)), "left over"]
    place = torch.arange(len(target)).numpy()
    axes.bar(place - 0.2, target.numpy(), 0.4, color=figures.LIT, edgecolor=figures.INK, label="target")
    mine = yours.numpy()[: len(target)]
    axes.bar(place[: len(mine)] + 0.2, mine, 0.4, color="#d9d9de", hatch="//", edgecolor=figures.INK, label="yours")
    axes.set_xticks(place, names)
    axes.set_ylabel("share of the energy")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "energy shares, target and yours")


energy_shares = Exercise(
    "energy_shares",
    reference=_shares,
    properties=(
        has_a_share_for_each_stage_and_the_rest,
        shares_add_up_to_one,
        shares_by_hand,
        loud_vectors_count_more,
        a_bad_stage_has_a_negative_share,
        shares_are_those_of_the_library,
    ),
    wrong=(
        Wrong(
            _shares_no_rest,
            "has_a_share_for_each_stage_and_the_rest",
            "The stages are there, but not what is left over after the last one: K + 1 numbers.",
        ),
        Wrong(
            _shares_residuals,
            "shares_add_up_to_one",
            "These are the energies that remain. A stage's share is the difference of the energy before and after it.",
        ),
        Wrong(
            _shares_undivided,
            "shares_add_up_to_one",
            "These are energies. Divide them by the energy of the vectors to get shares.",
        ),
        Wrong(
            _shares_entries,
            "shares_add_up_to_one",
            "You take the energy of the chosen entries. That is not what they take away from the residual: "
            "|r|^2 - |r - e|^2 is |e|^2 only if e is at a right angle to what it leaves.",
        ),
        Wrong(
            _shares_entries_scaled,
            "shares_by_hand",
            "You take the energy of the chosen entries, scaled to add up to 1. A stage's share is what it takes away: "
            "the residual's energy before minus after.",
        ),
        Wrong(
            _shares_lengths,
            "shares_by_hand",
            "You subtract lengths. Energy is the squared length: leave the square root out.",
        ),
        Wrong(
            _shares_mean_of_ratios,
            "loud_vectors_count_more",
            "You divide for each vector and then take the mean, so a silent frame counts as much as a loud one. Add "
            "the energies over all vectors first.",
        ),
        Wrong(
            _shares_clamped,
            "a_bad_stage_has_a_negative_share",
            "You cut negative shares off. They are news: that stage makes things worse.",
        ),
    ),
    right=(_shares_loop, _shares_library),
    examples=lambda generator: [
        _drawn(generator, 40, 4, 6, 3),
        _drawn(generator, 5, 2, 3, 2),
        (torch.tensor([[4.0], [1.0]]), torch.tensor([[[4.0]], [[3.0]]])),
    ],
    picture=_shares_picture,
)


# ---- 5. beam_encode: look at more than the nearest -----------------------------------------------------------------


def _beam(vectors: Tensor, codebooks: Tensor, width: int) -> Tensor:
    N, D = vectors.shape
    residual, codes = vectors[:, None], torch.zeros(N, 1, 0, dtype=torch.long)  # [N, W, D], [N, W, k]
    for codebook in codebooks:
        distances = (residual[:, :, None] - codebook).square().sum(-1)  # [N, W, V]
        best = distances.flatten(1).topk(min(width, distances[0].numel()), largest=False).indices  # [N, W]
        parent, code = best // len(codebook), best % len(codebook)
        residual = residual.gather(1, parent[..., None].expand(-1, -1, D)) - codebook[code]
        codes = torch.cat([codes.gather(1, parent[..., None].expand(-1, -1, codes.shape[2])), code[..., None]], 2)
    return codes[:, 0]


def _left(vectors: Tensor, codebooks: Tensor, codes: Tensor) -> Tensor:
    """Squared length of what codes [N, K] leave over: [N]."""
    return (vectors - sum(book[codes[:, k]] for k, book in enumerate(codebooks))).square().sum(1)


def _case(N: int, K: int, V: int, D: int) -> tuple[Tensor, Tensor]:
    return torch.randn(N, D), torch.randn(K, V, D) * 0.7 ** torch.arange(K)[:, None, None]


def gives_codes(answer):
    """The result holds K codes for each vector, whole numbers from 0 to V - 1."""
    for N, K, V, D, width in ((6, 3, 5, 2, 2), (1, 2, 4, 3, 3), (4, 1, 6, 2, 2)):
        codes = answer(*_case(N, K, V, D), width)
        expect_tensor(codes, (N, K), torch.int64)
        expect(bool(((codes >= 0) & (codes < V)).all()), f"codes must be 0 to {V - 1}, but they are {codes.tolist()}")


def width_one_is_greedy(answer):
    """A beam of width 1 is the greedy search."""
    vectors, codebooks = _case(30, 4, 6, 3)
    greedy = _quantizer(codebooks).encode(vectors.T[None])[0].T  # [N, K]
    expect_close(answer(vectors, codebooks, 1), greedy, "width 1")


def finds_what_greedy_misses(answer):
    """For 2.1, with entries 0 and 4, then 0 and 2, a beam of 2 finds 0 + 2."""
    codebooks = torch.tensor([[[0.0], [4.0]], [[0.0], [2.0]]])
    expect_close(answer(torch.tensor([[2.1]]), codebooks, 2), [[0, 1]], "greedy takes 4 first and ends with codes 1, 0")


def width_may_exceed_the_codebook(answer):
    """The beam may be wider than a codebook has entries."""
    vectors, codebooks = _case(5, 3, 3, 2)
    expect_tensor(answer(vectors, codebooks, 8), (5, 3), torch.int64)


def a_wide_beam_finds_the_best(answer):
    """A beam that can hold everything finds the best of all V^K combinations."""
    vectors, codebooks = _case(20, 3, 4, 2)
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))  # [V^K, K]
    table = sum(book[every[:, k]] for k, book in enumerate(codebooks))  # [V^K, D]
    best = (vectors[:, None] - table).square().sum(2).amin(1)
    found = _left(vectors, codebooks, answer(vectors, codebooks, 16))
    expect_close(found, best, "what is left over with width 16, V 4, K 3", tolerance=1e-4)


def keeps_the_best_at_each_stage(answer):
    """At each stage the `width` sums that are nearest to the vector are kept, as in the library's version."""
    for N, K, V, D, width in ((25, 4, 6, 3, 2), (25, 5, 4, 4, 3)):
        vectors, codebooks = _case(N, K, V, D)
        found = _left(vectors, codebooks, answer(vectors, codebooks, width))
        wanted = _left(vectors, codebooks, _beam(vectors, codebooks, width))
        expect_close(found, wanted, f"what is left over with width {width}, K {K}, V {V}", tolerance=1e-4)


def _beam_with(
    vectors, codebooks, width, last=0, largest=False, history=True, follow=True, add=False, per_parent=False
):
    """A beam search with one of the usual mistakes built in."""
    N, D = vectors.shape
    residual, codes = vectors[:, None], torch.zeros(N, 1, 0, dtype=torch.long)
    score = torch.zeros(N, 1)
    for k, codebook in enumerate(codebooks):
        distances = (residual[:, :, None] - codebook).square().sum(-1) + (score[:, :, None] if add else 0)
        if per_parent and k:
            code = distances.argmin(2)
            parent = torch.arange(code.shape[1]).expand_as(code)
        else:
            best = distances.flatten(1).topk(min(width, distances[0].numel()), largest=largest).indices
            parent, code = best // len(codebook), best % len(codebook)
        score = distances.flatten(1).gather(1, parent * len(codebook) + code)
        at = parent if follow else torch.arange(code.shape[1]).clamp(max=residual.shape[1] - 1).expand_as(code)
        residual = residual.gather(1, at[..., None].expand(-1, -1, D)) - codebook[code]
        past = parent if history else torch.arange(code.shape[1]).clamp(max=codes.shape[1] - 1).expand_as(code)
        codes = torch.cat([codes.gather(1, past[..., None].expand(-1, -1, k)), code[..., None]], 2)
    if per_parent:
        return codes[torch.arange(N), score.argmin(1)]
    return codes[:, last]


def _beam_unindexed(vectors, codebooks, width):
    return _beam(vectors, codebooks, width).float()


def _beam_greedy(vectors, codebooks, width):
    return _beam(vectors, codebooks, 1)


def _beam_farthest(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, largest=True)


def _beam_last(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, last=-1)


def _beam_no_history(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, history=False)


def _beam_no_follow(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, follow=False)


def _beam_adds(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, add=True)


def _beam_one_child(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, min(width, codebooks.shape[1]), per_parent=True)


def _beam_narrow(vectors, codebooks, width):
    if width > codebooks.shape[1]:
        raise RuntimeError("selected index k out of range")
    return _beam(vectors, codebooks, width)


def _beam_loop(vectors, codebooks, width):
    chosen = []
    for vector in vectors:
        beam = [((), vector)]
        for codebook in codebooks:
            longer = [((*codes, v), left - entry) for codes, left in beam for v, entry in enumerate(codebook)]
            beam = sorted(longer, key=lambda one: float(one[1] @ one[1]))[:width]
        chosen.append(beam[0][0])
    return torch.tensor(chosen)


def _beam_products(vectors, codebooks, width):
    sums, codes = torch.zeros(len(vectors), 1, vectors.shape[1]), [[()] for _ in vectors]
    for codebook in codebooks:
        every = (sums[:, :, None] + codebook).flatten(1, 2)  # [N, W * V, D]
        order = (every.pow(2).sum(2) - 2 * torch.einsum("nd,nwd->nw", vectors, every)).argsort(1)[:, :width]
        codes = [
            [(*codes[n][i // len(codebook)], i % len(codebook)) for i in row] for n, row in enumerate(order.tolist())
        ]
        sums = torch.stack([every[n, row] for n, row in enumerate(order)])
    return torch.tensor([row[0] for row in codes])


beam_encode = Exercise(
    "beam_encode",
    reference=_beam,
    properties=(
        gives_codes,
        width_one_is_greedy,
        finds_what_greedy_misses,
        width_may_exceed_the_codebook,
        a_wide_beam_finds_the_best,
        keeps_the_best_at_each_stage,
    ),
    wrong=(
        Wrong(_beam_unindexed, "gives_codes", "Codes are row numbers: int64, so that they can index a codebook."),
        Wrong(
            _beam_farthest,
            "width_one_is_greedy",
            "topk takes the largest distances unless you say largest=False.",
        ),
        Wrong(
            _beam_greedy,
            "finds_what_greedy_misses",
            "That is the greedy search whatever the width: only one candidate goes on to the next stage.",
        ),
        Wrong(
            _beam_last,
            "finds_what_greedy_misses",
            "You return the worst candidate of the last beam. topk sorts: the best one is the first.",
        ),
        Wrong(
            _beam_no_history,
            "finds_what_greedy_misses",
            "The new codes are right, but they are put behind the wrong old ones: a candidate inherits the codes of "
            "its parent, the one whose residual it continues.",
        ),
        Wrong(
            _beam_narrow,
            "width_may_exceed_the_codebook",
            "At the first stage there are only V candidates, so topk(width) fails for a wider beam: take "
            "min(width, number of candidates).",
        ),
        Wrong(
            _beam_one_child,
            "a_wide_beam_finds_the_best",
            "Each candidate takes only its own nearest entry. Compare all W * V continuations with one another.",
        ),
        Wrong(
            _beam_no_follow,
            "a_wide_beam_finds_the_best",
            "A candidate must continue with the residual of its parent. Yours takes the residual that happens to stand "
            "in its place.",
        ),
        Wrong(
            _beam_adds,
            "a_wide_beam_finds_the_best",
            "You add the errors of all stages up. Only what is left over at the end counts: rank by the current one.",
        ),
    ),
    right=(_beam_loop, _beam_products),
    examples=lambda generator: [
        (*_drawn(generator, 12, 3, 5, 2), 3),
        (*_drawn(generator, 8, 4, 4, 3), 2),
        (*_drawn(generator, 4, 2, 3, 2), 5),
    ],
)


EXERCISES = (stages_needed, decode_first, codebooks_for, energy_shares, beam_encode)

seal(__name__)
