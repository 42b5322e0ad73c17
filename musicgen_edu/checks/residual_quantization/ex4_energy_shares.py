"""Exercise 4, `energy_shares`: who explains what."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from ... import figures
from .. import Exercise, Wrong, expect_close, expect_tensor
from ._shared import drawn, energies_left, leftovers, library_quantizer


def _shares(vectors: Tensor, codebooks: Tensor) -> Tensor:
    energy = energies_left(vectors, codebooks).sum(1)  # [K + 1]
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
    energy = energies_left(vectors, codebooks).sum(1)
    return energy / energy[0]


def _shares_undivided(vectors, codebooks):
    return _shares(vectors, codebooks) * vectors.square().sum()


def _shares_entries(vectors, codebooks):
    left = leftovers(vectors, codebooks)
    entries = [(before - after).square().sum() for before, after in itertools.pairwise(left)]
    return torch.stack([*entries, left[-1].square().sum()]) / vectors.square().sum()


def _shares_entries_scaled(vectors, codebooks):
    shares = _shares_entries(vectors, codebooks)
    return shares / shares.sum()


def _shares_lengths(vectors, codebooks):
    energy = energies_left(vectors, codebooks).sum(1).sqrt()
    return torch.cat([energy[:-1] - energy[1:], energy[-1:]]) / energy[0]


def _shares_mean_of_ratios(vectors, codebooks):
    energy = energies_left(vectors, codebooks)
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
    quantizer, x = library_quantizer(codebooks), vectors.T[None]
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
        drawn(generator, 40, 4, 6, 3),
        drawn(generator, 5, 2, 3, 2),
        (torch.tensor([[4.0], [1.0]]), torch.tensor([[[4.0]], [[3.0]]])),
    ],
    picture=_shares_picture,
)
