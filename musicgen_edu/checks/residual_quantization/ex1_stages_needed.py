"""Exercise 1, `stages_needed`: stop as soon as it is good enough."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.quantization import nearest_code
from .. import Exercise, expect, expect_equal, expect_tensor, mistakes
from ._shared import drawn, library_energies


def _needed(vectors: Tensor, codebooks: Tensor, tolerance: float) -> Tensor:
    K, residual = len(codebooks), vectors
    energies = [residual.square().sum(1)]
    for k in range(K):
        codes = nearest_code(residual, codebooks[k])
        residual = residual - codebooks[k][codes]
        energies.append(residual.square().sum(1))
    enough = torch.stack(energies) <= tolerance  # [K + 1, N]
    first = enough.int().argmax(0)
    return torch.where(enough.any(0), first, K)


STEPS = torch.tensor([[[-s], [0.0], [s]] for s in (4.0, 2.0, 1.0, 0.5)])  # [4, 3, 1]


def gives_one_whole_number_for_each_vector(answer):
    """The result holds one whole number, 0 to K, for each vector."""
    for N, K in ((7, 3), (1, 4), (5, 1)):
        needed = answer(torch.randn(N, 2), torch.randn(K, 4, 2), 0.3)
        expect_tensor(needed, (N,), torch.int64)
        inside = bool(((needed >= 0) & (needed <= K)).all())
        expect(inside, f"{K} stages: expected numbers from 0 to {K}, not {needed.tolist()}")


def counts_stages_of_the_residual(answer):
    """On a line with steps of 4, 2, 1 and 0.5, the numbers 4, 6, 7 and 3.05 need 1, 2, 3 and 3 stages."""
    found = answer(torch.tensor([[4.0], [6.0], [7.0], [3.05]]), STEPS, 0.1)
    expect_equal(found, [1, 2, 3, 3], "4, 6, 7 and 3.05, tolerance 0.1")


def none_can_be_enough(answer):
    """A vector that is short enough needs no stage at all."""
    expect_equal(answer(torch.tensor([[0.05], [4.0]]), STEPS, 0.1), [0, 1], "0.05 is as good as nothing, 4 is not")


def equal_to_the_tolerance_is_enough(answer):
    """A squared length that equals the tolerance is small enough."""
    found = answer(torch.tensor([[5.0], [7.0], [1.0]]), STEPS, 1.0)
    expect_equal(found, [1, 2, 0], "tolerance 1: after 4 of 5, after 4 and 2 of 7, and of 1 exactly 1 is left")
    expect_equal(answer(torch.tensor([[6.0], [0.0]]), STEPS, 0.0), [2, 0], "tolerance 0, vectors 6 and 0")
    expect_equal(answer(torch.tensor([[1.0001]]), STEPS, 1.0), [2], "tolerance 1, vector 1.0001, a little too long")


def squared_length_is_compared(answer):
    """The squared length is compared: the sum of squares over all D numbers."""
    nothing = torch.zeros(1, 1, 2)
    expect_equal(answer(torch.tensor([[0.6, 0.0]]), nothing, 0.5), [0], "[0.6, 0] has 0.36, tolerance 0.5")
    expect_equal(answer(torch.tensor([[0.6, 0.6]]), nothing, 0.5), [1], "[0.6, 0.6] has 0.72, tolerance 0.5")
    expect_equal(answer(torch.tensor([[1.5, 1.5]]), nothing, 4.0), [1], "[1.5, 1.5] has 4.5, tolerance 4")


def first_time_counts(answer):
    """Counting ends at the first stage that is good enough, even if a later one makes it worse again."""
    codebooks = torch.tensor([[[-4.0], [4.0]], [[-2.0], [2.0]], [[-1.0], [1.0]]])
    found = answer(torch.tensor([[4.0], [6.0], [0.0]]), codebooks, 0.1)
    expect_equal(found, [1, 2, 0], "4, 6 and 0: steps without a 0 overshoot")
    found = answer(torch.tensor([[4.0]]), torch.tensor([[[4.0]], [[1.0]], [[-1.0]]]), 0.1)
    expect_equal(found, [1], "4 with entries 4, 1, -1: good enough after 1 and 3 stages")


def never_enough_takes_all(answer):
    """A vector that is never good enough takes all K stages."""
    expect_equal(answer(torch.tensor([[100.0], [4.0]]), STEPS, 0.1), [4, 1], "100 is out of reach, 4 is not")


def needs_what_the_library_needs(answer):
    """On random vectors the numbers follow from what the library's quantizer leaves over."""
    for N, K, V, D in ((40, 4, 8, 3), (30, 6, 5, 2), (50, 3, 7, 8)):
        vectors, codebooks = drawn(N, K, V, D)
        energies = library_energies(vectors, codebooks)
        some = energies.flatten().sort().values[N : 2 * N]
        place = int(some.diff().argmax())
        tolerance = float(some[place : place + 2].mean())  # in the widest gap, so that no rounding decides
        wanted = [next((k for k in range(K) if row[k] <= tolerance), K) for row in energies.T]
        expect_equal(answer(vectors, codebooks, tolerance), wanted, f"N {N}, K {K}, V {V}, D {D}")


def _by_loop(vectors, codebooks, tolerance):
    needed = []
    for vector in vectors:
        residual, k = vector, 0
        while k < len(codebooks) and residual @ residual > tolerance:
            residual = residual - min(codebooks[k], key=lambda entry, r=residual: float((r - entry).pow(2).sum()))
            k += 1
        needed.append(k)
    return torch.tensor(needed)


def _by_active(vectors, codebooks, tolerance):
    residual, needed = vectors.clone(), torch.zeros(len(vectors), dtype=torch.long)
    for codebook in codebooks:
        active = residual.square().sum(-1) > tolerance
        entries = codebook[torch.cdist(residual, codebook).argmin(1)]
        residual = torch.where(active[:, None], residual - entries, residual)
        needed += active
    return needed


stages_needed = Exercise(
    "stages_needed",
    reference=_needed,
    properties=(
        gives_one_whole_number_for_each_vector, counts_stages_of_the_residual, none_can_be_enough,
        equal_to_the_tolerance_is_enough, never_enough_takes_all, squared_length_is_compared, first_time_counts,
        needs_what_the_library_needs,
    ),
    wrong=mistakes(_needed, {
        gives_one_whole_number_for_each_vector: [
            ("first, K)", "first, float(K))", "Numbers of stages are whole: int64."),
            ("enough.any(0), first, K)", "enough.any(0), first, K).sum()", "You add the stages of all vectors. One "
             "number for each is asked for."),
            ("return torch.where(enough.any(0), first, K)", "return torch.where(enough.any(0), first, -1)",
             "A vector that is never good enough takes all K stages, not -1."),
            ("first, K)", "first, K + 1)", "A vector that is never good enough takes all K stages. There is no K + 1."),
        ],
        counts_stages_of_the_residual: [
            ("energies = [residual.square().sum(1)]", "energies = []", "first, K)", "first, K - 1)",
             "You return the number of the last stage that was used, counted from 0. How many stages is that?"),
            ("nearest_code(residual, ", "nearest_code(vectors, ",
             "Every stage of yours quantizes the vector itself. From the second on it must be what is left over."),
            ("<= tolerance", ".mean(1, keepdim=True).expand(-1, len(vectors)) <= tolerance",
             "All vectors stop together, when their mean is small enough. Each vector stops for itself."),
            ("residual - codebooks[k][codes]", "vectors - codebooks[k][codes]", "You subtract from the vector itself. "
             "What the stages before have taken away must stay away."),
            ("residual - codebooks[k][codes]", "residual - codebooks[0][codes]", "Stage k looks its codes up in "
             "codebook k."),
            ("first = enough.int().argmax(0)", "first = K - enough.flip(0).int().argmax(0)",
             "You return the last stage that is good enough. The first one counts."),
        ],
        none_can_be_enough: [
            ("energies = [residual.square().sum(1)]", "energies = []", "first, K)", "first + 1, K)",
             "Your list begins after the first stage. Before it the vector itself is left over: that is entry 0."),
            ("first, K)", "first, K).clamp(min=1)",
             "You never look at the vector before the first stage. A short one needs no stage at all: 0."),
        ],
        equal_to_the_tolerance_is_enough: [
            ("<= tolerance", "< tolerance", "You ask for less than the tolerance. Equal is enough: <=."),
            ("<= tolerance", "<= tolerance + 1e-3", "You allow a little more than the tolerance: compare with <= as it "
             "is."),
            ("first = enough.int().argmax(0)", "first = torch.stack(energies).argmin(0)",
             "You return the stage that leaves over the least. The first one that is good enough counts."),
        ],
        squared_length_is_compared: [
            ("torch.stack(energies)", "torch.stack(energies).sqrt()",
             "You compare the length. The tolerance is for the squared length: leave the square root out."),
            ("torch.stack(energies)", "torch.stack(energies) / vectors.shape[1]",
             "You average the squares over the D numbers of a vector. A squared length is their sum."),
            ("[residual.square().sum(1)]", "[residual.square().amax(1)]", "append(residual.square().sum(1))",
             "append(residual.square().amax(1))", "You look at the largest number of a vector alone. A squared length "
             "is the sum of all squares."),
        ],
        first_time_counts: [
            ("torch.where(enough.any(0), first, K)", "(~enough).sum(0).clamp(max=K)",
             "You count how often the vector was not good enough. If a later stage makes it worse again, that is not "
             "when it was good enough for the first time."),
        ],
        never_enough_takes_all: [
            ("torch.where(enough.any(0), first, K)", "first",
             "argmax over a column of nothing but False is 0. A vector that is never good enough takes all K stages."),
        ],
        needs_what_the_library_needs: [
            ("nearest_code(residual, codebooks[k])", "(residual @ codebooks[k].T).argmax(1)", "The largest inner "
             "product is not the smallest distance: long entries win. nearest_code takes |e|^2 into account."),
        ],
    }),
    right=(_by_loop, _by_active),
    examples=lambda generator: [
        (*drawn(30, 4, 6, 2, generator), 0.3),
        (*drawn(20, 3, 4, 3, generator), 0.5),
        (torch.tensor([[4.5], [0.1], [100.0], [7.0]]), STEPS, 0.25),
    ],
)  # fmt: skip
