"""Exercise 4, `energy_shares`: who explains what."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from ... import figures
from ...model.quantization import nearest_code
from .. import Exercise, expect_close, expect_tensor, mistakes
from ._shared import drawn, library_energies, library_quantizer


def _shares(vectors: Tensor, codebooks: Tensor) -> Tensor:
    residual = vectors
    energies = [residual.square().sum()]
    for codebook in codebooks:
        codes = nearest_code(residual, codebook)
        residual = residual - codebook[codes]
        energies.append(residual.square().sum())
    energy = torch.stack(energies)  # [K + 1]
    taken = energy[:-1] - energy[1:]
    return torch.cat([taken, energy[-1:]]) / energy[0]


def has_a_share_for_each_stage_and_the_rest(answer):
    """The result holds K + 1 numbers: one for each stage, and one for what is left over."""
    for N, K in ((60, 1), (60, 3), (60, 4), (1, 2)):
        expect_tensor(answer(*drawn(N, K, 6, 3)), (K + 1,), torch.float32)


def shares_add_up_to_one(answer):
    """The shares add up to 1."""
    for _ in range(5):
        expect_close(answer(*drawn(60, 3, 6, 3)).sum(), 1.0, "the sum of all shares", tolerance=1e-4)


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
    """On random vectors the shares follow from what the library's quantizer leaves over."""
    for N, K, V, D in ((80, 4, 8, 5), (80, 2, 30, 3), (1, 5, 4, 1)):
        vectors, codebooks = drawn(N, K, V, D)
        for books in (codebooks, codebooks.flip(0), codebooks[:1].expand(K, -1, -1)):  # as the next cell has them
            energy = library_energies(vectors, books).sum(1)
            wanted = -torch.diff(energy, append=torch.zeros(1)) / energy[0]
            expect_close(answer(vectors, books), wanted, f"N {N}, K {K}, V {V}, D {D}", 1e-4)
            quiet = answer(vectors / 1000, books / 1000)
            expect_close(quiet, wanted, f"N {N}, K {K}, V {V}, D {D}, all a thousandth as loud", 1e-3)


def _entries(vectors, codebooks):
    residual, energies = vectors, []
    for codebook in codebooks:
        entry = codebook[nearest_code(residual, codebook)]
        residual = residual - entry
        energies.append(entry.square().sum())
    return torch.stack([*energies, residual.square().sum()]) / vectors.square().sum()


def _entries_scaled(vectors, codebooks):
    shares = _entries(vectors, codebooks)
    return shares / shares.sum()


def _by_loop(vectors, codebooks):
    totals = [0.0] * (len(codebooks) + 1)
    for vector in vectors:
        residual = vector.clone()
        totals[0] += float(residual @ residual)
        for k, codebook in enumerate(codebooks):
            residual = residual - codebook[(codebook - residual).square().sum(1).argmin()]
            totals[k + 1] += float(residual @ residual)
    return torch.tensor([*(a - b for a, b in itertools.pairwise(totals)), totals[-1]]) / totals[0]


def _by_library(vectors, codebooks):
    quantizer, x = library_quantizer(codebooks), vectors.T[None]
    codes = quantizer.encode(x)
    left = [x.square().mean()]
    left += [(x - quantizer.decode(codes[:, : k + 1])).square().mean() for k in range(len(codebooks))]
    return -torch.diff(torch.stack(left), append=torch.zeros(1)) / left[0]


def _picture(target, yours, arguments):
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
        has_a_share_for_each_stage_and_the_rest, shares_add_up_to_one, shares_by_hand, loud_vectors_count_more,
        a_bad_stage_has_a_negative_share, shares_are_those_of_the_library,
    ),
    wrong=mistakes(_shares, {
        has_a_share_for_each_stage_and_the_rest: [
            ("torch.cat([taken, energy[-1:]])", "taken",
             "The stages are there, but not what is left over after the last one: K + 1 numbers."),
            ("torch.cat([taken, energy[-1:]]) / energy[0]", "(torch.cat([taken, energy[-1:]]) / energy[0]).tolist()",
             "A tensor is asked for, not a list: torch.tensor, or torch.stack."),
            ("vectors\n", "vectors.double(); codebooks = codebooks.double()\n",
             "You compute in float64, which is fine, but the result is to be float32."),
        ],
        shares_add_up_to_one: [
            ("torch.cat([taken, energy[-1:]])", "energy",
             "These are the energies that remain. A stage's share is the energy before it minus that after it."),
            (" / energy[0]", "", "These are energies. Divide them by the energy of the vectors to get shares."),
            (_entries, "You take the energy of the chosen entries. That is not what they take away from the residual: "
             "|r|^2 - |r - e|^2 is |e|^2 only if e is at a right angle to what it leaves."),
            ("torch.cat([taken, energy[-1:]]) / energy[0]", "torch.cat([taken / energy[:-1], energy[-1:] / energy[0]])",
             "You divide by the energy that a stage finds. All shares are parts of the same whole, E_0."),
            ("torch.cat([taken, energy[-1:]])", "torch.cat([taken.cumsum(0), energy[-1:]])",
             "You add the shares up from stage to stage. Each is to be the stage's own."),
        ],
        shares_by_hand: [
            (_entries_scaled, "You take the energy of the chosen entries, scaled to add up to 1. A stage's share is "
             "what it takes away: the residual's energy before minus after."),
            ("torch.stack(energies)", "torch.stack(energies).sqrt()",
             "You subtract lengths. Energy is the squared length: leave the square root out."),
            ("[taken, energy[-1:]]", "[energy[-1:], taken]", "What is left over comes last, after the stages."),
            ("torch.cat([taken, energy[-1:]])", "torch.cat([taken.flip(0), energy[-1:]])",
             "The stages stand in the reverse order: stage 0 comes first."),
            ("residual - codebook[codes]", "vectors - codebook[codes]", "You subtract each entry from the vector "
             "itself. What the stages before have taken away must stay away."),
        ],
        loud_vectors_count_more: [
            ("energies = [residual.square().sum()]", "energies = [residual.square().sum(1)]",
             "energies.append(residual.square().sum())", "energies.append(residual.square().sum(1))",
             "/ energy[0]", "/ energy[0]; return shares.mean(1)", "return torch.cat", "shares = torch.cat",
             "You divide for each vector and then take the mean, so a silent frame counts as much as a loud one. Add "
             "the energies over all vectors first."),
            ("energies = [residual.square().sum()]", "energies = [residual.norm(dim=1).sum() ** 2]",
             "energies.append(residual.square().sum())", "energies.append(residual.norm(dim=1).sum() ** 2)",
             "You add lengths and then square. The energy is the sum of the squares."),
            ("nearest_code(residual, codebook)", "(residual @ codebook.T).argmax(1)", "The largest inner product is "
             "not the smallest distance: long entries win. nearest_code takes |e|^2 into account."),
        ],
        a_bad_stage_has_a_negative_share: [
            ("return torch.cat([taken, energy[-1:]]) / energy[0]",
             "kept = torch.cat([taken, energy[-1:]]).clamp(min=0); return kept / kept.sum()",
             "You cut negative shares off. They are news: that stage makes things worse."),
            ("torch.cat([taken, energy[-1:]])", "torch.cat([taken.abs(), energy[-1:]])",
             "You take the absolute value. A stage that makes things worse has a share below 0."),
        ],
        shares_are_those_of_the_library: [
            ("/ energy[0]", "/ (energy[0] + 1e-4)", "You add a small number below the line, so quiet vectors have "
             "other shares than loud ones."),
            ("for codebook in codebooks:", "for codebook in codebooks.view(-1, codebooks.shape[2]).view("
             "codebooks.shape):", "view fails for codebooks that do not lie in memory one after the other, such as one "
             "that is expanded. Index them, or use reshape."),
            ("nearest_code(residual, ", "nearest_code(vectors, ", "Each stage of yours chooses for the vector itself. "
             "From the second on it must choose for what is left over."),
        ],
    }),
    right=(_by_loop, _by_library),
    examples=lambda generator: [
        drawn(40, 4, 6, 3, generator), drawn(5, 2, 3, 2, generator),
        (torch.tensor([[4.0], [1.0]]), torch.tensor([[[4.0]], [[3.0]]])),
        (drawn(5, 1, 3, 2, generator)[0], drawn(1, 1, 3, 2, generator)[1].expand(3, -1, -1)),
    ],
    picture=_picture,
)  # fmt: skip
