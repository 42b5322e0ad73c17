"""Exercise 4, `split_qkv`: heads out of one matrix product."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.decoder import SelfAttention, join_heads
from .. import Exercise, Wrong, expect, expect_close, expect_tensor


def _split(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    B, S, wide = qkv.shape
    return tuple(part.view(B, S, heads, -1).transpose(1, 2) for part in qkv.split(wide // 3, -1))


def gives_three_tensors_of_heads(answer):
    """There are three results, each [B, H, S, D / H]."""
    for B, S, H, d in ((2, 5, 3, 4), (1, 7, 2, 6), (3, 2, 1, 5)):
        found = answer(torch.randn(B, S, 3 * H * d), H)
        expect(len(found) == 3, f"three tensors are expected, not {len(found)}")
        for name, one in zip("qkv", found, strict=True):
            expect_tensor(one, (B, H, S, d), torch.float32, name)


def queries_keys_and_values_are_thirds(answer):
    """One head: the first D numbers of a column are its query, the next D its key, the last D its value."""
    column = torch.arange(6.0).view(1, 1, 6)
    found = [one.flatten().tolist() for one in answer(column, 1)]
    expect(found == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], f"numbers 0 to 5, D = 2: q, k, v are {found}")


def a_head_is_a_piece_of_its_column(answer):
    """Head h of column s holds numbers h D / H to (h + 1) D / H of that column, and of no other."""
    numbers = (100.0 * torch.arange(3)[:, None] + torch.arange(12))[None]  # column s holds 100 s to 100 s + 11
    q, k, v = answer(numbers, 2)
    expect_close(q[0, 0, 0], torch.tensor([0.0, 1.0]), "the query of column 0 in head 0")
    expect_close(q[0, 1, 0], torch.tensor([2.0, 3.0]), "the query of column 0 in head 1")
    expect_close(q[0, 0, 1], torch.tensor([100.0, 101.0]), "the query of column 1 in head 0")
    expect_close(v[0, 1, 2], torch.tensor([210.0, 211.0]), "the value of column 2 in head 1")


def attention_on_it_is_the_library_s(answer):
    """With these queries, keys and values attention gives what the library's module gives, in every batch row."""
    for B, S, H, d in ((2, 6, 3, 4), (3, 5, 4, 2)):
        module, x = SelfAttention(H * d, H, bias=False), torch.randn(B, S, H * d)
        q, k, v = answer(module.qkv(x).detach(), H)
        found = module.out(join_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True)))
        expect_close(found, module(x), f"H {H}, D / H {d}")


def _split_view(qkv, heads):
    B, S, wide = qkv.shape
    return tuple(part.reshape(B, heads, S, -1) for part in qkv.chunk(3, -1))


def _split_by_head(qkv, heads):
    B, S, wide = qkv.shape
    return tuple(qkv.view(B, S, heads, 3, -1).permute(3, 0, 2, 1, 4))


def _split_strided(qkv, heads):
    B, S, wide = qkv.shape
    return tuple(qkv.view(B, S, 3, -1, heads).permute(2, 0, 4, 1, 3))


def _split_value_first(qkv, heads):
    q, k, v = _split(qkv, heads)
    return v, k, q


def _split_no_transpose(qkv, heads):
    B, S, wide = qkv.shape
    return tuple(part.view(B, S, heads, -1) for part in qkv.chunk(3, -1))


def _split_over_time(qkv, heads):
    B, S, wide = qkv.shape
    return tuple(qkv.reshape(3, B, S, heads, -1).transpose(2, 3))


def _split_in_threes(qkv, heads):
    B, S, wide = qkv.shape
    return tuple(part.reshape(B, S, heads, -1).transpose(1, 2) for part in qkv.view(B, S, -1, 3).unbind(-1))


def _split_slices(qkv, heads):
    B, S, wide = qkv.shape
    D, d = wide // 3, wide // 3 // heads
    parts = [torch.stack([qkv[:, :, i * D + h * d : i * D + (h + 1) * d] for h in range(heads)], 1) for i in range(3)]
    return parts[0], parts[1], parts[2]


def _split_permute(qkv, heads):
    B, S, wide = qkv.shape
    return qkv.reshape(B, S, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


split_qkv = Exercise(
    "split_qkv",
    reference=_split,
    properties=(
        gives_three_tensors_of_heads,
        queries_keys_and_values_are_thirds,
        a_head_is_a_piece_of_its_column,
        attention_on_it_is_the_library_s,
    ),
    wrong=(
        Wrong(
            _split_no_transpose,
            "gives_three_tensors_of_heads",
            "The heads stand behind the columns, [B, S, H, D / H]. Bring them to the front: transpose(1, 2).",
        ),
        Wrong(
            _split_value_first,
            "queries_keys_and_values_are_thirds",
            "You return value, key, query. The order is query, key, value.",
        ),
        Wrong(
            _split_in_threes,
            "queries_keys_and_values_are_thirds",
            "You take every third number for the query. Query, key and value are three blocks of D numbers.",
        ),
        Wrong(
            _split_by_head,
            "a_head_is_a_piece_of_its_column",
            "You cut the 3 D numbers into heads first, and each head into query, key and value. Some models are stored "
            "like that. Here the three blocks come first, and each is cut into heads.",
        ),
        Wrong(
            _split_strided,
            "a_head_is_a_piece_of_its_column",
            "Your head h takes every H-th number. It takes D / H neighbours: view(..., heads, D / H), not the other "
            "way round.",
        ),
        Wrong(
            _split_view,
            "a_head_is_a_piece_of_its_column",
            "view (or reshape) to [B, H, S, D / H] has the right shape and mixes the columns: head 0 gets the first "
            "part of the time. Cut each column first, then transpose.",
        ),
        Wrong(
            _split_over_time,
            "a_head_is_a_piece_of_its_column",
            "The 3 is put in front by reshape, so batch and columns are dealt out among query, key and value. The 3 is "
            "part of the last dimension: take it apart there, then permute.",
        ),
    ),
    right=(_split_slices, _split_permute),
    examples=lambda generator: [
        (torch.randn(2, 4, 18, generator=generator), 3),
        (torch.randn(1, 5, 24, generator=generator), 2),
    ],
)
