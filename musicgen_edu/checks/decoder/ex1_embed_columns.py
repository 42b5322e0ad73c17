"""Exercise 1, `embed_columns`: one look-up for all tables."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.embedding import CodebookEmbedding, sinusoidal_positions
from .. import Exercise, Wrong, expect_close, expect_tensor


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
