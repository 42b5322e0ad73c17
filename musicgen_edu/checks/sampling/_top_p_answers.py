"""Exercise 3, answers on record: right and wrong ways to find the set that reaches p."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import Wrong


def _top_p(probabilities: Tensor, p: float) -> Tensor:
    if p == 0:
        return probabilities
    ordered, index = probabilities.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered  # what the likelier tokens reach together
    kept = torch.zeros_like(probabilities).scatter(-1, index, ordered.where(before < p, 0.0))
    return kept / kept.sum(-1, keepdim=True)


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


def _drops_the_reaching(probabilities, p):
    return _kept_if(probabilities, p, lambda ordered, running: running < p)


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


def _gathered_values(probabilities, p):
    if p == 0:
        return probabilities
    ordered, index = probabilities.sort(-1, descending=True)
    return _normalised(ordered.where(ordered.cumsum(-1) - ordered < p, 0.0).gather(-1, index))


def _unsorted(probabilities, p):
    before = probabilities.cumsum(-1) - probabilities
    return _normalised(probabilities.where(before < p, 0.0)) if p else probabilities


def _mask_not_moved(probabilities, p):
    if p == 0:
        return probabilities
    ordered = probabilities.sort(-1, descending=True).values
    return _normalised(probabilities.where(ordered.cumsum(-1) - ordered < p, 0.0))


def _each_at_least(probabilities, p):
    return _normalised(probabilities.where(probabilities >= p * probabilities.amax(-1, keepdim=True), 0.0))


def _zero_keeps_nothing(probabilities, p):
    return _top_p(probabilities, p) if p else torch.zeros_like(probabilities)


def _zero_forgotten(probabilities, p):
    return _top_p(probabilities, p) if p else _normalised(0 * probabilities)


def _zero_keeps_the_likeliest(probabilities, p):
    return _top_p(probabilities, p or 1e-9)


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


WRONG = (
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
        _drops_the_reaching,
        "the_token_that_crosses_is_in",
        "You keep tokens as long as the sum is below p, so the one that reaches p is missing. A token is in if "
        "the sum of those before it is below p.",
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
        _gathered_values,
        "tokens_keep_their_places",
        "gather fetches from the places in `index`; you want to put back to them: scatter(-1, index, ...).",
    ),
    Wrong(
        _unsorted,
        "tokens_keep_their_places",
        "You add up in the order of the tokens' numbers. The set is that of the likeliest: sort first.",
    ),
    Wrong(
        _mask_not_moved,
        "tokens_keep_their_places",
        "Your mask belongs to the sorted probabilities, but you lay it on the unsorted ones.",
    ),
    Wrong(
        _zero_forgotten,
        "zero_and_one_keep_everything",
        "p = 0 is a case of its own: it switches the filter off. By the rule no token is in, and 0 / 0 is NaN.",
    ),
    Wrong(
        _zero_keeps_the_likeliest,
        "zero_and_one_keep_everything",
        "Your p = 0 keeps the likeliest token alone, as a very small p does. By convention 0 keeps all.",
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
)
RIGHT = (_by_loops, _from_below)
