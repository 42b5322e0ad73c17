"""Exercise 3, `attend`: any mask, and rows that may see nothing."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from ... import figures
from .. import Exercise, expect, expect_close, expect_tensor, mistakes
from ._shared import expect_gradients


def _attend(q, k, v, allowed):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # [B, H, S, L]
    weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1) * allowed
    return weights @ v, weights


def _everything(S, L):
    return torch.ones(1, 1, S, L, dtype=torch.bool)


def returns_answers_and_weights(answer):
    """The answers are [B, H, S, width of a value], the weights [B, H, S, L]."""
    for B, H, S, L, d in ((2, 3, 5, 7, 4), (1, 2, 6, 3, 8)):
        q, k, v = torch.randn(B, H, S, d), torch.randn(B, H, L, d), torch.randn(B, H, L, d + 1)
        found = answer(q, k, v, _everything(S, L))
        two = isinstance(found, (tuple, list)) and len(found) == 2
        expect(two, f"expected two tensors, answers and weights, not {type(found).__name__}")
        expect_tensor(found[0], (B, H, S, d + 1), torch.float32, "the answers")
        expect_tensor(found[1], (B, H, S, L), torch.float32, "the weights")


def each_query_shares_out_one(answer):
    """The weights of each query sum to 1 over the keys, and the answers are the weighted means of the values."""
    q, k, v = (torch.randn(2, 2, n, 4) for n in (5, 3, 3))
    answers, weights = answer(q, k, v, _everything(5, 3))
    expect_close(weights.sum(-1), torch.ones(2, 2, 5), "sums over the keys")
    expect_close(answers, weights @ v, "answers, compared with weights @ v")


def a_small_case_by_hand(answer):
    """One query (2, 2), keys (1, 0) and (1, 1), d = 2: products 2 and 4, divided by √2, then a softmax."""
    q, k = torch.tensor([[[[2.0, 2.0]]]]), torch.tensor([[[[1.0, 0.0], [1.0, 1.0]]]])
    _, weights = answer(q.repeat(2, 3, 1, 1), k.repeat(2, 3, 1, 1), torch.ones(2, 3, 2, 1), _everything(1, 2))
    second = 1 / (1 + math.exp(-2 / math.sqrt(2)))
    expect_close(weights[1, 2, 0], torch.tensor([1 - second, second]), "the two weights")


def what_is_allowed_shares_out_all_of_it(answer):
    """What is not allowed gets 0, and the rest still sums to 1."""
    q, k, v = (torch.randn(2, 2, n, 4) for n in (4, 4, 4))
    allowed = torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
    _, weights = answer(q, k, v, allowed)
    forbidden = weights[~allowed.expand_as(weights)]
    expect_close(forbidden, torch.zeros_like(forbidden), "weights of what is not allowed", 1e-9)
    expect_close(weights.sum(-1), torch.ones(2, 2, 4), "sums over the allowed keys")


def nothing_to_look_at_gives_zero(answer):
    """A query that may look at nothing gets zeros, not NaN, and the others are untouched."""
    q, k, v = (torch.randn(2, 1, 3, 4) for _ in range(3))
    allowed = torch.tensor([True, False])[:, None, None, None].expand(2, 1, 1, 3)  # the second row has no words
    answers, weights = answer(q, k, v, allowed)
    expect_close(answers[1], torch.zeros(1, 3, 4), "answers of the row without words")
    expect_close(weights[1], torch.zeros(1, 3, 3), "weights of the row without words")
    target = F.scaled_dot_product_attention(q[:1], k[:1], v[:1])
    expect_close(answers[:1], target, "answers of the row with words")
    answers, weights = answer(q, k, v, torch.ones(3, 3, dtype=torch.bool).tril(-1)[None, None])
    told = "each query may look at earlier keys only: the first query has none, its"
    expect_close(answers[:, :, 0], torch.zeros(2, 1, 4), f"{told} answer")
    expect_close(weights[:, :, 0], torch.zeros(2, 1, 3), f"{told} weights")
    expect_close(answers[:, :, 1], v[:, :, 0], "the second query has one key: its answer is that key's value")


def large_scores_do_no_harm(answer):
    """Scores of some hundreds are in order, below zero and above, also where the largest is not allowed."""
    q, k, v = 12 * torch.randn(2, 2, 5, 4), 12 * torch.randn(2, 2, 6, 4), torch.randn(2, 2, 6, 3)
    allowed = torch.rand(2, 1, 5, 6) < 0.5
    allowed[..., 0] = True
    for what, keys in (("scores of either sign", k), ("all scores below -200", -20 * q.sign().mean(2, True) + 0 * k)):
        target = F.scaled_dot_product_attention(q.double(), keys.double(), v.double(), attn_mask=allowed)
        expect_close(answer(q, keys, v, allowed)[0], target, f"{what}: the answers", 2e-3)
    q, k = torch.full((1, 1, 1, 4), 10.0), torch.tensor([[40.0], [-40.0], [0.0], [0.02]]).expand(1, 1, 4, 4)
    for row, told in (
        ((0, 0, 1, 1), "key 0, of score 800, is not allowed"),
        ((0, 1, 0, 0), "key 1, of -800, is alone"),
    ):
        mask = torch.tensor(row, dtype=torch.bool).view(1, 1, 1, 4)
        target = F.scaled_dot_product_attention(q.double(), k.double(), torch.eye(4).double()[None, None], mask)
        expect_close(answer(q, k, torch.eye(4)[None, None], mask)[1], target, f"{told}: the weights", 1e-4)


def gradients_stay_finite(answer):
    """Such a row does not spoil the gradients either: they are 0 there, and elsewhere those of PyTorch's attention."""
    q, k, v = (torch.randn(2, 1, 3, 4, requires_grad=True) for _ in range(3))
    allowed = torch.tensor([True, False])[:, None, None, None].expand(2, 1, 1, 3)
    weights = torch.randn(1, 1, 3, 4)
    target = F.scaled_dot_product_attention(q[:1], k[:1], v[:1]) * weights
    yours = answer(q, k, v, allowed)[0] * weights
    expect_gradients(yours, target, {"q": q, "k": k, "v": v})


def attends_as_pytorch_does(answer):
    """On random sizes and masks the answers are those of PyTorch's own attention."""
    for B, H, S, L, d in ((2, 3, 6, 9, 8), (1, 4, 5, 5, 16), (3, 1, 1, 7, 2)):
        q, k, v = torch.randn(B, H, S, d), torch.randn(B, H, L, d), torch.randn(B, H, L, d)
        for shape in ((B, 1, S, L), (B, 1, 1, L), (1, 1, S, L)):
            allowed = torch.rand(shape) < 0.6
            allowed[..., 0] = True
            target = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
            expect_close(answer(q, k, v, allowed)[0], target, f"S {S}, L {L}, d {d}, a mask {list(shape)}")


def _exp(q, k, v, allowed):
    scores = torch.einsum("bhsd,bhld->bhsl", q, k) * q.shape[-1] ** -0.5
    largest = scores.detach().where(allowed, torch.finfo(scores.dtype).min).amax(-1, keepdim=True)
    powers = (scores - largest).where(allowed, 0.0).exp() * allowed
    weights = powers / powers.sum(-1, keepdim=True).clamp(min=1e-30)
    return [torch.einsum("bhsl,bhld->bhsd", weights, v), weights]


def _loops(q, k, v, allowed):
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


def _all_where_nothing(q, k, v, allowed):
    some = allowed.any(-1, keepdim=True)
    scores = (q.double() @ k.double().mT / q.shape[-1] ** 0.5).masked_fill(~(allowed | ~some), -torch.inf)
    weights = (scores.softmax(-1) * some).float()
    return weights.matmul(v), weights


def _examples(generator):
    q, k, v = (torch.randn(2, 2, 4, 6, generator=generator).requires_grad_() for _ in range(3))
    causal = torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
    words = torch.tensor([[True, True, False, False], [False] * 4])[:, None, None, :]
    large = 100 * torch.eye(4)[None, None]
    before = torch.ones(4, 4, dtype=torch.bool).tril(-1)[None, None]
    return [(q, k, v, causal), (q, k, v, words), (large, large, large, ~large.bool()), (q, k, v, before)]


def _weights_picture(target, yours, arguments):
    figure, axes = figures.new_figure(6.4, 3.0, 2)
    for one, (name, weights) in zip(axes, (("target", target[1]), ("yours", yours[1])), strict=True):
        one.imshow(weights[0, 0].detach(), cmap="Greys", vmin=0, vmax=1)
        for row, column in torch.ones(4, 4).nonzero().tolist():
            value = float(weights[0, 0, row, column].detach())
            ink = figures.PAPER if value > 0.6 else figures.INK
            one.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=ink)
        one.set_title(name, fontsize=10)
        one.set_xlabel("key")
    axes[0].set_ylabel("query")
    return figures.figure_picture(figure, "weights of four queries under a causal mask: target and yours")


_WEIGHTS = "scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1) * allowed"

attend = Exercise(
    "attend",
    reference=_attend,
    properties=(
        returns_answers_and_weights, each_query_shares_out_one, a_small_case_by_hand,
        what_is_allowed_shares_out_all_of_it, nothing_to_look_at_gives_zero, large_scores_do_no_harm,
        gradients_stay_finite, attends_as_pytorch_does,
    ),
    wrong=mistakes(_attend, {
        returns_answers_and_weights: [
            ("weights @ v, weights", "weights, weights @ v", "You return the weights first. The answers come first, "
             "then the weights."),
            ("@ v, weights", "@ v", "You return the answers alone. The weights are asked for, too: answers, weights."),
        ],
        each_query_shares_out_one: [
            ("softmax(-1)", "softmax(-2)", "Your softmax runs over the queries. It belongs over the keys, the last "
             "dimension: each query shares out 1."),
            ("~allowed", "allowed", "-1) * allowed", "-1) * ~allowed", "Your mask is upside down: `allowed` is true "
             "where a query may look, and masked_fill fills where it is true."),
            ("@ v, weights", "@ v, scores", "You return the scores. The weights are what the softmax makes of them."),
        ],
        a_small_case_by_hand: [
            (" / math.sqrt(q.shape[-1])", "", "The products are not divided by the square root of d, the width of a "
             "query."),
            ("math.sqrt(q.shape[-1])", "q.shape[-1]",
             "You divide by d. A product of random vectors grows like the square root of d: divide by that."),
            ("math.sqrt(q.shape[-1])", "math.sqrt(q.shape[1] * q.shape[-1])", "You divide by the root of D, the width "
             "of the model. d is the width of one head."),
            ("math.sqrt(q.shape[-1])", "math.sqrt(v.shape[-1])", "You divide by the root of the width of a value. "
             "The products are of queries and keys: d is theirs."),
        ],
        what_is_allowed_shares_out_all_of_it: [
            (".masked_fill(~allowed, torch.finfo(scores.dtype).min)", "",
             "You set weights to 0 after the softmax, so what is left does not sum to 1. Mask the scores before it."),
            (_WEIGHTS, "scores.masked_fill(~allowed, 0.0).softmax(-1)",
             "You set the forbidden scores to 0. exp(0) is 1, so they still get a weight: they must go to minus "
             "infinity, or the lowest number there is."),
            (_WEIGHTS, "scores.softmax(-1)", "You do not use `allowed`: every query looks at all keys."),
        ],
        nothing_to_look_at_gives_zero: [
            (_WEIGHTS, "scores.masked_fill(~allowed, -torch.inf).softmax(-1)",
             "A softmax over nothing but minus infinity is 0 / 0. Use the lowest finite number, and multiply the "
             "weights with `allowed`."),
            (_WEIGHTS, "scores.masked_fill(~allowed, -1e9).softmax(-1)",
             "With nothing allowed all scores are equally low, and the softmax shares 1 out among the forbidden. "
             "Multiply the weights with `allowed`."),
            ("-1) * allowed", "-1) * allowed.flatten(1).any(1)[:, None, None, None]", "You look for rows of the batch "
             "that may see nothing. A single query can be in that case while others of its row are not."),
        ],
        large_scores_do_no_harm: [
            (_WEIGHTS, "scores.exp() * allowed; weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)",
             "exp overflows from 88 on, and inf / inf is NaN. Subtract the largest allowed score of each query first, "
             "or use softmax, which does."),
            (_WEIGHTS, "(scores - scores.amax(-1, keepdim=True)).exp() * allowed; weights = weights / "
             "weights.sum(-1, keepdim=True).clamp(min=1e-30)",
             "You subtract the largest score, whether it is allowed or not. Where a forbidden one is far above, all "
             "allowed ones vanish: take the largest of those that are allowed."),
            (_WEIGHTS, "scores.softmax(-1) * allowed; weights = weights / weights.sum(-1, "
             "keepdim=True).clamp(min=1e-30)",
             "You take the softmax over all keys and divide by what is left. Where a forbidden score is far above, "
             "nothing is left: mask the scores before the softmax."),
            ("torch.finfo(scores.dtype).min", "-100.0", "You fill with -100. A score may be lower than that: use the "
             "lowest number there is, torch.finfo(scores.dtype).min."),
        ],
        gradients_stay_finite: [
            (_WEIGHTS, "(scores + torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)).softmax(-1)"
             ".nan_to_num(0.0)",
             "nan_to_num hides the NaN from the answer but not from the gradient, which goes back through the softmax. "
             "Do not let it arise: use the lowest finite number, and multiply the weights with `allowed`."),
            ("weights @ v", "weights.detach() @ v", "You cut the weights off from their gradient: queries and keys "
             "could never be trained."),
        ],
    }),
    right=(_exp, _loops, _all_where_nothing),
    examples=_examples,
    picture=_weights_picture,
)  # fmt: skip
