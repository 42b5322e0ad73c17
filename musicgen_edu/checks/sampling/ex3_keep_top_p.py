"""Exercise 3, `keep_top_p`: as many tokens as it takes."""

from __future__ import annotations

import torch
from torch import Tensor

from ...sampling import distribution
from .. import Exercise, Wrong, expect_close, seal
from ._shared import expect_distributions, random_rows, two_distributions


def _top_p(probabilities: Tensor, p: float) -> Tensor:
    if p == 0:
        return probabilities
    ordered, index = probabilities.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered  # what the likelier tokens reach together
    kept = torch.zeros_like(probabilities).scatter(-1, index, ordered.where(before < p, 0.0))
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


def what_reaches_p_is_enough(answer):
    """Of 0.5, 0.25, 0.25 the first alone reaches 0.5: nothing is added to a set that has reached p."""
    expect_close(answer(torch.tensor([0.5, 0.25, 0.25]), 0.5), torch.tensor([1.0, 0.0, 0.0]), "p = 0.5")


def tokens_keep_their_places(answer):
    """The tokens stand where they stood: sorting is undone."""
    found = answer(torch.tensor([0.3, 0.15, 0.5, 0.05]), 0.7)
    expect_close(found, torch.tensor([0.375, 0.0, 0.625, 0.0]), "0.3, 0.15, 0.5, 0.05, p = 0.7")


def a_small_p_keeps_the_likeliest(answer):
    """However small p is, one token is left: the likeliest."""
    row = torch.tensor([0.15, 0.05, 0.5, 0.3])
    expect_close(answer(row, 0.001), torch.tensor([0.0, 0.0, 1.0, 0.0]), "p = 0.001")


def zero_and_one_keep_everything(answer):
    """p = 1 keeps all, and p = 0 is off."""
    row = torch.tensor([0.15, 0.05, 0.5, 0.3])
    for p in (1.0, 0.0):
        expect_close(answer(row, p), row, f"p = {p}")


def an_undecided_row_keeps_more(answer):
    """A row that is sure keeps few tokens and an undecided one many, in the same batch."""
    rows = torch.tensor([[0.9, 0.06, 0.03, 0.01], [0.28, 0.26, 0.24, 0.22]])
    wanted = torch.stack([torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([0.28, 0.26, 0.24, 0.0]) / 0.78])
    expect_close(answer(rows, 0.7), wanted, "a sure row and an undecided one, p = 0.7")


def top_p_as_the_library_has_it(answer):
    """On random sizes the result is that of the library."""
    for shape, p in (((2, 4, 60), 0.8), ((3, 9), 0.35)):
        logits = 3 * torch.randn(shape)
        expect_close(answer(logits.softmax(-1), p), distribution(logits, top_p=p), f"p = {p}")


def _normalised(kept):
    return kept / kept.sum(-1, keepdim=True)


def _kept_if(probabilities, p, rule, descending=True):
    """What a rule on (ordered, running sum) keeps, in place and normalised."""
    if p == 0:
        return probabilities
    ordered, index = probabilities.sort(-1, descending=descending)
    kept = ordered.where(rule(ordered, ordered.cumsum(-1)), 0.0)
    return _normalised(torch.zeros_like(probabilities).scatter(-1, index, kept))


def _not_normalised(probabilities, p):
    return probabilities.where(_top_p(probabilities, p) > 0, 0.0)


def _drops_the_crossing(probabilities, p):
    return _kept_if(probabilities, p, lambda ordered, running: running <= p)


def _drops_but_the_first(probabilities, p):
    return _kept_if(probabilities, p, lambda ordered, running: (running <= p) | (running == ordered))


def _one_more(probabilities, p):
    return _kept_if(probabilities, p, lambda ordered, running: running - ordered <= p)


def _two_more(probabilities, p):
    return _kept_if(probabilities, p, lambda ordered, running: (running - ordered).roll(1, -1) < p)


def _ascending(probabilities, p):
    return _kept_if(probabilities, p, lambda ordered, running: running - ordered < p, descending=False)


def _complement(probabilities, p):
    return _kept_if(probabilities, p, lambda ordered, running: running - ordered < 1 - p)


def _sorted(probabilities, p):
    return _top_p(probabilities, p).sort(-1, descending=True).values if p else probabilities


def _gathered(probabilities, p):
    if p == 0:
        return probabilities
    ordered, index = probabilities.sort(-1, descending=True)
    keep = ordered.cumsum(-1) - ordered < p
    return _normalised(probabilities.where(keep.gather(-1, index), 0.0))


def _mask_not_moved(probabilities, p):
    if p == 0:
        return probabilities
    ordered = probabilities.sort(-1, descending=True).values
    return _normalised(probabilities.where(ordered.cumsum(-1) - ordered < p, 0.0))


def _each_at_least(probabilities, p):
    return _normalised(probabilities.where(probabilities >= p * probabilities.amax(-1, keepdim=True), 0.0))


def _zero_keeps_nothing(probabilities, p):
    return _top_p(probabilities, p) if p else torch.zeros_like(probabilities)


def _first_rows_count(probabilities, p):
    if p == 0:
        return probabilities
    ordered, index = probabilities.sort(-1, descending=True)
    count = int((ordered.cumsum(-1) - ordered < p).reshape(-1, ordered.shape[-1])[0].sum())
    kept = ordered.where(torch.arange(ordered.shape[-1]) < count, 0.0)
    return _normalised(torch.zeros_like(probabilities).scatter(-1, index, kept))


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
    return _normalised(kept).reshape(probabilities.shape)


def _from_below(probabilities, p):
    ordered, index = probabilities.sort(-1)
    places = index.argsort(-1)  # where each token stands in the order
    keep = ordered.cumsum(-1).gather(-1, places) > (1 - p if p else -1)
    return _normalised(probabilities * keep)


def _examples(generator):
    rows = random_rows(2, 3, 6, generator=generator)
    return [(rows, 0.6), (rows, 0.05), (torch.tensor([[0.25, 0.5, 0.25]]), 0.5), (rows[0], 0.0)]


keep_top_p = Exercise(
    "keep_top_p",
    reference=_top_p,
    properties=(
        what_is_kept_is_a_distribution,
        the_token_that_crosses_is_in,
        what_reaches_p_is_enough,
        tokens_keep_their_places,
        a_small_p_keeps_the_likeliest,
        zero_and_one_keep_everything,
        an_undecided_row_keeps_more,
        top_p_as_the_library_has_it,
    ),
    wrong=(
        Wrong(
            _not_normalised,
            "what_is_kept_is_a_distribution",
            "What is left sums to less than 1. Divide each row by its sum.",
        ),
        Wrong(
            _drops_the_crossing,
            "the_token_that_crosses_is_in",
            "You drop the token with which the sum passes p, so the set does not reach p; and for a small p nothing "
            "is left at all. Ask what the tokens *before* it reach: running sum minus its own probability.",
        ),
        Wrong(
            _drops_but_the_first,
            "the_token_that_crosses_is_in",
            "You saved the first token, but any other with which the sum passes p is still dropped. Ask what the "
            "tokens before it reach: then the first needs no rule of its own.",
        ),
        Wrong(
            _two_more,
            "the_token_that_crosses_is_in",
            "You keep one token after the one that crosses. The set is the smallest that reaches p.",
        ),
        Wrong(
            _ascending,
            "the_token_that_crosses_is_in",
            "You begin with the least likely tokens. Sort in descending order.",
        ),
        Wrong(
            _complement,
            "the_token_that_crosses_is_in",
            "You keep a set that reaches 1 - p. p is what is kept, not what is dropped.",
        ),
        Wrong(
            _each_at_least,
            "the_token_that_crosses_is_in",
            "You keep the tokens that have at least p times the likeliest. That is another filter, min-p. Top-p looks "
            "at the running sum.",
        ),
        Wrong(
            _one_more,
            "what_reaches_p_is_enough",
            "With <= you add a token to a set that has reached p already. A token is in if those before it reach less "
            "than p.",
        ),
        Wrong(
            _sorted,
            "tokens_keep_their_places",
            "You return the probabilities in sorted order: token 0 is now the likeliest of all. Put each back where "
            "it came from: scatter(-1, index, ...).",
        ),
        Wrong(
            _gathered,
            "tokens_keep_their_places",
            "You undo the order with gather, which sorts a second time. `index` says where each number came from, so "
            "scatter(-1, index, ...) puts it back; gather would need index.argsort(-1).",
        ),
        Wrong(
            _mask_not_moved,
            "tokens_keep_their_places",
            "Your mask belongs to the sorted probabilities, but you lay it on the unsorted ones.",
        ),
        Wrong(
            _zero_keeps_nothing,
            "zero_and_one_keep_everything",
            "Your p = 0 keeps nothing. By convention 0 switches the filter off.",
        ),
        Wrong(
            _first_rows_count,
            "an_undecided_row_keeps_more",
            "You count the tokens of the first row and keep as many in every row. How many it takes is what differs.",
        ),
    ),
    right=(_by_loops, _from_below),
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "probability"),
)

seal(__name__)
