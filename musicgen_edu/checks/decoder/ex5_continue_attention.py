"""Exercise 5, `continue_attention`: a cache, and several columns at once."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.decoder import KeyValueCache, SelfAttention, join_heads, split_heads
from .. import Exercise, Wrong, expect_close, expect_tensor

Cache = tuple[Tensor, Tensor]


def _continue(q: Tensor, k: Tensor, v: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
    if cache is not None:
        k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
    n, L = q.shape[2], k.shape[2]
    allowed = torch.ones(n, L, dtype=torch.bool).tril(L - n)
    scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ v, (k, v)


def _qkv(B: int, H: int, S: int, d: int) -> list[Tensor]:
    return [torch.randn(B, H, S, d) for _ in range(3)]


def _in_pieces(answer, q: Tensor, k: Tensor, v: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """All columns, handed over in pieces of these sizes."""
    cache, found, start = None, [], 0
    for n in sizes:
        piece = slice(start, start + n)
        one, cache = answer(q[:, :, piece], k[:, :, piece], v[:, :, piece], cache)
        found.append(one)
        start += n
    return torch.cat(found, 2)


def answers_for_new_columns_and_a_longer_cache(answer):
    """The answers are [B, H, n, D / H], and keys and values in the cache grow by n columns."""
    q, k, v = _qkv(2, 3, 7, 4)
    found, cache = answer(q[:, :, :4], k[:, :, :4], v[:, :, :4], None)
    expect_tensor(found, (2, 3, 4, 4), torch.float32, "the answers")
    for name, one in zip(("keys", "values"), cache, strict=True):
        expect_tensor(one, (2, 3, 4, 4), torch.float32, f"the {name} after 4 columns")
    found, cache = answer(q[:, :, 4:], k[:, :, 4:], v[:, :, 4:], cache)
    expect_tensor(found, (2, 3, 3, 4), torch.float32, "the answers")
    for name, one in zip(("keys", "values"), cache, strict=True):
        expect_tensor(one, (2, 3, 7, 4), torch.float32, f"the {name} after 3 more")


def without_a_cache_it_is_causal_attention(answer):
    """With an empty cache it is causal attention: a column sees itself and what came before."""
    q, k, v = _qkv(2, 2, 6, 4)
    target = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    expect_close(answer(q, k, v, None)[0], target, "six columns at once")


def the_cache_is_in_order(answer):
    """The cache holds the keys and values as they came: the oldest first."""
    q, k, v = _qkv(1, 2, 5, 3)
    _, cache = answer(q[:, :, :3], k[:, :, :3], v[:, :, :3], None)
    _, cache = answer(q[:, :, 3:], k[:, :, 3:], v[:, :, 3:], cache)
    expect_close(cache[0], k, "keys after two calls")
    expect_close(cache[1], v, "values after two calls")


def one_by_one_is_the_same(answer):
    """Column by column gives the same as all at once."""
    q, k, v = _qkv(2, 2, 6, 4)
    target = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    expect_close(_in_pieces(answer, q, k, v, (1,) * 6), target, "six columns, one at a time")


def pieces_of_any_size_are_the_same(answer):
    """So do pieces of any size: a new column sees all old ones, itself, and no newer one."""
    for sizes in ((3, 3), (1, 4, 2), (5, 1, 1, 3)):
        q, k, v = _qkv(2, 2, sum(sizes), 4)
        target = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        expect_close(_in_pieces(answer, q, k, v, sizes), target, f"columns in pieces of {sizes}")


def continues_as_the_library_does(answer):
    """On random sizes it equals the library's attention with the library's cache."""
    for B, H, d, sizes in ((2, 3, 4, (4, 1, 1, 5)), (1, 4, 2, (1, 7))):
        module, x = SelfAttention(H * d, H, bias=False), torch.randn(B, sum(sizes), H * d)
        library, cache, start = KeyValueCache(1, B, H, sum(sizes), d, x), None, 0
        for n in sizes:
            piece = x[:, start : start + n]
            q, k, v = (split_heads(one, H).detach() for one in module.qkv(piece).chunk(3, -1))
            found, cache = answer(q, k, v, cache)
            with torch.no_grad():
                target = module(piece, library)
            expect_close(module.out(join_heads(found)), target, f"{n} columns after {start}")
            library.length, start = start + n, start + n


def _grown(k, v, cache):
    return (k, v) if cache is None else (torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2))


def _continue_masked(q, k, v, shift):
    """Attention under a triangle moved to the right by `shift`; None is no mask."""
    n, L = q.shape[2], k.shape[2]
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if shift is not None:
        scores = scores.masked_fill(torch.ones(n, L, dtype=torch.bool).triu(shift + 1), -torch.inf)
    return scores.softmax(-1) @ v


def _continue_no_mask(q, k, v, cache):
    k, v = _grown(k, v, cache)
    return _continue_masked(q, k, v, None), (k, v)


def _continue_mask_first_only(q, k, v, cache):
    shift = 0 if cache is None else None
    k, v = _grown(k, v, cache)
    return _continue_masked(q, k, v, shift), (k, v)


def _continue_mask_from_zero(q, k, v, cache):
    k, v = _grown(k, v, cache)
    return _continue_masked(q, k, v, 0), (k, v)


def _continue_forgets(q, k, v, cache):
    return _continue(q, k, v, None)[0], _grown(k, v, cache)


def _continue_not_itself(q, k, v, cache):
    grown = _grown(k, v, cache)
    if cache is None:
        return _continue_masked(q, k, v, 0), grown
    return _continue_masked(q, cache[0], cache[1], None), grown


def _continue_new_first(q, k, v, cache):
    if cache is not None:
        k, v = torch.cat([k, cache[0]], 2), torch.cat([v, cache[1]], 2)
    return _continue_masked(q, k, v, k.shape[2] - q.shape[2]), (k, v)


def _continue_replaces(q, k, v, cache):
    return _continue(q, k, v, cache)[0], (k, v)


def _continue_values_twice(q, k, v, cache):
    k, v = _grown(k, v, cache)
    return _continue_masked(q, k, v, k.shape[2] - q.shape[2]), (k, k)


def _continue_fused(q, k, v, cache):
    keys = k if cache is None else torch.cat((cache[0], k), dim=2)
    values = v if cache is None else torch.cat((cache[1], v), dim=2)
    place = torch.arange(keys.shape[2])
    allowed = place[None, :] <= place[-q.shape[2] :, None]
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=allowed), (keys, values)


def _continue_loop(q, k, v, cache):
    past = 0 if cache is None else cache[0].shape[2]
    keys = torch.cat([*([] if cache is None else [cache[0]]), k], 2)
    values = torch.cat([*([] if cache is None else [cache[1]]), v], 2)
    found = []
    for i in range(q.shape[2]):
        seen = past + i + 1
        weights = torch.einsum("bhd,bhld->bhl", q[:, :, i], keys[:, :, :seen]).div(q.shape[-1] ** 0.5).softmax(-1)
        found.append(torch.einsum("bhl,bhld->bhd", weights, values[:, :, :seen]))
    return torch.stack(found, 2), (keys, values)


def _continue_examples(generator):
    def some(n):
        return [torch.randn(1, 2, n, 3, generator=generator) for _ in range(3)]

    (_, *old), new, one = some(4), some(3), some(1)
    return [(*some(4), None), (*new, tuple(old)), (*one, tuple(old))]


continue_attention = Exercise(
    "continue_attention",
    reference=_continue,
    properties=(
        answers_for_new_columns_and_a_longer_cache,
        without_a_cache_it_is_causal_attention,
        the_cache_is_in_order,
        one_by_one_is_the_same,
        pieces_of_any_size_are_the_same,
        continues_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _continue_replaces,
            "answers_for_new_columns_and_a_longer_cache",
            "You return the new keys and values only. The next call needs the old ones, too.",
        ),
        Wrong(
            _continue_no_mask,
            "without_a_cache_it_is_causal_attention",
            "There is no mask, so of several new columns the first ones see the later ones. Only a single new column "
            "needs none.",
        ),
        Wrong(
            _continue_new_first,
            "the_cache_is_in_order",
            "You put the new keys and values before the old ones. Time runs from left to right: "
            "torch.cat([old, new], 2).",
        ),
        Wrong(
            _continue_values_twice,
            "the_cache_is_in_order",
            "You return the keys in the place of the values.",
        ),
        Wrong(
            _continue_forgets,
            "one_by_one_is_the_same",
            "The cache grows, but the attention looks at the new keys and values only.",
        ),
        Wrong(
            _continue_not_itself,
            "one_by_one_is_the_same",
            "With a cache your columns look at the old ones only. A column sees itself, too: first extend the cache, "
            "then attend to all of it.",
        ),
        Wrong(
            _continue_mask_from_zero,
            "one_by_one_is_the_same",
            "Your triangle begins at the oldest key, so the first new column sees one key and not all the old ones. "
            "Move it to the right by the length of the cache: tril(L - n).",
        ),
        Wrong(
            _continue_mask_first_only,
            "pieces_of_any_size_are_the_same",
            "With a cache you use no mask. That is right for one new column; of several, the first must not see the "
            "last.",
        ),
    ),
    right=(_continue_fused, _continue_loop),
    examples=_continue_examples,
)
