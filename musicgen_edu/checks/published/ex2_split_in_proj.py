"""Exercise 2, `split_in_proj`: queries, keys and values out of one matrix."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import figures
from ...checkpoints.audiocraft import published_lm
from .. import Exercise, expect, expect_close, expect_equal, expect_tensor, mistakes


def _split(weight):
    rows = weight.shape[0] // 3
    return weight[:rows], weight[rows : 2 * rows], weight[2 * rows :]


def _three(answer, weight: Tensor) -> list[Tensor]:
    rows, D = weight.shape
    found = answer(weight)
    expect(isinstance(found, (tuple, list, Tensor)), f"expected three tensors, not {type(found).__name__}")
    found = list(found)
    expect_equal(len(found), 3, "number of tensors")
    for name, one in zip("qkv", found, strict=True):
        expect_tensor(one, (rows // 3, D), weight.dtype, f"{name} of a joined matrix {[rows, D]}")
    return found


def gives_three_square_matrices(answer):
    """Three matrices [D, D], in the number format that they come in."""
    for D in (2, 5, 128, 1):
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
            _three(answer, torch.randn(3 * D, D).to(dtype))


def each_is_a_block_of_rows(answer):
    """D = 2: rows 0 and 1 make the queries, 2 and 3 the keys, 4 and 5 the values."""
    weight = 10.0 * torch.arange(6)[:, None] + torch.arange(2)  # row r holds 10 r and 10 r + 1
    for name, one, first in zip(("queries", "keys", "values"), _three(answer, weight), (0, 2, 4), strict=True):
        expect_equal(one, [[10.0 * r, 10.0 * r + 1] for r in (first, first + 1)], f"the matrix of the {name}")


def attention_is_that_of_the_joined_matrix(answer):
    """With the three, attention gives what torch's own gives with the joined matrix."""
    for D, H in ((8, 2), (128, 4)):
        module, x = nn.MultiheadAttention(D, H, bias=False, batch_first=True), torch.randn(2, 5, D)
        q, k, v = _three(answer, module.in_proj_weight.detach())
        text = torch.randn(2, 3, D)  # cross-attention: what is asked is the music, what answers the text
        heads = [F.linear(a, b).unflatten(-1, (H, -1)).transpose(1, 2) for a, b in ((x, q), (text, k), (text, v))]
        found = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2) @ module.out_proj.weight.T
        expect_close(found, module(x, text, text, need_weights=False)[0], f"D = {D}, H = {H}: attention")


def nothing_is_copied(answer):
    """The three lie in the memory of the joined matrix: a model of 6 GB is taken apart without 2 GB more."""
    for D, dtype in ((4, torch.float32), (192, torch.float16)):
        weight = torch.randn(3 * D, D).to(dtype)
        begin, end = weight.data_ptr(), weight.data_ptr() + weight.nbytes
        for name, one in zip("qkv", _three(answer, weight), strict=True):
            inside = begin <= one.data_ptr() and one.data_ptr() + one.nbytes <= end
            expect(inside, f"{name} of {dtype}: expected in the memory of the joined matrix, not in memory of its own")


def splits_as_the_library_loads(answer):
    """On random matrices of any format the three are those that the library loads, number for number."""
    for D, dtype in ((1, torch.float32), (3, torch.float16), (64, torch.bfloat16), (192, torch.float32)):
        weight = torch.randn(3 * D, D).to(dtype)
        wanted = published_lm({"transformer.layers.0.self_attn.in_proj_weight": weight}).values()
        for name, one, target in zip("qkv", _three(answer, weight), wanted, strict=True):
            expect_close(one, target, f"{name} of a joined matrix {[3 * D, D]}, {dtype}", 0.0)


def _viewed(weight):
    D = weight.shape[1]
    return weight.view(3, D, D)


def _narrowed(weight):
    D = weight.size(1)
    return tuple(weight.narrow(0, i * D, D) for i in range(3))


def _chunked(weight):
    return [*weight.chunk(3)]


def _picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.2, columns=6)
    for one, name, matrix in zip(axes, ("q", "k", "v") * 2, (*target, *yours), strict=True):
        one.imshow(matrix.float(), cmap="Greys", vmin=0, vmax=float(arguments[0].max()), aspect="auto")
        one.set(xticks=[], yticks=[], title=name)
    axes[0].set_ylabel("target")
    axes[3].set_ylabel("yours")
    return figures.figure_picture(figure, "q, k and v: target at the left, yours at the right; row r is as dark as r")


def _examples(generator):
    rows = torch.arange(24.0)[:, None].expand(24, 8).clone()
    return [(rows,), (torch.randn(384, 128, generator=generator),), (torch.randn(9, 3, generator=generator).half(),)]


ALL = "weight[:rows], weight[rows : 2 * rows], weight[2 * rows :]"
split_in_proj = Exercise(
    "split_in_proj",
    reference=_split,
    properties=(
        gives_three_square_matrices, each_is_a_block_of_rows, attention_is_that_of_the_joined_matrix,
        nothing_is_copied, splits_as_the_library_loads,
    ),
    wrong=mistakes(_split, {
        gives_three_square_matrices: [
            (ALL, "weight.split(3)", "split(3) makes pieces of three rows each. chunk(3) makes three pieces."),
            (ALL, "weight.chunk(3, dim=1)", "You cut the columns. F.linear computes x @ weight.T, so an output is a "
             "row, and there are 3 D of them."),
            (ALL, "[part[:, None] for part in weight.chunk(3)]", "You keep an axis for "
             "heads. The published matrices are [D, D]; the heads are taken apart later."),
            (ALL, "weight[:rows], weight[rows:]", "You keep keys and values together. The published file has a matrix "
             "for each."),
            (ALL, "weight.float().chunk(3)", "You change the number format. What was stored in float16 takes twice "
             "the memory in float32 and says no more."),
            ("2 * rows :]", "2 * rows : -1]", "Your last block ends one row too early: a slice [-1] leaves out the "
             "last row."),
        ],
        each_is_a_block_of_rows: [
            (ALL, "weight[0::3], weight[1::3], weight[2::3]", "You take every third row. The rows lie one matrix after "
             "another."),
            (ALL, "weight.reshape(rows, -1, 3).unbind(-1)", "You cut the memory anew, with three as its last axis: the "
             "numbers of a row are torn apart."),
            (ALL, "[part.reshape(rows, -1) for part in "
             "weight.view(-1, 3, 64 if rows % 64 == 0 else 1, weight.shape[1]).unbind(1)]",
             "You take queries, keys and values of one head after another. Other models store them so; here all "
             "queries come first."),
            (ALL, "weight[rows : 2 * rows], weight[:rows], weight[2 * rows :]",
             "You give keys, queries, values. The order in the file is queries, keys, values."),
            (ALL, "weight.chunk(3)[::-1]",
             "You give values, keys, queries. The order in the file is queries, keys, values."),
            (ALL, "weight[rows : 2 * rows], weight[2 * rows :], weight[:rows]",
             "You give keys, values, queries. The order in the file is queries, keys, values."),
            (ALL, "weight[:rows], weight[2 * rows :], weight[rows : 2 * rows]",
             "You give queries, values, keys. The order in the file is queries, keys, values."),
            (ALL, "[part.T for part in weight.chunk(3)]",
             "You transpose the matrices. Both files store them as F.linear wants them, outputs by inputs."),
            (ALL, "weight[:rows], weight[rows - 1 : 2 * rows - 1], weight[2 * rows - 1 : 3 * rows - 1]",
             "Your blocks overlap by a row. The end of a slice is the row after its last one."),
            ("weight[:rows]", "weight[:rows] / min(64, rows) ** 0.5", "You divide the queries by the root of a head's "
             "width. Attention does that itself: it would be done twice."),
            (ALL, "[weight[:rows]] * 3", "All three of yours are the queries. Each has its own third."),
        ],
        nothing_is_copied: [
            (ALL, "[part.clone() for part in weight.chunk(3)]", "You copy the parts. chunk, slices and view look at "
             "the same memory; clone and a list of rows as an index copy."),
        ],
    }),
    right=(_viewed, _narrowed, _chunked),
    examples=_examples,
    picture=_picture,
)  # fmt: skip
