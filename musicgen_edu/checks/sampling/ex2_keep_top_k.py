"""Exercise 2, `keep_top_k`: only the k likeliest tokens."""

from __future__ import annotations

import torch

from ...model.sampling import distribution
from .. import Exercise, expect_close, expect_equal, mistakes
from ._shared import expect_distributions, random_rows, two_distributions


def _top_k(probabilities, k):
    if k == 0:
        return probabilities
    smallest = probabilities.topk(k, -1).values[..., -1:]  # [..., 1]
    kept = probabilities.where(probabilities >= smallest, 0.0)
    return kept / kept.sum(-1, keepdim=True)


def what_is_kept_is_a_distribution(answer):
    """The result has the shape of the probabilities, and each row sums to 1 again."""
    for shape in ((8,), (3, 8), (4, 3, 8)):
        for k in (2, 5):
            expect_distributions(answer(random_rows(*shape), k), shape, f"k = {k}, shape {list(shape)}")


def two_of_four_by_hand(answer):
    """Of 0.1, 0.4, 0.2, 0.3 two are kept: 0, 4/7, 0, 3/7."""
    found = answer(torch.tensor([0.1, 0.4, 0.2, 0.3]), 2)
    expect_close(found, torch.tensor([0.0, 4 / 7, 0.0, 3 / 7]), "k = 2")


def one_is_greedy_and_all_is_off(answer):
    """k = 1 leaves the likeliest token alone, k = V - 1 drops one; k = V and k = 0 leave everything as it was."""
    row = torch.tensor([0.1, 0.4, 0.2, 0.3])
    expect_close(answer(row, 1), torch.tensor([0.0, 1.0, 0.0, 0.0]), "k = 1")
    expect_close(answer(row, 3), torch.tensor([0.0, 4 / 9, 2 / 9, 3 / 9]), "k = V - 1 = 3")
    expect_close(answer(row, 4), row, "k = V = 4")
    expect_close(answer(row, 0), row, "k = 0, off")
    row = torch.tensor([0.5, 0.0, 0.5, 0.0])
    expect_close(answer(row, 3), row, "0.5, 0, 0.5, 0, k = 3")


def each_row_keeps_its_own(answer):
    """A row keeps its own likeliest tokens, though those of another row may be likelier."""
    rows = torch.tensor([[0.7, 0.2, 0.06, 0.04], [0.22, 0.24, 0.26, 0.28]])
    wanted = torch.stack([torch.tensor([0.7, 0.2, 0.0, 0.0]) / 0.9, torch.tensor([0.0, 0.0, 0.26, 0.28]) / 0.54])
    expect_close(answer(rows, 2), wanted, "a sure row and an undecided one, k = 2")


def ties_stay(answer):
    """Tokens as likely as the k-th stay too, nothing tells them apart; the next one goes, however small all are."""
    for row, k, wanted in (
        ([0.1, 0.2, 0.3, 0.2, 0.2], 2, [0.0, 0.2 / 0.9, 0.3 / 0.9, 0.2 / 0.9, 0.2 / 0.9]),
        ([0.1, 0.2, 0.3, 0.2, 0.2], 3, [0.0, 0.2 / 0.9, 0.3 / 0.9, 0.2 / 0.9, 0.2 / 0.9]),
        ([0.2, 0.4, 0.4], 1, [0.0, 0.5, 0.5]),
        ([0.25, 0.25, 0.25, 0.25], 3, [0.25, 0.25, 0.25, 0.25]),
    ):
        expect_close(answer(torch.tensor([row]), k), torch.tensor([wanted]), f"{row}, k = {k}")
    for row, wanted in (
        ([3e-7, 1 - 1e-6, 2e-7, 5e-7], [False, True, False, True]),
        ([0.299998, 0.4, 0.000003, 0.299999], [False, True, False, True]),
        ([1 - 1e-6, 3e-7, 1e-7, 3e-7, 3e-7], [True, True, False, True, True]),
    ):
        expect_equal((answer(torch.tensor(row), 2) > 0).tolist(), wanted, f"{row}, k = 2: which are kept")


def top_k_as_the_library_has_it(answer):
    """On random sizes the result is that of the library."""
    for shape, k in (((2, 4, 60), 25), ((3, 9), 4), ((2, 3, 300), 250), ((4, 1), 1)):
        logits = 3 * torch.randn(shape)
        expect_close(answer(logits.softmax(-1), k), distribution(logits, top_k=k), f"k = {k} of {shape[-1]}")


def _in_place(probabilities, k):
    if k:
        probabilities[probabilities < probabilities.topk(k, -1).values[..., -1:]] = 0
        probabilities /= probabilities.sum(-1, keepdim=True)
    return probabilities


def _distinct(probabilities, k):
    if k == 0:
        return probabilities
    values = [row.unique() for row in probabilities.reshape(-1, probabilities.shape[-1])]
    smallest = torch.stack([row[-min(k, len(row))] for row in values]).view(*probabilities.shape[:-1], 1)
    kept = probabilities.where(probabilities >= smallest, 0.0)
    return kept / kept.sum(-1, keepdim=True)


def _by_sorting(probabilities, k):
    k = k or probabilities.shape[-1]
    smallest = probabilities.sort(-1, descending=True).values[..., k - 1 : k]
    return (probabilities.log() + torch.where(probabilities < smallest, -torch.inf, 0.0)).softmax(-1)


def _by_counting(probabilities, k):
    likelier = (probabilities[..., None, :] > probabilities[..., :, None]).sum(-1)  # [..., V]: how many are likelier
    kept = probabilities * (likelier < (k or probabilities.shape[-1]))
    return kept / kept.sum(-1, keepdim=True)


def _examples(generator):
    rows = random_rows(2, 3, 6, generator=generator)
    ties = torch.tensor([[0.3, 0.3, 0.3, 0.1], [0.1, 0.2, 0.35, 0.35]])
    tiny = torch.tensor([[1 - 1e-6, 5e-7, 3e-7, 2e-7]])
    near = torch.tensor([[0.299998, 0.4, 0.000003, 0.299999]])
    return [(rows, 3), (ties, 2), (random_rows(2, 4, generator=generator), 0), (tiny, 2), (near, 2), (ties, 1),
            (torch.tensor([[1 - 1e-6, 3e-7, 1e-7, 3e-7, 3e-7]]), 2),
            (ties, 3)]  # fmt: skip


keep_top_k = Exercise(
    "keep_top_k",
    reference=_top_k,
    properties=(
        what_is_kept_is_a_distribution, two_of_four_by_hand, one_is_greedy_and_all_is_off, each_row_keeps_its_own,
        ties_stay, top_k_as_the_library_has_it,
    ),
    wrong=mistakes(_top_k, {
        what_is_kept_is_a_distribution: [
            ("return kept / kept.sum(-1, keepdim=True)", "v = probabilities.topk(k).values; return v / v.sum(-1, True)",
             "You return the k probabilities alone, and which tokens they belong to is lost. Keep all V places, with 0 "
             "for the tokens that are out."),
            (" / kept.sum(-1, keepdim=True)", "", "What is left sums to less than 1. Divide each row by its sum."),
            ("(-1, keepdim=True)", "()",
             "You divide by the sum of the whole batch. Each row has its own: sum(-1, keepdim=True)."),
            ("topk(k, -1).values[..., -1:]", "flatten().topk(k).values[-1]",
             "You keep the k likeliest of the whole batch, so some rows lose all their tokens. Each row has its own."),
            (_in_place, "You write into the probabilities you were given; whoever needs them afterwards finds them "
             "changed. Use torch.where or masked_fill, which make a new tensor."),
        ],
        two_of_four_by_hand: [
            ("topk(k, -1)", "topk(min(k + 1, probabilities.shape[-1]), -1)",
             "You keep k + 1 tokens. The k-th value stands at index k - 1, or at -1 of topk(k)."),
            (">=", ">", "You keep k - 1 tokens: the k-th itself is not larger than itself. Compare with >=."),
            ("probabilities.where(", "probabilities.log().where(", "kept / kept.sum(-1, keepdim=True)",
             "kept.softmax(-1)", "You set logits to 0, and exp(0) is 1: the tokens that should be out get most of all. "
             "A logit of minus infinity gives probability 0."),
            ("0.0)", "-torch.inf)", "kept / kept.sum(-1, keepdim=True)", "kept.softmax(-1)",
             "You take the softmax of probabilities: that flattens them. To normalise, divide by the sum."),
            ("probabilities.where(probabilities >= smallest, 0.0)", "(probabilities >= smallest).float()",
             "All that are kept get the same share. Their odds stay as they were: keep the probabilities, and divide."),
            ("topk(k, -1)", "topk(k, -1, largest=False)", ">=", "<=",
             "You keep the least likely tokens. Sort in descending order, or leave largest=True."),
        ],
        one_is_greedy_and_all_is_off: [
            ("if k == 0:\n        return probabilities", "",
             "k = 0 is a case of its own: it switches the filter off. topk(0) has no k-th value to compare with."),
            ("k == 0", "k == 0 or k >= probabilities.shape[-1] - 1", "You switch the filter off at k = V - 1, too, "
             "where one token has to go. topk(k) works for every k from 1 to V."),
            ("return probabilities\n", "return torch.zeros_like(probabilities)\n",
             "Your k = 0 keeps nothing. By convention 0 switches the filter off."),
        ],
        each_row_keeps_its_own: [
            ("topk(k, -1).values[..., -1:]", "topk(min(k, len(probabilities)), 0).values[-1:]",
             "You look for the likeliest along the first axis: rows of the batch compete for a token. topk(k, -1)."),
        ],
        ties_stay: [
            (">= smallest", ">= smallest - 1e-6", "You keep what comes within a millionth of the k-th. Where tokens "
             "have millionths that is the whole tail. Compare exactly."),
            ("if k == 0:",
             "if k == 1: return torch.eye(probabilities.shape[-1])[probabilities.argmax(-1)]\n    if k == 0:",
             "For k = 1 you take the first of equal tokens. Ties with the k-th stay at every k; greedy is another "
             "thing."),
            ("probabilities >= smallest", "torch.isclose(probabilities, smallest) | (probabilities > smallest)",
             "isclose takes tokens for equal that are not. Only those *exactly* as likely as the k-th stay: >=."),
            ("if k == 0:", "probabilities = probabilities + 1e-9 * torch.rand(probabilities.shape)\n    if k == 0:",
             "You add a little noise to tell equal tokens apart. They are to stay together."),
            (_distinct, "You count different values, so equal tokens count as one, and too many stay. The k-th is the "
             "k-th of the tokens, also where some of them are equal."),
            ("smallest = probabilities.topk(k, -1).values[..., -1:]", "values, index = probabilities.topk(k, -1)",
             "probabilities.where(probabilities >= smallest, 0.0)",
             "torch.zeros_like(probabilities).scatter(-1, index, values)",
             "You keep exactly k tokens, so among equals their number decides. Compare with the k-th value instead."),
        ],
    }),
    right=(_by_sorting, _by_counting),
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "probability"),
)  # fmt: skip
