"""The exercises of assignment 06: one look-up for all tables, positions moved, attention, heads, cache, a layer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import figures
from ..decoder import Condition, Decoder, KeyValueCache, SelfAttention, join_heads, split_heads
from ..embedding import CodebookEmbedding, sinusoidal_positions
from . import Exercise, Wrong, expect, expect_close, expect_tensor, seal

# ---- 1. embed_columns: one look-up for all tables ----------------------------------------------------------------


def _embed(sequence: Tensor, table: Tensor, positions: Tensor, first: int) -> Tensor:
    B, K, S = sequence.shape
    rows = len(table) // K
    index = sequence + torch.arange(K)[:, None] * rows  # [B, K, S]
    return table[index].sum(1) + positions[first : first + S]  # [B, S, D]


def has_one_vector_for_each_column(answer):
    """The result is one vector for each column: [B, S, D]."""
    for B, K, S, rows, D in ((2, 4, 5, 7, 6), (1, 3, 2, 4, 8), (3, 1, 1, 5, 4)):
        sequence = torch.randint(rows, (B, K, S))
        expect_tensor(answer(sequence, torch.randn(K * rows, D), torch.randn(9, D), 2), (B, S, D), torch.float32)


def a_column_is_the_sum_of_its_rows(answer):
    """On two codebooks of two entries and a special token: a column is the sum of two rows, each of its own table."""
    table = torch.tensor([[1.0], [2.0], [3.0], [10.0], [20.0], [30.0]])  # rows 0 to 2: codebook 0; 3 to 5: codebook 1
    sequence = torch.tensor([[[2, 0, 1], [2, 2, 0]]])
    found = answer(sequence, table, torch.zeros(3, 1), 0)[0, :, 0]
    expect_close(found, torch.tensor([33.0, 31.0, 12.0]), "columns (2, 2), (0, 2), (1, 0) of tables 1 2 3 and 10 20 30")


def a_position_is_added_once(answer):
    """With tables of zeros the result is the position of each column, once."""
    positions = torch.arange(8.0)[:, None].expand(8, 2)
    found = answer(torch.zeros(2, 4, 3, dtype=torch.int64), torch.zeros(12, 2), positions, 0)
    expect_close(found[1, :, 0], torch.tensor([0.0, 1.0, 2.0]), "the first three columns, positions 0, 1, 2")


def positions_begin_at_first(answer):
    """The first column has position `first`, the next one `first` + 1."""
    positions = torch.arange(8.0)[:, None].expand(8, 2)
    found = answer(torch.zeros(1, 4, 3, dtype=torch.int64), torch.zeros(12, 2), positions, 5)
    expect_close(found[0, :, 0], torch.tensor([5.0, 6.0, 7.0]), "three columns from place 5 on")


def embeds_as_the_library_does(answer):
    """On random sizes the result is that of the library."""
    for B, K, S, rows, D in ((2, 4, 9, 17, 8), (3, 8, 4, 6, 6)):
        embedding, positions = CodebookEmbedding(K, rows, D), sinusoidal_positions(20, D)
        sequence, table = torch.randint(rows, (B, K, S)), embedding.tables.detach().flatten(0, 1)
        expect_close(
            answer(sequence, table, positions, 7), embedding(sequence) + positions[7 : 7 + S], f"K {K}, rows {rows}"
        )


def _embed_one_table(sequence, table, positions, first):
    return table[sequence].sum(1) + positions[first : first + sequence.shape[2]]


def _embed_without_special(sequence, table, positions, first):
    K = sequence.shape[1]
    index = sequence + torch.arange(K)[:, None] * (len(table) // K - 1)
    return table[index].sum(1) + positions[first : first + sequence.shape[2]]


def _embed_mean(sequence, table, positions, first):
    K = sequence.shape[1]
    index = sequence + torch.arange(K)[:, None] * (len(table) // K)
    return table[index].mean(1) + positions[first : first + sequence.shape[2]]


def _embed_from_zero(sequence, table, positions, first):
    return _embed(sequence, table, positions, 0)


def _embed_same_place(sequence, table, positions, first):
    return _embed(sequence, table, 0 * positions, 0) + positions[first]


def _embed_positions_each(sequence, table, positions, first):
    B, K, S = sequence.shape
    index = sequence + torch.arange(K)[:, None] * (len(table) // K)
    return (table[index] + positions[first : first + S]).sum(1)


def _embed_axis(sequence, table, positions, first):
    K = sequence.shape[1]
    index = sequence + torch.arange(K)[:, None] * (len(table) // K)
    return table[index].sum(2) + positions[first : first + K]


def _embed_interleaved(sequence, table, positions, first):
    K = sequence.shape[1]
    index = sequence * K + torch.arange(K)[:, None]
    return table[index].sum(1) + positions[first : first + sequence.shape[2]]


def _embed_loops(sequence, table, positions, first):
    B, K, S = sequence.shape
    tables, columns = table.view(K, -1, table.shape[1]), []
    for b in range(B):
        for s in range(S):
            columns.append(positions[first + s] + sum(tables[k, sequence[b, k, s]] for k in range(K)))
    return torch.stack(columns).view(B, S, -1)


def _embed_one_hot(sequence, table, positions, first):
    K = sequence.shape[1]
    tables = table.reshape(K, len(table) // K, -1)
    chosen = F.one_hot(sequence, tables.shape[1]).to(table.dtype)  # [B, K, S, rows]
    return torch.einsum("bksv,kvd->bsd", chosen, tables) + positions[first:][: sequence.shape[2]]


def _embed_examples(generator):
    found = []
    for B, K, S, rows, D, first in ((2, 4, 5, 6, 8, 3), (1, 3, 4, 5, 6, 0)):
        sequence = torch.randint(rows, (B, K, S), generator=generator)
        table = torch.randn(K * rows, D, generator=generator).requires_grad_()
        found.append((sequence, table, sinusoidal_positions(12, D), first))
    return found


embed_columns = Exercise(
    "embed_columns",
    reference=_embed,
    properties=(
        has_one_vector_for_each_column,
        a_column_is_the_sum_of_its_rows,
        a_position_is_added_once,
        positions_begin_at_first,
        embeds_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _embed_axis,
            "has_one_vector_for_each_column",
            "You add up the columns and keep the codebooks. After the look-up the shape is [B, K, S, D]: sum over K, "
            "dimension 1.",
        ),
        Wrong(
            _embed_one_table,
            "a_column_is_the_sum_of_its_rows",
            "All codebooks look into the first table. Codebook k's table begins at row k * rows: add that first.",
        ),
        Wrong(
            _embed_without_special,
            "a_column_is_the_sum_of_its_rows",
            "Your tables are one row too short: each has V codes and the special token, so the next one begins V + 1 "
            "rows further down.",
        ),
        Wrong(
            _embed_interleaved,
            "a_column_is_the_sum_of_its_rows",
            "You read the rows as if the tables were shuffled into each other (row token * K + k). They stand below "
            "each other: row k * rows + token.",
        ),
        Wrong(
            _embed_mean,
            "a_column_is_the_sum_of_its_rows",
            "You take the mean of the K rows. The model was trained with their sum.",
        ),
        Wrong(
            _embed_positions_each,
            "a_position_is_added_once",
            "You add the position to each of the K rows, so the sum holds it K times. Add it after the sum.",
        ),
        Wrong(
            _embed_same_place,
            "a_position_is_added_once",
            "All columns get the position of the first one. Take S rows: positions[first : first + S].",
        ),
        Wrong(
            _embed_from_zero,
            "positions_begin_at_first",
            "You begin at position 0 whatever `first` says. With a cache the model is given one column at a time, and "
            "would think that each is the first.",
        ),
    ),
    right=(_embed_loops, _embed_one_hot),
    examples=_embed_examples,
)


# ---- 2. move_positions: later ones without knowing where one is --------------------------------------------------


def _move(table: Tensor, distance: int) -> Tensor:
    half = table.shape[1] // 2
    turn = distance * torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))  # [half]
    cos, sin = table[:, :half], table[:, half:]
    return torch.cat([cos * turn.cos() - sin * turn.sin(), sin * turn.cos() + cos * turn.sin()], 1)


def moved_positions_keep_the_shape(answer):
    """The result has the shape of the table."""
    for S, D in ((5, 8), (1, 4), (9, 12)):
        expect_tensor(answer(sinusoidal_positions(S, D), 3), (S, D), torch.float32)


def a_distance_of_zero_changes_nothing(answer):
    """Moved by 0, a table is what it was."""
    table = sinusoidal_positions(9, 8)[2:]
    expect_close(answer(table, 0), table, "the table has changed")


def the_first_rows_move_ahead(answer):
    """The first two positions, moved by 1, are the second and the third."""
    table = sinusoidal_positions(3, 4)
    expect_close(answer(table[:2], 1), table[1:], "positions 0 and 1, moved by 1", 1e-4)


def any_rows_move_any_way(answer):
    """It works from everywhere, back as well as ahead, and two moves are one."""
    table = sinusoidal_positions(60, 16)
    expect_close(answer(table[20:30], -15), table[5:15], "positions 20 to 29, moved by -15", 1e-3)
    expect_close(answer(answer(table[3:7], 20), 9), answer(table[3:7], 29), "moved by 20 and by 9, or by 29", 1e-3)


def moves_as_the_library_would(answer):
    """On random sizes the result is the library's table from there on."""
    for S, D, start, distance in ((4, 64, 100, 37), (6, 10, 250, 31), (3, 192, 7, 200)):
        table = sinusoidal_positions(500, D)
        target = table[start + distance : start + distance + S]
        expect_close(
            answer(table[start : start + S], distance), target, f"D {D}, from {start}, moved by {distance}", 2e-3
        )


def _frequencies(half, divisor=None):
    return torch.exp(torch.arange(half) * -(math.log(10000) / (divisor or half - 1)))


def _move_roll(table, distance):
    return table.roll(-distance, 0)


def _move_add(table, distance):
    half = table.shape[1] // 2
    turn = distance * _frequencies(half)
    return table + torch.cat([turn.cos(), turn.sin()])


def _move_without_mixing(table, distance):
    turn = distance * _frequencies(table.shape[1] // 2)
    return table * torch.cat([turn.cos(), turn.sin()])


def _move_back(table, distance):
    return _move(table, -distance)


def _move_by_half(table, distance):
    half = table.shape[1] // 2
    turn = distance * _frequencies(half, half)
    cos, sin = table.split(half, 1)
    return torch.cat([cos * turn.cos() - sin * turn.sin(), sin * turn.cos() + cos * turn.sin()], 1)


def _move_in_turn(table, distance):
    turn = distance * _frequencies(table.shape[1] // 2)
    sin, cos = table[:, 0::2], table[:, 1::2]
    moved = sin * turn.cos() + cos * turn.sin(), cos * turn.cos() - sin * turn.sin()
    return torch.stack(moved, 2).flatten(1)


def _move_complex(table, distance):
    half = table.shape[1] // 2
    hands = torch.complex(table[:, :half], table[:, half:])
    moved = hands * torch.polar(torch.ones(half), distance * _frequencies(half))
    return torch.cat([moved.real, moved.imag], 1)


def _move_angles(table, distance):
    half = table.shape[1] // 2
    rows = []
    for row in table:
        numbers = [0.0] * (2 * half)
        for i in range(half):
            angle = math.atan2(row[half + i], row[i]) + distance * 10000 ** (-i / (half - 1))
            numbers[i], numbers[half + i] = math.cos(angle), math.sin(angle)
        rows.append(numbers)
    return torch.tensor(rows)


def _positions_picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.6, 2)
    for one, (name, table) in zip(axes, (("target", target), ("yours", yours)), strict=True):
        image = one.imshow(table.detach(), aspect="auto", cmap="cividis", vmin=-1, vmax=1, interpolation="nearest")
        one.set_title(name, fontsize=10)
        one.set_xlabel("dimension")
    figure.colorbar(image, ax=list(axes))
    return figures.figure_picture(figure, f"positions moved by {arguments[1]}: target and yours")


move_positions = Exercise(
    "move_positions",
    reference=_move,
    properties=(
        moved_positions_keep_the_shape,
        a_distance_of_zero_changes_nothing,
        the_first_rows_move_ahead,
        any_rows_move_any_way,
        moves_as_the_library_would,
    ),
    wrong=(
        Wrong(
            _move_add,
            "a_distance_of_zero_changes_nothing",
            "You add the position of the distance. cos(a + b) is not cos a + cos b: use cos a cos b - sin a sin b.",
        ),
        Wrong(
            _move_without_mixing,
            "a_distance_of_zero_changes_nothing",
            "You multiply cosines with cosines and sines with sines. A turn mixes the two halves: each new half needs "
            "both old ones.",
        ),
        Wrong(
            _move_roll,
            "the_first_rows_move_ahead",
            "You roll the rows, so those that leave at one end come back at the other. What comes after the last row "
            "is not in the table: compute it.",
        ),
        Wrong(
            _move_back,
            "the_first_rows_move_ahead",
            "You move the wrong way. It is cos(a + b) = cos a cos b - sin a sin b, and sin(a + b) has a plus. Taking "
            "the first half for the sines does the same harm: it holds the cosines, and position 0 begins with ones.",
        ),
        Wrong(
            _move_in_turn,
            "the_first_rows_move_ahead",
            "You take sine and cosine in turn, as Vaswani et al. do. Here the first half of a row is cosines and the "
            "second half sines.",
        ),
        Wrong(
            _move_by_half,
            "the_first_rows_move_ahead",
            "Your exponent divides by h = D / 2. The published table divides by h - 1, so that the last frequency is "
            "exactly 1 / 10000.",
        ),
    ),
    right=(_move_complex, _move_angles),
    examples=lambda generator: [(sinusoidal_positions(40, 8)[10:30], 7), (sinusoidal_positions(9, 6), -2)],
    picture=_positions_picture,
)


# ---- 3. attend: any mask, and rows that may see nothing ----------------------------------------------------------


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


# ---- 4. split_qkv: heads out of one matrix product ---------------------------------------------------------------


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


# ---- 5. continue_attention: a cache, and several columns at once -------------------------------------------------

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


# ---- 6. run_block: a layer of one's own, with reference weights --------------------------------------------------


class _Attention(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(dim, dim, bias=False))


class _Block(nn.Module):
    """A layer by the names of the published files."""

    def __init__(self, dim: int, heads: int, feed_forward: int):
        super().__init__()
        self.heads = heads
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.self_attn = _Attention(dim)
        self.encoder_attn_layer_norm = nn.LayerNorm(dim)
        self.encoder_attn = _Attention(dim)
        self.final_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, feed_forward, bias=False)
        self.fc2 = nn.Linear(feed_forward, dim, bias=False)

    def attention(self, matrices: _Attention, x: Tensor, states: Tensor, allowed: Tensor) -> Tensor:
        q = split_heads(matrices.q_proj(x), self.heads)
        k, v = (split_heads(one(states), self.heads) for one in (matrices.k_proj, matrices.v_proj))
        return matrices.out_proj(join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)))

    def look_back(self, x: Tensor) -> Tensor:
        S = x.shape[1]
        return self.attention(self.self_attn, x, x, torch.ones(S, S, dtype=torch.bool).tril())

    def look_at_text(self, x: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        return self.attention(self.encoder_attn, x, states, mask[:, None, None, :])

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))

    def forward(self, x: Tensor, states: Tensor | None, mask: Tensor | None) -> Tensor:
        x = x + self.look_back(self.self_attn_layer_norm(x))
        if states is not None:
            x = x + self.look_at_text(self.encoder_attn_layer_norm(x), states, mask)
        return x + self.feed_forward(self.final_layer_norm(x))


def _run_with(kind: type[_Block], weights: dict, heads: int, x: Tensor, states, mask) -> Tensor:
    block = kind(x.shape[-1], heads, len(weights["fc1.weight"]))
    block.load_state_dict(weights)
    return block(x, states, mask)


def _run(weights: dict[str, Tensor], heads: int, x: Tensor, states: Tensor | None, mask: Tensor | None) -> Tensor:
    return _run_with(_Block, weights, heads, x, states, mask)


def _some_weights(dim: int, heads: int, feed_forward: int) -> dict[str, Tensor]:
    """Random weights of a size that matters, norms included."""
    weights = _Block(dim, heads, feed_forward).state_dict()
    scale = {name: 0.4 if "norm" in name else 1.5 / dim**0.5 for name in weights}
    return {name: scale[name] * torch.randn_like(one) + ("norm.weight" in name) for name, one in weights.items()}


def _library_layer(weights: dict[str, Tensor], heads: int) -> Decoder:
    """A decoder of one layer with these weights and no final norm."""
    feed_forward, dim = weights["fc1.weight"].shape
    decoder = Decoder(dim, heads, 1, feed_forward, final_norm=False)
    own, cross = ([weights[f"{name}.{part}_proj.weight"] for part in ("q", "k", "v", "out")] for name in
                  ("self_attn", "encoder_attn"))  # fmt: skip
    state = {
        "self_attention.qkv.weight": torch.cat(own[:3]),
        "self_attention.out.weight": own[3],
        "cross_attention.q.weight": cross[0],
        "cross_attention.kv.weight": torch.cat(cross[1:3]),
        "cross_attention.out.weight": cross[3],
        "up.weight": weights["fc1.weight"],
        "down.weight": weights["fc2.weight"],
    }
    for ours, theirs in (("self", "self_attn_layer"), ("cross", "encoder_attn_layer"), ("feed_forward", "final_layer")):
        for part in ("weight", "bias"):
            state[f"{ours}_norm.{part}"] = weights[f"{theirs}_norm.{part}"]
    decoder.layers[0].load_state_dict(state)
    return decoder


def takes_the_weights_and_keeps_the_shape(answer):
    """It takes the reference weights by their names, and x keeps its shape, with a text and without."""
    for B, S, L, dim, heads in ((2, 5, 3, 12, 3), (1, 4, 2, 8, 2)):
        weights, x = _some_weights(dim, heads, 3 * dim), torch.randn(B, S, dim)
        states, mask = torch.randn(B, L, dim), torch.ones(B, L, dtype=torch.bool)
        expect_tensor(answer(weights, heads, x, states, mask), (B, S, dim), torch.float32)
        expect_tensor(answer(weights, heads, x, None, None), (B, S, dim), torch.float32, "without a text, the result")


def parts_that_say_nothing_change_nothing(answer):
    """If every part returns zeros (out_proj and fc2 are 0), x comes out as it went in: the residual path is free."""
    weights, x = _some_weights(12, 3, 24), torch.randn(2, 4, 12)
    weights = {name: 0 * one if "out_proj" in name or "fc2" in name else one for name, one in weights.items()}
    found = answer(weights, 3, x, torch.randn(2, 3, 12), torch.ones(2, 3, dtype=torch.bool))
    expect_close(found, x, "with silent parts, x has changed")


def nothing_looks_ahead(answer):
    """A change in a column changes no answer before it."""
    weights, x = _some_weights(12, 3, 24), torch.randn(1, 6, 12)
    changed = x.clone()
    changed[:, 4] = torch.randn(12)  # not a constant more, which the norm would take away again
    before, after = (answer(weights, 3, one, None, None) for one in (x, changed))
    expect_close(after[:, :4], before[:, :4], "columns 0 to 3 have changed with column 4")


def padding_is_not_heard(answer):
    """What stands in the padding of the text changes nothing, and what stands in its words does."""
    weights, x = _some_weights(12, 3, 24), torch.randn(2, 4, 12)
    states, mask = torch.randn(2, 5, 12), torch.arange(5) < torch.tensor([[5], [2]])
    noisy = torch.where(mask[..., None], states, states + 3)
    found = answer(weights, 3, x, states, mask)
    expect_close(answer(weights, 3, x, noisy, mask), found, "the padding is heard")
    expect((answer(weights, 3, x, states + 1, mask) - found).abs().max() > 1e-3, "the words are not heard")


def without_a_text_the_library_agrees(answer):
    """Without a text it equals the library's layer with the same weights."""
    weights, x = _some_weights(16, 4, 40), torch.randn(2, 6, 16)
    with torch.no_grad():
        target = _library_layer(weights, 4).layers[0](x)
    expect_close(answer(weights, 4, x, None, None), target, "self-attention and feed-forward", 1e-4)


def with_a_text_the_library_agrees(answer):
    """With a text it equals the library's layer, on random sizes."""
    for B, S, L, dim, heads in ((2, 6, 4, 16, 4), (3, 3, 7, 12, 2)):
        weights, x, states = _some_weights(dim, heads, 3 * dim), torch.randn(B, S, dim), torch.randn(B, L, dim)
        mask = torch.arange(L) < torch.randint(1, L + 1, (B, 1))
        decoder = _library_layer(weights, heads)
        with torch.no_grad():
            target = decoder(x, decoder.prepare(Condition(states, mask)))
        expect_close(answer(weights, heads, x, states, mask), target, f"B {B}, S {S}, L {L}", 1e-4)


class _PostNorm(_Block):
    def forward(self, x, states, mask):
        x = self.self_attn_layer_norm(x + self.look_back(x))
        if states is not None:
            x = self.encoder_attn_layer_norm(x + self.look_at_text(x, states, mask))
        return self.final_layer_norm(x + self.feed_forward(x))


class _NoLastResidual(_Block):
    def forward(self, x, states, mask):
        x = x + self.look_back(self.self_attn_layer_norm(x))
        if states is not None:
            x = x + self.look_at_text(self.encoder_attn_layer_norm(x), states, mask)
        return self.feed_forward(self.final_layer_norm(x))


class _NotCausal(_Block):
    def look_back(self, x):
        return self.attention(self.self_attn, x, x, torch.ones(x.shape[1], x.shape[1], dtype=torch.bool))


class _NoPaddingMask(_Block):
    def look_at_text(self, x, states, mask):
        return super().look_at_text(x, states, torch.ones_like(mask))


class _Relu(_Block):
    def feed_forward(self, x):
        return self.fc2(self.fc1(x).relu())


class _NoNorm(_Block):
    def forward(self, x, states, mask):
        x = x + self.look_back(x)
        if states is not None:
            x = x + self.look_at_text(x, states, mask)
        return x + self.feed_forward(x)


class _SideBySide(_Block):
    def forward(self, x, states, mask):
        result = x + self.look_back(self.self_attn_layer_norm(x)) + self.feed_forward(self.final_layer_norm(x))
        return result if states is None else result + self.look_at_text(self.encoder_attn_layer_norm(x), states, mask)


class _TextLast(_Block):
    def forward(self, x, states, mask):
        x = super().forward(x, None, None)
        return x if states is None else x + self.look_at_text(self.encoder_attn_layer_norm(x), states, mask)


def _block_post_norm(weights, heads, x, states, mask):
    return _run_with(_PostNorm, weights, heads, x, states, mask)


def _block_no_last_residual(weights, heads, x, states, mask):
    return _run_with(_NoLastResidual, weights, heads, x, states, mask)


def _block_not_causal(weights, heads, x, states, mask):
    return _run_with(_NotCausal, weights, heads, x, states, mask)


def _block_no_padding_mask(weights, heads, x, states, mask):
    return _run_with(_NoPaddingMask, weights, heads, x, states, mask)


def _block_relu(weights, heads, x, states, mask):
    return _run_with(_Relu, weights, heads, x, states, mask)


def _block_no_norm(weights, heads, x, states, mask):
    return _run_with(_NoNorm, weights, heads, x, states, mask)


def _block_side_by_side(weights, heads, x, states, mask):
    return _run_with(_SideBySide, weights, heads, x, states, mask)


def _block_text_last(weights, heads, x, states, mask):
    return _run_with(_TextLast, weights, heads, x, states, mask)


def _block_not_loaded(weights, heads, x, states, mask):
    return _Block(x.shape[-1], heads, len(weights["fc1.weight"]))(x, states, mask)


def _block_functions(weights, heads, x, states, mask):
    def normed(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}_layer_norm.weight"], weights[f"{name}_layer_norm.bias"])

    def asked(x, states, name, allowed):
        q, k, v = (
            (one @ weights[f"{name}.{part}_proj.weight"].T).unflatten(-1, (heads, -1))
            for one, part in ((x, "q"), (states, "k"), (states, "v"))
        )  # [B, S, H, d]
        scores = torch.einsum("bshd,blhd->bhsl", q, k) / q.shape[-1] ** 0.5
        heard = torch.einsum("bhsl,blhd->bshd", scores.masked_fill(~allowed, -torch.inf).softmax(-1), v)
        return heard.flatten(2) @ weights[f"{name}.out_proj.weight"].T

    inner = normed(x, "self_attn")
    x = x + asked(inner, inner, "self_attn", torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril())
    if states is not None:
        x = x + asked(normed(x, "encoder_attn"), states, "encoder_attn", mask[:, None, None])
    return x + F.gelu(normed(x, "final") @ weights["fc1.weight"].T) @ weights["fc2.weight"].T


def _block_library(weights, heads, x, states, mask):
    decoder = _library_layer(weights, heads)
    return decoder(x, decoder.prepare(None if states is None else Condition(states, mask)))


def _block_examples(generator):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        weights = _some_weights(12, 3, 24)
    x, states = (torch.randn(2, n, 12, generator=generator).requires_grad_() for n in (5, 4))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    return [(weights, 3, x, states, mask), (weights, 3, x, None, None)]


run_block = Exercise(
    "run_block",
    reference=_run,
    properties=(
        takes_the_weights_and_keeps_the_shape,
        parts_that_say_nothing_change_nothing,
        nothing_looks_ahead,
        padding_is_not_heard,
        without_a_text_the_library_agrees,
        with_a_text_the_library_agrees,
    ),
    wrong=(
        Wrong(
            _block_post_norm,
            "parts_that_say_nothing_change_nothing",
            "Your norms stand after the sums (post-norm), so they also change what only passes by. They belong inside: "
            "x + part(norm(x)).",
        ),
        Wrong(
            _block_no_last_residual,
            "parts_that_say_nothing_change_nothing",
            "The feed-forward part replaces x. It is added, like the other two.",
        ),
        Wrong(
            _block_not_causal,
            "nothing_looks_ahead",
            "Self-attention has no causal mask: a column must not see those after it.",
        ),
        Wrong(
            _block_no_padding_mask,
            "padding_is_not_heard",
            "Cross-attention looks at all states. Pass the mask of the words on, as [B, 1, 1, L].",
        ),
        Wrong(
            _block_relu,
            "without_a_text_the_library_agrees",
            "You use a ReLU, as the paper says. The published code and weights use GELU.",
        ),
        Wrong(
            _block_no_norm,
            "without_a_text_the_library_agrees",
            "The three norms are made and loaded, but never used.",
        ),
        Wrong(
            _block_side_by_side,
            "without_a_text_the_library_agrees",
            "All parts read the x that came in. Each reads the sum that the one before it has left.",
        ),
        Wrong(
            _block_not_loaded,
            "parts_that_say_nothing_change_nothing",
            "The weights were not loaded: your layer computes with those that it was made with.",
        ),
        Wrong(
            _block_text_last,
            "with_a_text_the_library_agrees",
            "You listen to the text after the feed-forward part. The order is self-attention, cross-attention, "
            "feed-forward.",
        ),
    ),
    right=(_block_functions, _block_library),
    examples=_block_examples,
)


EXERCISES = (embed_columns, move_positions, attend, split_qkv, continue_attention, run_block)

seal(__name__)
