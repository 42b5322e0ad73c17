"""Exercise 5, `continue_attention`: a cache, and several columns at once."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.decoder import KeyValueCache, SelfAttention, join_heads, split_heads
from .. import Exercise, expect, expect_close, expect_tensor, mistakes
from ._shared import expect_gradients


def _continue(q, k, v, cache):
    if cache is not None:
        k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
    n, L = q.shape[2], k.shape[2]
    allowed = torch.ones(n, L, dtype=torch.bool).tril(L - n)
    scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1) @ v, (k, v)


def _qkv(B: int, H: int, S: int, d: int, size: float = 1.0) -> list[Tensor]:
    return [size * torch.randn(B, H, S, d) for _ in range(3)]


def _in_pieces(answer, q: Tensor, k: Tensor, v: Tensor, sizes: tuple[int, ...], cache=None) -> Tensor:
    """All columns, handed over in pieces of these sizes."""
    found, start = [], 0
    for n in sizes:
        piece = slice(start, start + n)
        one, cache = answer(q[:, :, piece], k[:, :, piece], v[:, :, piece], cache)
        found.append(one)
        start += n
    return torch.cat(found, 2)


def answers_for_new_columns_and_a_longer_cache(answer):
    """The answers are [B, H, n, D / H], and keys and values in the cache grow by n columns."""
    q, k, v = _qkv(2, 3, 7, 4)
    cache, before = None, 0
    for n in (4, 3):
        piece = slice(before, before + n)
        found, cache = answer(q[:, :, piece], k[:, :, piece], v[:, :, piece], cache)
        expect_tensor(found, (2, 3, n, 4), torch.float32, "the answers")
        two = isinstance(cache, (tuple, list)) and len(cache) == 2
        expect(two, f"expected a cache of two tensors, keys and values, not {type(cache).__name__}")
        for name, one in zip(("keys", "values"), cache, strict=True):
            expect_tensor(one, (2, 3, before + n, 4), torch.float32, f"{n} columns after {before}: the {name}")
        before += n


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
    for sizes in ((3, 3), (1, 4, 2), (5, 1, 1, 3), (40, 1, 70, 20)):
        q, k, v = _qkv(2, 2, sum(sizes), 4)
        target = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        expect_close(_in_pieces(answer, q, k, v, sizes), target, f"columns in pieces of {sizes}")
    nothing = q.new_zeros(2, 2, 0, 4)
    expect_close(answer(q, k, v, (nothing, nothing))[0], target, "all columns at once, after a cache of P = 0 columns")


def a_cache_can_be_used_twice(answer):
    """All that is remembered is in the cache: two continuations of one beginning know nothing of each other."""
    q, k, v = _qkv(1, 2, 9, 4)
    start, first, second = slice(0, 3), slice(3, 6), slice(6, 9)
    _, cache = answer(q[:, :, start], k[:, :, start], v[:, :, start], None)
    for name, piece in (("first", first), ("second", second), ("first again", first)):
        found, grown = answer(q[:, :, piece], k[:, :, piece], v[:, :, piece], cache)
        whole = [torch.cat([one[:, :, start], one[:, :, piece]], 2) for one in (q, k, v)]
        target = F.scaled_dot_product_attention(*whole, is_causal=True)[:, :, 3:]
        expect_close(found, target, f"the {name} continuation of one beginning")
        expect_close(grown[0], whole[1], f"its keys, of the {name} continuation")


def large_scores_do_no_harm(answer):
    """Scores of some hundreds are in order."""
    q, k, v = _qkv(2, 2, 7, 4, 15.0)
    target = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=True)
    expect_close(_in_pieces(answer, q, k, v, (3, 4)), target, "scores of some hundreds, pieces of 3 and 4", 3e-3)


def gradients_pass_through(answer):
    """Gradients arrive at queries, keys and values, those in the cache too."""
    q, k, v = (one.requires_grad_() for one in _qkv(1, 2, 5, 3))
    weights = torch.randn(1, 2, 5, 3)
    yours = _in_pieces(answer, q, k, v, (2, 3)) * weights
    target = F.scaled_dot_product_attention(q, k, v, is_causal=True) * weights
    expect_gradients(yours, target, {"q": q, "k": k, "v": v})


def continues_as_the_library_does(answer):
    """On random sizes it equals the library's attention with the library's cache."""
    for B, H, d, sizes in ((2, 3, 4, (4, 1, 1, 5)), (1, 4, 2, (1, 7)), (3, 1, 6, (2, 2))):
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


_MEMORY = []


def _remembers(q, k, v, cache):
    if cache is None or not cache[0].shape[2]:
        _MEMORY.clear()
    found = _continue(q, k, v, tuple(torch.cat(one, 2) for one in zip(*_MEMORY, strict=True)) if _MEMORY else None)
    _MEMORY.append((k, v))
    return found


def _fused(q, k, v, cache):
    keys = k if cache is None else torch.cat((cache[0], k), dim=2)
    values = v if cache is None else torch.cat((cache[1], v), dim=2)
    place = torch.arange(keys.shape[2])
    allowed = place[None, :] <= place[-q.shape[2] :, None]
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=allowed), [keys, values]


def _loop(q, k, v, cache):
    past = 0 if cache is None else cache[0].shape[2]
    keys = torch.cat([*([] if cache is None else [cache[0]]), k], 2)
    values = torch.cat([*([] if cache is None else [cache[1]]), v], 2)
    found = []
    for i in range(q.shape[2]):
        seen = past + i + 1
        weights = torch.einsum("bhd,bhld->bhl", q[:, :, i], keys[:, :, :seen]).div(q.shape[-1] ** 0.5).softmax(-1)
        found.append(torch.einsum("bhl,bhld->bhd", weights, values[:, :, :seen]))
    return torch.stack(found, 2), (keys, values)


def _padded_queries(q, k, v, cache):
    """Attention of all columns, of which the old ones ask nothing, in float64."""
    if cache is not None:
        k, v = (torch.cat(pair, 2) for pair in zip(cache, (k, v), strict=True))
    all_q = F.pad(q, (0, 0, k.shape[2] - q.shape[2], 0)).double()
    found = F.scaled_dot_product_attention(all_q, k.double(), v.double(), is_causal=True)
    return found[:, :, k.shape[2] - q.shape[2] :].float(), (k, v)


def _examples(generator):
    def some(n):
        return [torch.randn(1, 2, n, 3, generator=generator).requires_grad_() for _ in range(3)]

    (_, *old), new, one, (_, *long) = some(4), some(3), some(1), some(20)
    large = [100 * torch.eye(3)[None, None]] * 3
    return [(*some(4), None), (*new, tuple(old)), (*one, tuple(long)), (*large, None)]


continue_attention = Exercise(
    "continue_attention",
    reference=_continue,
    properties=(
        answers_for_new_columns_and_a_longer_cache, without_a_cache_it_is_causal_attention, the_cache_is_in_order,
        one_by_one_is_the_same, pieces_of_any_size_are_the_same, a_cache_can_be_used_twice, large_scores_do_no_harm,
        gradients_pass_through, continues_as_the_library_does,
    ),
    wrong=mistakes(_continue, {
        answers_for_new_columns_and_a_longer_cache: [
            ("(k, v)", "(k[:, :, L - n :], v[:, :, L - n :])", "You return the new keys and values only. The next "
             "call needs the old ones, too."),
            ("return scores.softmax(-1)", "scores = scores if cache is None else "
             "torch.cat([scores.new_zeros(*q.shape[:2]"
             ", L - n, L), scores], 2); return scores.softmax(-1)", "You answer for the old columns, too. Their "
             "answers "
             "were given before: return those of the n new ones."),
            ("(k, v)", "(q, k, v)", "Your cache holds the queries, too. Nobody asks them again: keys and values only."),
        ],
        without_a_cache_it_is_causal_attention: [
            (".masked_fill(~allowed, -torch.inf)", "",
             "There is no mask, so of several new columns the first ones see the later ones. Only a single new column "
             "needs none."),
            ("tril(L - n)", "tril(L - n + 1)", "Your triangle is one too wide: a column sees the next one."),
            (" / math.sqrt(q.shape[-1])", "", "The products are not divided by the square root of d, the width of a "
             "query."),
            ("softmax(-1)", "softmax(-2)", "Your softmax runs over the queries. It belongs over the keys, the last "
             "dimension."),
            ("tril(", "triu(", "Your triangle is the other way round: a column sees itself and what came before, at "
             "the left."),
        ],
        the_cache_is_in_order: [
            ("[cache[0], k]", "[k, cache[0]]", "[cache[1], v]", "[v, cache[1]]",
             "You put the new keys and values before the old ones. Time runs from left to right: "
             "torch.cat([old, new], 2)."),
            ("(k, v)", "(k, k)", "You return the keys in the place of the values."),
            ("(k, v)", "(v, k)", "You return values, keys. The cache is (keys, values)."),
        ],
        one_by_one_is_the_same: [
            ("n, L = q.shape[2], k.shape[2]",
             "n = q.shape[2]; grown = k, v; k, v = k[:, :, -n:], v[:, :, -n:]; L = n", "(k, v)",
             "grown", "The cache grows, but the attention looks at the new keys and values only."),
            ("tril(L - n)", "tril(L - n) if cache is None else torch.arange(L) < L - n",
             "With a cache your columns look at the old ones only. A column sees itself, too: first extend the cache, "
             "then attend to all of it."),
            ("tril(L - n)", "tril()",
             "Your triangle begins at the oldest key, so the first new column sees one key and not all the old ones. "
             "Move it to the right by the length of the cache: tril(L - n)."),
            ("tril(L - n)", "tril(n if cache else 0)", "You move the triangle by the number of new columns. It moves "
             "by "
             "that of the old ones, P = L - n."),
        ],
        pieces_of_any_size_are_the_same: [
            ("~allowed", "~allowed & (cache is None)",
             "With a cache you use no mask. That is right for one new column; of several, the first must not see the "
             "last."),
            ("~allowed", "~allowed | (torch.arange(L) < L - 2 * n) & (n > 1)", "Your columns see as many old ones "
             "as there are new ones. They see all of them."),
            ("(k, v)", "(k[:, :, -16:], v[:, :, -16:])", "You keep the last 16 columns. A column sees all that came "
             "before it: the cache grows without a limit."),
        ],
        a_cache_can_be_used_twice: [
            (_remembers, "You keep keys and values in a variable of your own. Whoever calls may go on from an older "
             "cache, or with another piece: take what came before from `cache` alone."),
        ],
        large_scores_do_no_harm: [
            ("return scores.softmax(-1)", "powers = scores.exp(); return powers / powers.sum(-1, keepdim=True)",
             "exp overflows from 88 on, and inf / inf is NaN. softmax subtracts the largest score first."),
            ("-torch.inf", "-100.0", "You fill with -100. A score may be lower than that: use minus infinity, each "
             "column sees at least itself."),
        ],
        gradients_pass_through: [
            ("(k, v)", "(k.detach(), v.detach())", "You cut what is in the cache off from its gradient. Later columns "
             "look at it, so it can learn from them."),
            ("@ v,", "@ v.detach(),", "You cut the values off from their gradient: their matrix could never be "
             "trained."),
        ],
    }),
    right=(_fused, _loop, _padded_queries),
    examples=_examples,
)  # fmt: skip
