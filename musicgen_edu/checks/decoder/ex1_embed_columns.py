"""Exercise 1, `embed_columns`: one look-up for all tables."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ...model.embedding import CodebookEmbedding, sinusoidal_positions
from .. import Exercise, expect_close, expect_tensor, mistakes
from ._shared import expect_gradients


def _embed(sequence, table, positions, first):
    B, K, S = sequence.shape
    rows = len(table) // K
    index = sequence + torch.arange(K)[:, None] * rows  # [B, K, S]
    return table[index].sum(1) + positions[first : first + S]  # [B, S, D]


def has_one_vector_for_each_column(answer):
    """The result is one vector for each column: [B, S, D]."""
    for B, K, S, rows, D in ((2, 4, 5, 7, 6), (1, 3, 2, 4, 8), (3, 1, 1, 5, 4), (2, 3, 3, 4, 4)):
        sequence = torch.randint(rows, (B, K, S))
        expect_tensor(answer(sequence, torch.randn(K * rows, D), torch.randn(9, D), 2), (B, S, D), torch.float32)


TABLE = torch.tensor([[1.0], [2.0], [3.0], [10.0], [20.0], [30.0]]) * torch.tensor([1.0, -1.0])
# rows 0 to 2: codebook 0; 3 to 5: codebook 1


def a_column_is_the_sum_of_its_rows(answer):
    """On two codebooks of two entries and a special token: a column is the sum of two rows, each of its own table."""
    found = answer(torch.tensor([[[2, 0, 1], [2, 2, 0]]]), TABLE.clone(), torch.zeros(9, 2), 0)[0, :, 0]
    expect_close(found, torch.tensor([33.0, 31.0, 12.0]), "columns (2, 2), (0, 2), (1, 0) of tables 1 2 3 and 10 20 30")


def the_special_token_need_not_occur(answer):
    """How many rows a table has does not depend on the tokens of this sequence: a single column need not hold all."""
    for column, expected in (((0, 1), 21.0), ((1, 0), 12.0), ((0, 0), 11.0)):
        found = answer(torch.tensor(column).view(1, 2, 1), TABLE.clone(), torch.zeros(3, 2), 0)[0, 0, 0]
        expect_close(found, torch.tensor(expected), f"column {column} alone, of tables 1 2 3 and 10 20 30")


def a_position_is_added_once(answer):
    """With tables of zeros the result is the position of each column, once."""
    positions = torch.arange(8.0)[:, None].expand(8, 2)
    found = answer(torch.zeros(2, 4, 3, dtype=torch.int64), torch.zeros(12, 2), positions, 0)
    expect_close(found[1, :, 0], torch.tensor([0.0, 1.0, 2.0]), "the first three columns, positions 0, 1, 2")


def positions_begin_at_first(answer):
    """The first column has position `first`, the next one `first` + 1, and no later row is needed."""
    positions = torch.arange(8.0)[:, None].expand(8, 2)
    found = answer(torch.zeros(1, 4, 3, dtype=torch.int64), torch.zeros(12, 2), positions, 5)
    expect_close(found[0, :, 0], torch.tensor([5.0, 6.0, 7.0]), "three columns from place 5 on")


def the_table_can_be_trained(answer):
    """Gradients arrive at the rows of the table that were looked up."""
    sequence, weights = torch.randint(5, (2, 3, 4)), torch.randn(2, 4, 6)
    table, positions = torch.randn(15, 6).requires_grad_(), torch.randn(9, 6)
    yours, target = (one(sequence, table, positions, 1) * weights for one in (answer, _embed))
    expect_gradients(yours, target, {"the table": table}, 1e-5)


def embeds_as_the_library_does(answer):
    """On random sizes the result is that of the library."""
    for B, K, S, rows, D, first in (
        (2, 4, 9, 17, 8, 7), (3, 8, 4, 6, 6, 7), (2, 1, 5, 9, 4, 0), (1, 4, 1, 1025, 8, 0), (2, 2, 1, 5, 4, 19),
    ):  # fmt: skip
        embedding, positions = CodebookEmbedding(K, rows, D), sinusoidal_positions(20, D)
        sequence, table = torch.randint(rows, (B, K, S)), embedding.tables.detach().flatten(0, 1)
        found = answer(sequence, table, positions, first)
        expect_close(found, embedding(sequence) + positions[first : first + S], f"K {K}, rows {rows}, S {S}")


def _loops(sequence, table, positions, first):
    B, K, S = sequence.shape
    tables, columns = table.view(K, -1, table.shape[1]), []
    for b in range(B):
        for s in range(S):
            columns.append(positions[first + s] + sum(tables[k, sequence[b, k, s]] for k in range(K)))
    return torch.stack(columns).view(B, S, -1)


def _one_hot(sequence, table, positions, first):
    K = sequence.shape[1]
    tables = table.reshape(K, len(table) // K, -1)
    chosen = F.one_hot(sequence, tables.shape[1]).to(table.dtype)  # [B, K, S, rows]
    return torch.einsum("bksv,kvd->bsd", chosen, tables) + positions[first:][: sequence.shape[2]]


def _table_by_table(sequence, table, positions, first):
    places = torch.from_numpy(np.arange(first, first + sequence.shape[2]))
    found = F.embedding(places, positions).double()
    for tokens, one in zip(sequence.unbind(1), table.chunk(sequence.shape[1]), strict=True):
        found = found + F.embedding(tokens, one)  # [B, S, D]
    return found.float()


def _examples(generator):
    found = []
    for B, K, S, rows, D, first in ((2, 4, 5, 6, 8, 3), (1, 3, 4, 5, 6, 0), (2, 2, 1, 5, 4, 1)):
        sequence = torch.randint(rows, (B, K, S), generator=generator)
        table = torch.randn(K * rows, D, generator=generator).requires_grad_()
        found.append((sequence, table, sinusoidal_positions(12, D), first))
    return found


embed_columns = Exercise(
    "embed_columns",
    reference=_embed,
    properties=(
        has_one_vector_for_each_column, a_column_is_the_sum_of_its_rows, the_special_token_need_not_occur,
        a_position_is_added_once, positions_begin_at_first, the_table_can_be_trained, embeds_as_the_library_does,
    ),
    wrong=mistakes(_embed, {
        has_one_vector_for_each_column: [
            (".sum(1) + positions[first : first + S]", ".sum(2) + positions[first : first + K]",
             "You add up the columns and keep the codebooks. After the look-up the shape is [B, K, S, D]: sum over K, "
             "dimension 1."),
            (".sum(1)", "", "You return K vectors for each column. They are added up: sum over K, dimension 1."),
            ("K)[:, None]", "K)[:, None, None]", "Your row numbers have a dimension too many. The sequence is [B, K, "
             "S]: "
             "add a [K, 1], so that each codebook has its own."),
        ],
        a_column_is_the_sum_of_its_rows: [
            (" + torch.arange(K)[:, None] * rows", "",
             "All codebooks look into the first table. Codebook k's table begins at row k * rows: add that first."),
            ("len(table) // K", "len(table) // K - 1",
             "Your tables are one row too short: each has V codes and the special token, so the next one begins V + 1 "
             "rows further down."),
            ("sequence + torch.arange(K)[:, None] * rows", "sequence * K + torch.arange(K)[:, None]",
             "You read the rows as if the tables were shuffled into each other (row token * K + k). They stand below "
             "each other: row k * rows + token."),
            (".sum(1)", ".mean(1)", "You take the mean of the K rows. The model was trained with their sum."),
            ("table[index]", "(table[index] * (sequence < rows - 1)[..., None])", "You leave out the special token. "
             "Its row was trained like the others, and is added like them."),
            ("table[index]", "(table[index] * table.shape[1] ** 0.5)", "You multiply by the root of D, as Vaswani "
             "et al. do. The published model adds the rows as they are."),
            ("torch.arange(K)[:, None]", "torch.arange(K - 1, -1, -1)[:, None]", "You count the tables from below. "
             "That of codebook 0 comes first."),
        ],
        the_special_token_need_not_occur: [
            ("len(table) // K", "int(sequence.max()) + 1", "You count the rows of a table by the largest token that "
             "occurs. With a cache one column comes at a time, and may hold small ones only: len(table) // K."),
        ],
        a_position_is_added_once: [
            ("table[index].sum(1) + positions[first : first + S]",
             "(table[index] + positions[first : first + S]).sum(1)",
             "You add the position to each of the K rows, so the sum holds it K times. Add it after the sum."),
            ("[first : first + S]", "[first]",
             "All columns get the position of the first one. Take S rows: positions[first : first + S]."),
            (" + positions[first : first + S]", "", "The positions are missing: without them the model cannot tell in "
             "which order the columns stand."),
            ("[first : first + S]", "[first + 1 : first + S + 1]", "You are a place ahead: the first column has "
             "position `first` itself."),
        ],
        positions_begin_at_first: [
            ("[first : first + S]", "[:S]",
             "You begin at position 0 whatever `first` says. With a cache the model is given one column at a time, and "
             "would think that each is the first."),
            ("[first : first + S]", "[first : first + S].roll(first, 0)", "You turn the positions round by `first`. "
             "They go on in order: positions[first : first + S]."),
        ],
        the_table_can_be_trained: [
            ("table[index]", "table.detach()[index]", "You cut the table off from its gradient (detach, .data, .numpy "
             "or a new tensor), so it can never be trained. Look up in the table itself."),
        ],
        embeds_as_the_library_does: [
            ("[first : first + S]", "[first : first + S] * (first > 0 or S > 1)", "You leave out the position of the "
             "very "
             "first column. Place 0 has a row like any other: its cosines are 1."),
        ],
    }),
    right=(_loops, _one_hot, _table_by_table),
    examples=_examples,
)  # fmt: skip
