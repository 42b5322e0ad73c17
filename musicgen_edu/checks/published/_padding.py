"""Answers to exercise 6, right and wrong."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _words(states: Tensor, mask: Tensor, projection: nn.Linear) -> Tensor:
    return projection(states) * mask[..., None]


def _scores(queries: Tensor, words: Tensor, key: nn.Linear) -> Tensor:
    return queries @ key(words).transpose(1, 2) / queries.shape[-1] ** 0.5  # [B, S, L]


def attended(queries, states, mask, projection, key, value, masked):
    words = _words(states, mask, projection)
    scores = _scores(queries, words, key)
    if masked:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)) @ value(words)


def no_bias(queries, states, mask, projection, key, value, masked):
    plain = nn.Linear(*projection.weight.T.shape, bias=False).requires_grad_(False)
    plain.weight.copy_(projection.weight)
    return attended(queries, states, mask, plain, key, value, masked)


def no_root(queries, states, mask, projection, key, value, masked):
    return attended(queries * queries.shape[-1] ** 0.5, states, mask, projection, key, value, masked)


def root_of_width(queries, states, mask, projection, key, value, masked):
    D, d = projection.out_features, queries.shape[-1]
    return attended(queries * (d / D) ** 0.5, states, mask, projection, key, value, masked)


def whole_width(queries, states, mask, projection, key, value, masked):
    """Scores over d, not over its root."""
    return attended(queries / queries.shape[-1] ** 0.5, states, mask, projection, key, value, masked)


def keys_as_values(queries, states, mask, projection, key, value, masked):
    return attended(queries, states, mask, projection, value, key, masked)


def keys_twice(queries, states, mask, projection, key, value, masked):
    return attended(queries, states, mask, projection, key, key, masked)


def over_steps(queries, states, mask, projection, key, value, masked):
    words = _words(states, mask, projection)
    scores = _scores(queries, words, key)
    if masked:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    return torch.nan_to_num(scores.softmax(1)) @ value(words)


def causal(queries, states, mask, projection, key, value, masked):
    """Step s sees the words up to s."""
    words = _words(states, mask, projection)
    scores = _scores(queries, words, key)
    later = torch.ones_like(scores[0], dtype=torch.bool).triu(1)
    hidden = later | ~mask[:, None] if masked else later
    return torch.nan_to_num(scores.masked_fill(hidden, -torch.inf).softmax(-1)) @ value(words)


def masked_before(queries, states, mask, projection, key, value, masked):
    """Zeros go into the projection, and its bias comes out."""
    words = projection(states * mask[..., None])
    scores = _scores(queries, words, key)
    if masked:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)) @ value(words)


def padding_kept(queries, states, mask, projection, key, value, masked):
    words = projection(states)
    scores = _scores(queries, words, key)
    if masked:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)) @ value(words)


def values_only(queries, states, mask, projection, key, value, masked):
    scores = _scores(queries, projection(states), key)
    if masked:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)) @ value(_words(states, mask, projection))


def always_masked(queries, states, mask, projection, key, value, masked):
    return attended(queries, states, mask, projection, key, value, True)


def other_way_round(queries, states, mask, projection, key, value, masked):
    return attended(queries, states, mask, projection, key, value, not masked)


def never_masked(queries, states, mask, projection, key, value, masked):
    """Scores times mask: the padding's are 0 already."""
    words = _words(states, mask, projection)
    scores = _scores(queries, words, key)
    if masked:
        scores = scores * mask[:, None]
    return scores.softmax(-1) @ value(words)


def words_hidden(queries, states, mask, projection, key, value, masked):
    """True taken for "leave out"."""
    words = _words(states, mask, projection)
    scores = _scores(queries, words, key)
    if masked:
        scores = scores.masked_fill(mask[:, None], -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)) @ value(words)


def mask_added(queries, states, mask, projection, key, value, masked):
    words = _words(states, mask, projection)
    scores = _scores(queries, words, key)
    if masked:
        scores = scores + mask[:, None]
    return scores.softmax(-1) @ value(words)


def not_a_number(queries, states, mask, projection, key, value, masked):
    words = _words(states, mask, projection)
    scores = _scores(queries, words, key)
    if masked:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    return scores.softmax(-1) @ value(words)


def all_or_nothing(queries, states, mask, projection, key, value, masked):
    """One row without words is enough for zeros everywhere."""
    found = attended(queries, states, mask, projection, key, value, masked)
    return found if mask.any(1).all() else torch.zeros_like(found)


def first_row_s_mask(queries, states, mask, projection, key, value, masked):
    """One mask for the whole batch."""
    words = _words(states, mask, projection)
    scores = _scores(queries, words, key)
    if masked:
        scores = scores.masked_fill(~mask[:1, None], -torch.inf)
    return torch.nan_to_num(scores.softmax(-1)) @ value(words)


def by_torch(queries, states, mask, projection, key, value, masked):
    """torch's function, with a mask in which an empty row may see all of its zeros."""
    words = projection(states).masked_fill(~mask.unsqueeze(-1), 0.0)
    allowed = (mask | ~mask.any(1, keepdim=True))[:, None] if masked else None
    return F.scaled_dot_product_attention(queries, key(words), value(words), attn_mask=allowed)


def row_by_row(queries, states, mask, projection, key, value, masked):
    """For each row its words alone; padding is so many ones in the denominator."""
    rows = []
    for q, text, keep in zip(queries, states, mask, strict=True):
        words = projection(text[keep])  # [n, D]
        odds = torch.exp(q @ key(words).T / q.shape[-1] ** 0.5)  # [S, n]
        below = odds.sum(-1, keepdim=True) + (0 if masked else int((~keep).sum()))
        rows.append(odds @ value(words) / below if keep.any() else torch.zeros_like(q))
    return torch.stack(rows)


def odds(queries, states, mask, projection, key, value, masked):
    """The softmax by hand: hidden words have no odds, and where nothing has any, nothing is divided."""
    words = _words(states, mask, projection)
    found = _scores(queries, words, key).exp() * (mask[:, None] if masked else 1)
    return found @ value(words) / found.sum(-1, keepdim=True).clamp(min=1e-9)


def by_einsum(queries, states, mask, projection, key, value, masked):
    """A large negative number for infinity: an empty row then weighs its zeros alike."""
    words = torch.einsum("bld,bl->bld", projection(states), mask.float())
    scores = torch.einsum("bsd,bld->bsl", queries, key(words)) * queries.shape[-1] ** -0.5
    if masked:
        scores = scores.masked_fill(~mask[:, None, :], -1e9)
    return torch.einsum("bsl,bld->bsd", scores.softmax(2), value(words))
