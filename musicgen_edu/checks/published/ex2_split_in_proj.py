"""Exercise 2, `split_in_proj`: queries, keys and values out of one matrix."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import figures
from .. import Exercise, Wrong, expect, expect_close, expect_tensor


def _split(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return weight.chunk(3)


def _three(answer: Callable, weight: Tensor) -> list[Tensor]:
    rows, D = weight.shape
    found = answer(weight)
    expect(isinstance(found, (tuple, list, Tensor)), f"expected three tensors, not {type(found).__name__}")
    found = list(found)
    expect(len(found) == 3, f"expected three tensors, not {len(found)}")
    for name, one in zip("qkv", found, strict=True):
        expect_tensor(one, (rows // 3, D), weight.dtype, f"{name} of a joined matrix {[rows, D]}")
    return found


def gives_three_square_matrices(answer):
    """Three matrices [D, D], in the number format that they come in."""
    for D in (2, 5, 128):
        for dtype in (torch.float32, torch.float16):
            _three(answer, torch.randn(3 * D, D).to(dtype))


def each_is_a_block_of_rows(answer):
    """D = 2: rows 0 and 1 make the queries, 2 and 3 the keys, 4 and 5 the values."""
    weight = 10.0 * torch.arange(6)[:, None] + torch.arange(2)  # row r holds 10 r and 10 r + 1
    for name, one, first in zip(("queries", "keys", "values"), _three(answer, weight), (0, 2, 4), strict=True):
        rows = [[10.0 * r, 10.0 * r + 1] for r in (first, first + 1)]
        expect(one.tolist() == rows, f"the matrix of the {name} is {rows}, not {one.tolist()}")


def attention_is_that_of_the_joined_matrix(answer):
    """With the three, attention gives what torch's own gives with the joined matrix."""
    for D, H in ((8, 2), (128, 4)):
        module, x, text = nn.MultiheadAttention(D, H, bias=False, batch_first=True), torch.randn(2, 5, D), None
        q, k, v = _three(answer, module.in_proj_weight.detach())
        text = torch.randn(2, 3, D)  # cross-attention: what is asked is the music, what answers the text
        heads = [F.linear(a, b).unflatten(-1, (H, -1)).transpose(1, 2) for a, b in ((x, q), (text, k), (text, v))]
        found = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2) @ module.out_proj.weight.T
        expect_close(found, module(x, text, text, need_weights=False)[0], f"D = {D}, H = {H}: attention differs")


def nothing_is_copied(answer):
    """The three lie in the memory of the joined matrix: a model of 6 GB is taken apart without 2 GB more."""
    weight = torch.randn(12, 4)
    memory = weight.untyped_storage().data_ptr()
    for name, one in zip("qkv", _three(answer, weight), strict=True):
        expect(one.untyped_storage().data_ptr() == memory, f"{name} is a copy in memory of its own")


def _wrong_order(weight):
    q, k, v = _split(weight)
    return k, q, v


def _values_first(weight):
    return _split(weight)[::-1]


def _keys_values_queries(weight):
    q, k, v = _split(weight)
    return k, v, q


def _queries_values_keys(weight):
    q, k, v = _split(weight)
    return q, v, k


def _pieces_of_three(weight):
    return weight.split(3)


def _columns(weight):
    return weight.chunk(3, dim=1)


def _every_third(weight):
    return weight[0::3], weight[1::3], weight[2::3]


def _head_by_head(weight):
    """As models do that keep queries, keys and values of a head together: heads of 64, or of one number."""
    D = weight.shape[1]
    width = 64 if D % 64 == 0 else 1
    return [part.reshape(D, D) for part in weight.view(-1, 3, width, D).unbind(1)]


def _transposed(weight):
    return [part.T for part in _split(weight)]


def _last_axis(weight):
    D = weight.shape[1]
    return weight.reshape(D, D, 3).unbind(-1)


def _scaled(weight):
    """The division by the root of a head's width, folded into the queries."""
    q, k, v = _split(weight)
    return q / min(64, weight.shape[1]) ** 0.5, k, v


def _heads_too(weight):
    D = weight.shape[1]
    return [part.view(-1, 1, D) for part in _split(weight)]


def _queries_alone(weight):
    """The last two thirds together, as this course's library keeps those of the text."""
    D = weight.shape[1]
    return weight[:D], weight[D:]


def _overlapping(weight):
    D = weight.shape[1]
    return weight[:D], weight[D - 1 : 2 * D - 1], weight[2 * D - 1 : 3 * D - 1]


def _widened(weight):
    return [part.float() for part in _split(weight)]


def _copies(weight):
    return [part.clone() for part in _split(weight)]


def _sliced(weight):
    rows = weight.shape[0] // 3
    return weight[:rows], weight[rows : 2 * rows], weight[2 * rows :]


def _viewed(weight):
    D = weight.shape[1]
    return weight.view(3, D, D)


def _narrowed(weight):
    D = weight.size(1)
    return tuple(weight.narrow(0, i * D, D) for i in range(3))


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


split_in_proj = Exercise(
    "split_in_proj",
    reference=_split,
    properties=(
        gives_three_square_matrices,
        each_is_a_block_of_rows,
        attention_is_that_of_the_joined_matrix,
        nothing_is_copied,
    ),
    wrong=(
        Wrong(
            _pieces_of_three,
            "gives_three_square_matrices",
            "split(3) makes pieces of three rows each. chunk(3) makes three pieces.",
        ),
        Wrong(
            _columns,
            "gives_three_square_matrices",
            "You cut the columns. F.linear computes x @ weight.T, so an output is a row, and there are 3 D of them.",
        ),
        Wrong(
            _heads_too,
            "gives_three_square_matrices",
            "You keep an axis for heads. The published matrices are [D, D]; the heads are taken apart later.",
        ),
        Wrong(
            _queries_alone,
            "gives_three_square_matrices",
            "You keep keys and values together. The published file has a matrix for each.",
        ),
        Wrong(
            _widened,
            "gives_three_square_matrices",
            "You change the number format. What was stored in float16 takes twice the memory in float32 and says no "
            "more.",
        ),
        Wrong(
            _every_third,
            "each_is_a_block_of_rows",
            "You take every third row. The rows lie one matrix after another.",
        ),
        Wrong(
            _last_axis,
            "each_is_a_block_of_rows",
            "You cut the memory anew, with three as its last axis: the numbers of a row are torn apart.",
        ),
        Wrong(
            _head_by_head,
            "each_is_a_block_of_rows",
            "You take queries, keys and values of one head after another. Other models store them so; here all "
            "queries come first.",
        ),
        Wrong(
            _wrong_order,
            "each_is_a_block_of_rows",
            "You give keys, queries, values. The order in the file is queries, keys, values.",
        ),
        Wrong(
            _values_first,
            "each_is_a_block_of_rows",
            "You give values, keys, queries. The order in the file is queries, keys, values.",
        ),
        Wrong(
            _keys_values_queries,
            "each_is_a_block_of_rows",
            "You give keys, values, queries. The order in the file is queries, keys, values.",
        ),
        Wrong(
            _queries_values_keys,
            "each_is_a_block_of_rows",
            "You give queries, values, keys. The order in the file is queries, keys, values.",
        ),
        Wrong(
            _transposed,
            "each_is_a_block_of_rows",
            "You transpose the matrices. Both files store them as F.linear wants them, outputs by inputs.",
        ),
        Wrong(
            _overlapping,
            "each_is_a_block_of_rows",
            "Your blocks overlap by a row. The end of a slice is the row after its last one.",
        ),
        Wrong(
            _scaled,
            "each_is_a_block_of_rows",
            "You divide the queries by the root of a head's width. Attention does that itself: it would be done twice.",
        ),
        Wrong(
            _copies,
            "nothing_is_copied",
            "You copy the parts. chunk, slices and view look at the same memory; clone and a list of rows as an "
            "index copy.",
        ),
    ),
    right=(_sliced, _viewed, _narrowed),
    examples=_examples,
    picture=_picture,
)
