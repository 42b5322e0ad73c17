"""Exercise 3, `attend`: any mask, and rows that may see nothing."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import figures
from .. import Exercise, Wrong, expect, expect_close, expect_tensor


def _attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # [B, H, S, L]
    weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1) * allowed
    return weights @ v, weights


def _everything(S, L):
    return torch.ones(1, 1, S, L, dtype=torch.bool)


def returns_answers_and_weights(answer):
    """The answers are [B, H, S, width of a value], the weights [B, H, S, L]."""
    for B, H, S, L, d in ((2, 3, 5, 7, 4), (1, 2, 6, 3, 8)):
        q, k, v = torch.randn(B, H, S, d), torch.randn(B, H, L, d), torch.randn(B, H, L, d + 1)
        answers, weights = answer(q, k, v, _everything(S, L))
        expect_tensor(answers, (B, H, S, d + 1), torch.float32, "the answers")
        expect_tensor(weights, (B, H, S, L), torch.float32, "the weights")


def each_query_shares_out_one(answer):
    """The weights of each query sum to 1 over the keys, and the answers are the weighted means of the values."""
    q, k, v = (torch.randn(2, 2, n, 4) for n in (5, 3, 3))
    answers, weights = answer(q, k, v, _everything(5, 3))
    expect_close(weights.sum(-1), torch.ones(2, 2, 5), "sums over the keys")
    expect_close(answers, weights @ v, "weights @ v")


def a_small_case_by_hand(answer):
    """One query (2, 2), keys (1, 0) and (1, 1), d = 2: products 2 and 4, divided by √2, then a softmax."""
    q, k = torch.tensor([[[[2.0, 2.0]]]]), torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]])
    _, weights = answer(q, k, torch.ones(1, 1, 2, 1), _everything(1, 2))
    second = 1 / (1 + math.exp(-2 / math.sqrt(2)))
    expect_close(weights[0, 0, 0], torch.tensor([1 - second, second]), "the two weights")


def what_is_allowed_shares_out_all_of_it(answer):
    """What is not allowed gets 0, and the rest still sums to 1."""
    q, k, v = (torch.randn(2, 2, n, 4) for n in (4, 4, 4))
    allowed = torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
    _, weights = answer(q, k, v, allowed)
    expect((weights[~allowed.expand_as(weights)] == 0).all(), "a forbidden key has a weight")
    expect_close(weights.sum(-1), torch.ones(2, 2, 4), "sums over the allowed keys")


def nothing_to_look_at_gives_zero(answer):
    """A query that may look at nothing gets zeros, not NaN, and the others are untouched."""
    q, k, v = (torch.randn(2, 1, 3, 4) for _ in range(3))
    allowed = torch.tensor([True, False])[:, None, None, None].expand(2, 1, 1, 3)  # the second row has no words
    answers, weights = answer(q, k, v, allowed)
    expect_close(answers[1], torch.zeros(1, 3, 4), "answers of the row without words")
    expect_close(weights[1], torch.zeros(1, 3, 3), "weights of the row without words")
    expect_close(answers[:1], _attend(q[:1], k[:1], v[:1], _everything(3, 3))[0], "answers of the row with words")


def gradients_stay_finite(answer):
    """Such a row does not spoil the gradients either."""
    q, k, v = (torch.randn(2, 1, 3, 4, requires_grad=True) for _ in range(3))
    allowed = torch.tensor([True, False])[:, None, None, None].expand(2, 1, 1, 3)
    for name, one in zip("qkv", torch.autograd.grad(answer(q, k, v, allowed)[0].sum(), (q, k, v)), strict=True):
        expect(torch.isfinite(one).all(), f"the gradient of {name} holds NaN")


def attends_as_pytorch_does(answer):
    """On random sizes and masks the answers are those of PyTorch's own attention."""
    for B, H, S, L, d in ((2, 3, 6, 9, 8), (1, 4, 5, 5, 16)):
        q, k, v = torch.randn(B, H, S, d), torch.randn(B, H, L, d), torch.randn(B, H, L, d)
        allowed = torch.rand(B, 1, S, L) < 0.6
        allowed[..., 0] = True
        target = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        expect_close(answer(q, k, v, allowed)[0], target, f"S {S}, L {L}, d {d}")


def _scores(q, k):
    return q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5


def _attend_after(q, k, v, allowed):
    weights = _scores(q, k).softmax(-1) * allowed
    return weights @ v, weights


def _attend_zeroed(q, k, v, allowed):
    weights = (_scores(q, k) * allowed).softmax(-1)
    return weights @ v, weights


def _attend_inverted(q, k, v, allowed):
    return _attend(q, k, v, ~allowed)


def _attend_unscaled(q, k, v, allowed):
    return _attend(q * q.shape[-1] ** 0.5, k, v, allowed)


def _attend_by_d(q, k, v, allowed):
    return _attend(q / q.shape[-1] ** 0.5, k, v, allowed)


def _attend_over_queries(q, k, v, allowed):
    weights = _scores(q, k).masked_fill(~allowed, torch.finfo(q.dtype).min).softmax(-2) * allowed
    return weights @ v, weights


def _attend_nan(q, k, v, allowed):
    weights = _scores(q, k).masked_fill(~allowed, -torch.inf).softmax(-1)
    return weights @ v, weights


def _attend_nan_to_num(q, k, v, allowed):
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
    weights = (_scores(q, k) + mask).softmax(-1).nan_to_num(0.0)
    return weights @ v, weights


def _attend_large_number(q, k, v, allowed):
    weights = _scores(q, k).masked_fill(~allowed, -1e9).softmax(-1)
    return weights @ v, weights


def _attend_exp(q, k, v, allowed):
    scores = torch.einsum("bhsd,bhld->bhsl", q, k) * q.shape[-1] ** -0.5
    powers = (scores - scores.detach().amax(-1, keepdim=True)).exp() * allowed
    weights = powers / powers.sum(-1, keepdim=True).clamp(min=1e-30)
    return torch.einsum("bhsl,bhld->bhsd", weights, v), weights


def _attend_loops(q, k, v, allowed):
    B, H, S, d = q.shape
    allowed = allowed.expand(B, H, S, k.shape[2])
    rows = []
    for b in range(B):
        for h in range(H):
            for s in range(S):
                seen = allowed[b, h, s].nonzero()[:, 0]
                row = torch.zeros(k.shape[2], dtype=q.dtype)
                rows.append(row.index_put((seen,), (k[b, h, seen] @ q[b, h, s] / math.sqrt(d)).softmax(0)))
    weights = torch.stack(rows).view(B, H, S, -1)
    return weights @ v, weights


def _attend_examples(generator):
    q, k, v = (torch.randn(2, 2, 4, 6, generator=generator).requires_grad_() for _ in range(3))
    causal = torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
    words = torch.tensor([[True, True, False, False], [False] * 4])[:, None, None, :]
    return [(q, k, v, causal), (q, k, v, words)]


def _weights_picture(target, yours, arguments):
    figure, axes = figures.new_figure(6.4, 3.0, 2)
    for one, (name, weights) in zip(axes, (("target", target[1]), ("yours", yours[1])), strict=True):
        one.imshow(weights[0, 0].detach(), cmap="Greys", vmin=0, vmax=1)
        for (row, column), value in zip(torch.ones(4, 4).nonzero().tolist(), weights[0, 0].flatten(), strict=True):
            ink = figures.PAPER if value > 0.6 else figures.INK
            one.text(column, row, f"{float(value):.2f}", ha="center", va="center", fontsize=8, color=ink)
        one.set_title(name, fontsize=10)
        one.set_xlabel("key")
    axes[0].set_ylabel("query")
    return figures.figure_picture(figure, "weights of four queries under a causal mask: target and yours")


attend = Exercise(
    "attend",
    reference=_attend,
    properties=(
        returns_answers_and_weights,
        each_query_shares_out_one,
        a_small_case_by_hand,
        what_is_allowed_shares_out_all_of_it,
        nothing_to_look_at_gives_zero,
        gradients_stay_finite,
        attends_as_pytorch_does,
    ),
    wrong=(
        Wrong(
            _attend_over_queries,
            "each_query_shares_out_one",
            "Your softmax runs over the queries. It belongs over the keys, the last dimension: each query "
            "shares out 1.",
        ),
        Wrong(
            _attend_inverted,
            "each_query_shares_out_one",
            "Your mask is upside down: `allowed` is true where a query may look, and masked_fill fills "
            "where it is true.",
        ),
        Wrong(
            _attend_unscaled,
            "a_small_case_by_hand",
            "The products are not divided by the square root of d, the width of a query.",
        ),
        Wrong(
            _attend_by_d,
            "a_small_case_by_hand",
            "You divide by d. A product of random vectors grows like the square root of d: divide by that.",
        ),
        Wrong(
            _attend_after,
            "what_is_allowed_shares_out_all_of_it",
            "You set weights to 0 after the softmax, so what is left does not sum to 1. Mask the scores before it.",
        ),
        Wrong(
            _attend_zeroed,
            "what_is_allowed_shares_out_all_of_it",
            "You set the forbidden scores to 0. exp(0) is 1, so they still get a weight: they must go to minus "
            "infinity, or the lowest number there is.",
        ),
        Wrong(
            _attend_nan,
            "nothing_to_look_at_gives_zero",
            "A softmax over nothing but minus infinity is 0 / 0. Use the lowest finite number, and multiply the "
            "weights with `allowed`.",
        ),
        Wrong(
            _attend_large_number,
            "nothing_to_look_at_gives_zero",
            "With nothing allowed all scores are equally low, and the softmax shares 1 out among the forbidden. "
            "Multiply the weights with `allowed`.",
        ),
        Wrong(
            _attend_nan_to_num,
            "gradients_stay_finite",
            "nan_to_num hides the NaN from the answer but not from the gradient, which goes back through the softmax. "
            "Do not let it arise: use the lowest finite number, and multiply the weights with `allowed`.",
        ),
    ),
    right=(_attend_exp, _attend_loops),
    examples=_attend_examples,
    picture=_weights_picture,
)
