"""Exercise 3, `keep_top_p`: as many tokens as it takes."""

from __future__ import annotations

import torch

from ...model.sampling import distribution
from .. import Exercise, expect_close, mistakes
from ._shared import expect_distributions, random_rows, two_distributions


def _top_p(probabilities, p):
    if p == 0:
        return probabilities
    ordered, index = probabilities.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered  # what the likelier tokens reach together
    left = ordered.where(before < p, 0.0)
    kept = torch.zeros_like(probabilities).scatter(-1, index, left)
    return kept / kept.sum(-1, keepdim=True)


def what_is_kept_is_a_distribution(answer):
    """The result has the shape of the probabilities, and each row sums to 1 again."""
    for shape in ((8,), (3, 8), (4, 3, 8)):
        expect_distributions(answer(random_rows(*shape), 0.9), shape, f"p = 0.9, shape {list(shape)}")


def the_token_that_crosses_is_in(answer):
    """Of 0.5, 0.3, 0.15, 0.05 the first two reach 0.7; three of them reach 0.9."""
    row = torch.tensor([0.5, 0.3, 0.15, 0.05])
    expect_close(answer(row, 0.7), torch.tensor([0.625, 0.375, 0.0, 0.0]), "p = 0.7")
    expect_close(answer(row, 0.9), torch.tensor([0.5, 0.3, 0.15, 0.0]) / 0.95, "p = 0.9")
    row = torch.tensor([0.9, 0.095, 0.004, 0.001])
    expect_close(answer(row, 0.99), torch.tensor([0.9, 0.095, 0.0, 0.0]) / 0.995, f"{row.tolist()}, p = 0.99")


def what_reaches_p_is_enough(answer):
    """Of 0.5, 0.25, 0.25 the first alone reaches 0.5: nothing is added to a set that has reached p."""
    expect_close(answer(torch.tensor([0.5, 0.25, 0.25]), 0.5), torch.tensor([1.0, 0.0, 0.0]), "p = 0.5")
    row, wanted = torch.tensor([0.5, 0.25, 0.125, 0.125]), torch.tensor([2 / 3, 1 / 3, 0.0, 0.0])
    expect_close(answer(row, 0.75), wanted, "0.5, 0.25, 0.125, 0.125, p = 0.75")


def of_equal_tokens_no_more_than_it_takes(answer):
    """Of four equal tokens two reach p = 0.5, whichever two: the set is the smallest that does."""
    for row, p, wanted in (
        ([0.25, 0.25, 0.25, 0.25], 0.5, [0.5, 0.5, 0.0, 0.0]),
        ([0.25, 0.5, 0.25], 0.6, [2 / 3, 1 / 3, 0.0]),
        ([0.1, 0.45, 0.45], 0.01, [1.0, 0.0, 0.0]),
    ):
        found = answer(torch.tensor([row]), p).sort(-1, descending=True).values
        expect_close(found, torch.tensor([wanted]), f"{row}, p = {p}, from the likeliest on")


def tokens_keep_their_places(answer):
    """The tokens stand where they stood: sorting is undone."""
    found = answer(torch.tensor([0.3, 0.15, 0.5, 0.05]), 0.7)
    expect_close(found, torch.tensor([0.375, 0.0, 0.625, 0.0]), "0.3, 0.15, 0.5, 0.05, p = 0.7")


def a_small_p_keeps_the_likeliest(answer):
    """However small p is, one token is left: the likeliest."""
    row = torch.tensor([0.15, 0.05, 0.5, 0.3])
    for p in (0.001, 1e-5):
        expect_close(answer(row, p), torch.tensor([0.0, 0.0, 1.0, 0.0]), f"p = {p}")


def zero_and_one_keep_everything(answer):
    """p = 1 keeps all, and p = 0 is off."""
    row = torch.tensor([0.15, 0.05, 0.5, 0.3])
    for p in (1.0, 0.0):
        expect_close(answer(row, p), row, f"p = {p}")
    rows = random_rows(50, 40)  # many sum to a hair less than 1
    expect_close(answer(rows, 1.0), rows, "50 rows that softmax has rounded, p = 1")
    row = torch.tensor([0.5, 0.0, 0.5, 0.0])
    for p, wanted in ((1.0, row), (0.9, row), (0.5, None)):
        found = answer(row, p)
        wanted = torch.tensor([0.0, 0.0, 0.0, 1.0]) if wanted is None else wanted.sort().values
        expect_close(found.sort().values, wanted, f"0.5, 0, 0.5, 0, p = {p}, in ascending order")


def an_undecided_row_keeps_more(answer):
    """A row that is sure keeps few tokens and an undecided one many, in the same batch."""
    rows = torch.tensor([[0.9, 0.06, 0.03, 0.01], [0.28, 0.26, 0.24, 0.22]])
    wanted = torch.stack([torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([0.28, 0.26, 0.24, 0.0]) / 0.78])
    for order in ([0, 1], [1, 0]):
        expect_close(answer(rows[order], 0.7), wanted[order], "a sure row and an undecided one, p = 0.7")


def top_p_as_the_library_has_it(answer):
    """On random sizes the result is that of the library, and what is out is 0 exactly."""
    for shape, p in (((2, 4, 60), 0.8), ((3, 9), 0.35), ((2, 3, 300), 0.95), ((5, 1), 0.5)):
        logits = 3 * torch.randn(shape)
        found, wanted = answer(logits.softmax(-1), p), distribution(logits, top_p=p)
        expect_close(found, wanted, f"p = {p}")
        expect_close((found > 0).sum(-1), (wanted > 0).sum(-1), f"p = {p}, how many of {shape[-1]} are kept in a row")


def _in_place(probabilities, p):
    if p:
        ordered, index = probabilities.sort(-1, descending=True)
        ordered[ordered.cumsum(-1) - ordered >= p] = 0
        probabilities.scatter_(-1, index, ordered).div_(ordered.sum(-1, keepdim=True))
    return probabilities


def _by_loops(probabilities, p):
    if p == 0:
        return probabilities
    kept = torch.zeros_like(probabilities).reshape(-1, probabilities.shape[-1])
    for row, into in zip(probabilities.reshape(kept.shape), kept, strict=True):
        reached = 0.0
        for token in row.argsort(descending=True).tolist():
            if reached < p:
                into[token] = row[token]
                reached += float(row[token])
    return (kept / kept.sum(-1, keepdim=True)).reshape(probabilities.shape)


def _from_below(probabilities, p):
    ordered, index = probabilities.sort(-1)
    places = index.argsort(-1)  # where each token stands in the order
    kept = probabilities * (ordered.cumsum(-1).gather(-1, places) > (1 - p if p else -1))
    return kept / kept.sum(-1, keepdim=True)


def _examples(generator):
    rows = random_rows(2, 3, 6, generator=generator)
    return [
        (rows, 0.6), (rows, 0.05), (torch.tensor([[0.9, 0.095, 0.004, 0.001]]), 0.99),
        (torch.tensor([[0.25, 0.5, 0.25]]), 0.5), (rows[0], 0.0),
        (random_rows(20, 40, generator=generator), 1.0),
        (torch.tensor([[0.5, 0.3, 0.1, 0.1], [0.4, 0.4, 0.1, 0.1]]), 0.3),
    ]  # fmt: skip


keep_top_p = Exercise(
    "keep_top_p",
    reference=_top_p,
    properties=(
        what_is_kept_is_a_distribution, the_token_that_crosses_is_in, what_reaches_p_is_enough,
        of_equal_tokens_no_more_than_it_takes, tokens_keep_their_places, a_small_p_keeps_the_likeliest,
        zero_and_one_keep_everything, an_undecided_row_keeps_more, top_p_as_the_library_has_it,
    ),
    wrong=mistakes(_top_p, {
        what_is_kept_is_a_distribution: [
            (" / kept.sum(-1, keepdim=True)", "", "What is left sums to less than 1. Divide each row by its sum."),
            ("kept.sum(-1, keepdim=True)", "kept.sum()",
             "You divide by the sum of the whole batch. Each row has its own: sum(-1, keepdim=True)."),
            (_in_place, "You write into the probabilities you were given; whoever needs them afterwards finds them "
             "changed. Use torch.where or masked_fill, which make a new tensor."),
        ],
        the_token_that_crosses_is_in: [
            ("ordered.cumsum(-1) - ordered", "ordered.cumsum(-1)", "before < p", "before <= p",
             "You drop the token with which the sum passes p, so the set does not reach p; and for a small p nothing "
             "is left at all. Ask what the tokens *before* it reach: running sum minus its own probability."),
            ("ordered.cumsum(-1) - ordered", "ordered.cumsum(-1)", "You keep tokens as long as the sum is below p, so "
             "the one that reaches p is missing. A token is in if the sum of those before it is below p."),
            ("ordered.cumsum(-1) - ordered", "ordered.cumsum(-1)", "before < p", "(before <= p) | (before == ordered)",
             "You saved the first token, but any other with which the sum passes p is still dropped. Ask what the "
             "tokens before it reach: then the first needs no rule of its own."),
            ("ordered.cumsum(-1) - ordered", "(ordered.cumsum(-1) - ordered).roll(1, -1)",
             "You keep one token after the one that crosses. The set is the smallest that reaches p."),
            ("descending=True", "descending=False", "You begin with the least likely tokens. Sort in descending "
             "order."),
            ("< p", "< 1 - p", "You keep a set that reaches 1 - p. p is what is kept, not what is dropped."),
            ("kept = torch.zeros_like(probabilities).scatter(-1, index, left)",
             "kept = probabilities.where(probabilities >= p * ordered[..., :1], 0.0)",
             "You keep the tokens that have at least p times the likeliest. That is another filter, min-p. Top-p "
             "looks at the running sum."),
            ("p == 0", "p == 0 or p >= 0.99", "You take a large p for 1. A row that is sure reaches 0.99 with few "
             "tokens, and the others go."),
            ("kept / kept.sum(-1, keepdim=True)", "kept.softmax(-1)",
             "You take the softmax of probabilities: that flattens them. To normalise, divide by the sum."),
        ],
        what_reaches_p_is_enough: [
            ("< p", "<= p", "With <= you add a token to a set that has reached p already. A token is in if those "
             "before it reach less than p."),
        ],
        of_equal_tokens_no_more_than_it_takes: [
            ("kept = torch.zeros_like(probabilities).scatter(-1, index, left)",
             "kept = probabilities.where(probabilities >= ordered.where(before < p, 2.0).amin(-1, True), 0.0)",
             "You compare with the least likely token that is in, so all that are equal to it stay, too. That is the "
             "rule of top-k; here the set is the smallest that reaches p. Put back what you have kept: scatter."),
        ],
        tokens_keep_their_places: [
            ("torch.zeros_like(probabilities).scatter(-1, index, left)", "left", "You return the probabilities in "
             "sorted order: token 0 is now the likeliest of all. Put each back where it came from: "
             "scatter(-1, index, ...)."),
            ("torch.zeros_like(probabilities).scatter(-1, index, left)",
             "probabilities.where((before < p).gather(-1, index), 0.0)",
             "You undo the order with gather, which sorts a second time. `index` says where each number came from, so "
             "scatter(-1, index, ...) puts it back; gather would need index.argsort(-1)."),
            ("torch.zeros_like(probabilities).scatter(-1, index, left)", "left.gather(-1, index)", "gather fetches "
             "from the places in `index`; you want to put back to them: scatter(-1, index, ...)."),
            ("probabilities.sort(-1, descending=True)",
             "probabilities, torch.arange(probabilities.shape[-1]).expand(probabilities.shape)",
             "You add up in the order of the tokens' numbers. The set is that of the likeliest: sort first."),
            ("torch.zeros_like(probabilities).scatter(-1, index, left)", "probabilities.where(before < p, 0.0)",
             "Your mask belongs to the sorted probabilities, but you lay it on the unsorted ones."),
        ],
        a_small_p_keeps_the_likeliest: [
            ("p == 0", "p < 0.01", "You take a small p for 0. Only 0 switches the filter off; a p of 0.001 keeps the "
             "likeliest token alone."),
        ],
        zero_and_one_keep_everything: [
            ("if p == 0:\n        return probabilities", "", "p = 0 is a case of its own: it switches the filter off. "
             "By the rule no token is in, and 0 / 0 is NaN."),
            ("if p == 0:\n        return probabilities", "p = p or 1e-9", "Your p = 0 keeps the likeliest token alone, "
             "as a very small p does. By convention 0 keeps all."),
            ("before < p", "torch.arange(before.shape[-1]) <= (ordered.cumsum(-1) >= p).int().argmax(-1, True)",
             "You look for the first running sum that reaches p. Rounded rows sum to 0.9999999, so for p = 1 there may "
             "be none, and argmax answers 0: one token is left. Ask what the tokens before reach."),
            ("return probabilities\n", "return torch.zeros_like(probabilities)\n",
             "Your p = 0 keeps nothing. By convention 0 switches the filter off."),
        ],
        an_undecided_row_keeps_more: [
            ("before < p", "torch.arange(before.shape[-1]) < (before < p).reshape(-1, before.shape[-1])[0].sum()",
             "You count the tokens of the first row and keep as many in every row. How many it takes is what "
             "differs."),
            ("before < p", "torch.arange(before.shape[-1]) < (before < p).sum(-1).max()",
             "You keep as many tokens in every row as the row that needs most. Each row has its own number."),
        ],
    }),
    right=(_by_loops, _from_below),
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "probability"),
)  # fmt: skip
