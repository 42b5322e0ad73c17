"""Exercise 4, `split_qkv`: heads out of one matrix product."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...model.decoder import SelfAttention, join_heads
from .. import Exercise, expect_close, expect_equal, expect_tensor, mistakes
from ._shared import expect_gradients


def _split(qkv, heads):
    B, S, wide = qkv.shape
    parts = qkv.view(B, S, 3, heads, wide // 3 // heads)
    q, k, v = parts.permute(2, 0, 3, 1, 4)  # each [B, H, S, D / H]
    return q, k, v


def gives_three_tensors_of_heads(answer):
    """There are three results, each [B, H, S, D / H]."""
    for B, S, H, d in ((2, 5, 3, 4), (1, 7, 2, 6), (3, 2, 1, 5)):
        found = answer(torch.randn(B, S, 3 * H * d), H)
        expect_equal(len(found), 3, "results")
        for name, one in zip("qkv", found, strict=True):
            expect_tensor(one, (B, H, S, d), torch.float32, name)


def queries_keys_and_values_are_thirds(answer):
    """One head: the first D numbers of a column are its query, the next D its key, the last D its value."""
    found = [[int(x) for x in one.flatten()] for one in answer(torch.arange(6.0).view(1, 1, 6) * 2, 1)]
    expect_equal(found, [[0, 2], [4, 6], [8, 10]], "numbers 0, 2, 4, 6, 8, 10, D = 2: q, k, v")


def a_head_is_a_piece_of_its_column(answer):
    """Head h of column s holds numbers h D / H to (h + 1) D / H of that column, and of no other."""
    numbers = (100.0 * torch.arange(3)[:, None] + torch.arange(12))[None]  # column s holds 100 s to 100 s + 11
    q, k, v = answer(numbers, 2)
    expect_close(q[0, 0, 0], torch.tensor([0.0, 1.0]), "the query of column 0 in head 0")
    expect_close(q[0, 1, 0], torch.tensor([2.0, 3.0]), "the query of column 0 in head 1")
    expect_close(q[0, 0, 1], torch.tensor([100.0, 101.0]), "the query of column 1 in head 0")
    expect_close(k[0, 1, 1], torch.tensor([106.0, 107.0]), "the key of column 1 in head 1")
    expect_close(v[0, 1, 2], torch.tensor([210.0, 211.0]), "the value of column 2 in head 1")


def rows_of_the_batch_stay_apart(answer):
    """The heads of a row hold numbers of that row only."""
    numbers = (1000.0 * torch.arange(2)[:, None, None] + torch.arange(4)[:, None] * 100) + torch.arange(18)
    for i, name in enumerate(("query", "key", "value")):
        found = answer(numbers, 3)[i][:, :, 1, 0]
        expected = torch.tensor([[100.0, 102.0, 104.0], [1100.0, 1102.0, 1104.0]]) + 6 * i
        expect_close(found, expected, f"the first number of the {name} of column 1, by row and head")


def gradients_pass_through(answer):
    """Gradients arrive at the numbers that were taken apart."""
    qkv, weights = torch.randn(2, 3, 12, requires_grad=True), torch.randn(3, 2, 2, 3, 2)
    yours, target = (torch.stack(list(one(qkv, 2))) * weights for one in (answer, _split))
    expect_gradients(yours, target, {"qkv": qkv})


def attention_on_it_is_the_library_s(answer):
    """With these queries, keys and values attention gives what the library's module gives, in every batch row."""
    for B, S, H, d in ((2, 6, 3, 4), (3, 5, 4, 2), (4, 4, 4, 4)):
        module, x = SelfAttention(H * d, H, bias=False), torch.randn(B, S, H * d)
        q, k, v = answer(module.qkv(x), H)
        found = module.out(join_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
        expect_close(found, module(x), f"H {H}, D / H {d}")


def _slices(qkv, heads):
    B, S, wide = qkv.shape
    D, d = wide // 3, wide // 3 // heads
    parts = [torch.stack([qkv[:, :, i * D + h * d : i * D + (h + 1) * d] for h in range(heads)], 1) for i in range(3)]
    return parts[0], parts[1], parts[2]


def _unbound(qkv, heads):
    B, S, wide = qkv.shape
    return qkv.reshape(B, S, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


def _in_chunks(qkv, heads):
    return [part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, -1)]


_PERMUTED = "parts.permute(2, 0, 3, 1, 4)"

split_qkv = Exercise(
    "split_qkv",
    reference=_split,
    properties=(
        gives_three_tensors_of_heads, queries_keys_and_values_are_thirds, a_head_is_a_piece_of_its_column,
        rows_of_the_batch_stay_apart, gradients_pass_through, attention_on_it_is_the_library_s,
    ),
    wrong=mistakes(_split, {
        gives_three_tensors_of_heads: [
            ("(2, 0, 3, 1, 4)", "(2, 0, 1, 3, 4)",
             "The heads stand behind the columns, [B, S, H, D / H]. Bring them to the front: transpose(1, 2)."),
            ("return q, k, v", "return q, k.transpose(2, 3), v", "Your keys are turned for the product already. All "
             "three have the same shape; whoever multiplies turns them."),
            ("heads, wide // 3 // heads", "wide // 3 // heads, heads", "You take `heads` for the width of a head. It "
             "is how many there are: each is D / H wide."),
            ("(2, 0, 3, 1, 4)", "(2, 3, 0, 1, 4)", "The heads stand before the batch. It is [B, H, S, D / H]."),
        ],
        queries_keys_and_values_are_thirds: [
            ("return q, k, v", "return v, k, q", "You return value, key, query. The order is query, key, value."),
            ("3, heads, wide // 3 // heads", "heads, wide // 3 // heads, 3", "(2, 0, 3, 1, 4)", "(4, 0, 2, 1, 3)",
             "You take every third number for the query. Query, key and value are three blocks of D numbers."),
            ("return q,", "return q / q.shape[-1] ** 0.5,", "You divide the query by the root of its width. That is a "
             "part of attention, which does it itself: only cut here."),
            ("return q, k, v", "return k, q, v", "You return key, query, value. The order is query, key, value."),
        ],
        a_head_is_a_piece_of_its_column: [
            ("3, heads,", "heads, 3,", "(2, 0, 3, 1, 4)", "(3, 0, 2, 1, 4)",
             "You cut the 3 D numbers into heads first, and each head into query, key and value. Some models are "
             "stored "
             "like that. Here the three blocks come first, and each is cut into heads."),
            ("heads, wide // 3 // heads", "wide // 3 // heads, heads", "(2, 0, 3, 1, 4)", "(2, 0, 4, 1, 3)",
             "Your head h takes every H-th number. It takes D / H neighbours: view(..., heads, D / H), not the other "
             "way round."),
            (_PERMUTED, "[part.reshape(B, heads, S, -1) for part in qkv.chunk(3, -1)]",
             "view (or reshape) to [B, H, S, D / H] has the right shape and mixes the columns: head 0 gets the first "
             "part of the time. Cut each column first, then transpose."),
            (_PERMUTED, "qkv.reshape(3, B, S, heads, -1).transpose(2, 3)",
             "The 3 is put in front by reshape, so batch and columns are dealt out among query, key and value. The 3 "
             "is "
             "part of the last dimension: take it apart there, then permute."),
        ],
        rows_of_the_batch_stay_apart: [
            (_PERMUTED, "parts.permute(2, 3, 0, 1, 4).reshape(3, B, heads, S, -1)",
             "You bring the heads before the batch and then reshape: the right shape, with rows and heads mixed. "
             "permute puts each dimension in its place, and needs no reshape."),
            (_PERMUTED, "parts[:1].expand(B, -1, -1, -1, -1).permute(2, 0, 3, 1, 4)", "All rows of the batch get the "
             "numbers of the first one."),
        ],
        gradients_pass_through: [
            ("qkv.view", "qkv.detach().view", "You cut the numbers off from their gradient (detach, .data or .numpy), "
             "so the matrices could never be trained."),
        ],
    }),
    right=(_slices, _unbound, _in_chunks),
    examples=lambda generator: [
        (torch.randn(2, 4, 18, generator=generator).requires_grad_(), 3),
        (torch.randn(1, 5, 24, generator=generator).requires_grad_(), 2),
    ],
)  # fmt: skip
