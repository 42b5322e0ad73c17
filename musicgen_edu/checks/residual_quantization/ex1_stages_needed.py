"""Exercise 1, `stages_needed`: stop as soon as it is good enough."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.quantization import nearest_code
from .. import Exercise, Wrong, expect, expect_close, expect_tensor
from ._shared import drawn, energies_left


def _needed(vectors: Tensor, codebooks: Tensor, tolerance: float) -> Tensor:
    enough = energies_left(vectors, codebooks) <= tolerance  # [K + 1, N]
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
    enough = energies_left(vectors, codebooks)[1:] <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks) - 1)


def _needed_x(vectors, codebooks, tolerance):
    left, total = [vectors], torch.zeros_like(vectors)
    for codebook in codebooks:
        total = total + codebook[nearest_code(vectors, codebook)]
        left.append(vectors - total)
    enough = torch.stack(left).pow(2).sum(2) <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_together(vectors, codebooks, tolerance):
    means = energies_left(vectors, codebooks).mean(1, keepdim=True).expand(-1, len(vectors))
    enough = means <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_at_least_one(vectors, codebooks, tolerance):
    return _needed(vectors, codebooks, tolerance).clamp(min=1)


def _needed_strict(vectors, codebooks, tolerance):
    enough = energies_left(vectors, codebooks) < tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_length(vectors, codebooks, tolerance):
    enough = energies_left(vectors, codebooks).sqrt() <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_mean(vectors, codebooks, tolerance):
    enough = energies_left(vectors, codebooks) / vectors.shape[1] <= tolerance
    return torch.where(enough.any(0), enough.int().argmax(0), len(codebooks))


def _needed_count(vectors, codebooks, tolerance):
    return (energies_left(vectors, codebooks) > tolerance).sum(0).clamp(max=len(codebooks))


def _needed_argmax(vectors, codebooks, tolerance):
    return (energies_left(vectors, codebooks) <= tolerance).int().argmax(0)


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
        (*drawn(generator, 30, 4, 6, 2), 0.3),
        (*drawn(generator, 20, 3, 4, 3), 0.5),
        (torch.tensor([[4.5], [0.1], [100.0], [7.0]]), STEPS, 0.25),
    ],
)
