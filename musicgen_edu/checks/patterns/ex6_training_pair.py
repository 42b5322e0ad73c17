"""Exercise 6, `training_pair`: inputs, targets and the loss mask."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...model.patterns import holds_code, interleave, num_steps, pattern_table
from .. import Exercise, expect, expect_equal, expect_tensor, mistakes
from ._shared import random_codes, tables, two_tables


def _pair(codes, step, special, columns):
    sequence = interleave(codes, step, special)  # [B, K, S + 1]
    mask = holds_code(step)[:, 1 : columns + 1]
    return sequence[:, :, :columns], sequence[:, :, 1 : columns + 1], mask


def _cuts() -> list[tuple[str, Tensor, Tensor, int, int]]:
    """What, codes, step, special, columns: cut after one column, after T, and not at all."""
    return [
        (f"{what}, special {special}, {columns} columns", random_codes(2, *step.shape), step, special, columns)
        for what, step in tables()
        for columns, special in {(1, 50), (step.shape[1], 77), (num_steps(step), 50)}
    ]


def pair_is_cut_to_its_columns(answer):
    """Inputs and targets are int64 [B, K, columns], the mask bool [K, columns]."""
    for what, codes, step, special, columns in _cuts():
        found = answer(codes, step, special, columns)
        three = isinstance(found, (tuple, list)) and len(found) == 3
        expect(three, f"expected inputs, targets and mask, not {type(found).__name__}")
        for name, one in zip(("inputs", "targets"), found, strict=False):
            expect_tensor(one, (*codes.shape[:2], columns), torch.int64, f"{what}: {name}")
        expect_tensor(found[2], (codes.shape[1], columns), torch.bool, f"{what}: the mask")


def first_input_is_the_start(answer):
    """The first column that is read holds special tokens only."""
    for what, codes, step, special, columns in _cuts():
        first = answer(codes, step, special, columns)[0][0, :, 0]
        expect_equal(first, [special] * len(step), f"{what}: the first input")


def target_is_the_next_column(answer):
    """What is to be predicted at a position is what is read at the next one."""
    for what, codes, step, special, columns in _cuts():
        inputs, targets, _ = answer(codes, step, special, columns)
        for row in range(2):
            told = f"{what}: targets of row {row}, those before the last, and the inputs one column on"
            expect_equal(targets[row, :, :-1], inputs[row, :, 1:], told)


def mask_marks_the_codes(answer):
    """The mask is true where the target is a code, and false where it is the special token."""
    for what, codes, step, special, columns in _cuts():
        _, targets, mask = answer(codes, step, special, columns)
        expect_equal(mask, targets[0] != special, f"{what}: the mask")


def delay_cut_after_t_columns_counts_5_4_3_2(answer):
    """Delay, five frames cut after five columns: the codebooks have 5, 4, 3 and 2 targets."""
    mask = answer(random_codes(1, 4, 5), pattern_table("delay", 4, 5), 50, 5)[2]
    expect_equal(mask.sum(1), [5, 4, 3, 2], "targets of the four codebooks")


def pairs_as_the_library_makes_them(answer):
    """Inputs, targets and mask are those of the library's sequence for every pattern, and for tables with gaps."""
    for what, codes, step, special, columns in _cuts():
        for name, yours, target in zip(
            ("inputs", "targets", "mask"),
            answer(codes, step, special, columns),
            _pair(codes, step, special, columns),
            strict=True,
        ):
            for row in range(len(target) if name == "mask" else 2):
                expect_equal(yours[row], target[row], f"{what}: the {name}, row {row}")


def _compare(codes, step, special, columns):
    sequence = interleave(codes, step, special)[:, :, : columns + 1]
    return [sequence[:, :, :-1], sequence[:, :, 1:], (sequence[0] != special)[:, 1:]]


def _loops(codes, step, special, columns):
    B, K, T = codes.shape
    inputs = torch.full((B, K, columns), special)
    targets, mask = inputs.clone(), torch.zeros(K, columns, dtype=torch.bool)
    for k in range(K):
        for t in range(T):
            s = int(step[k, t])
            if s < columns:
                targets[:, k, s], mask[k, s] = codes[:, k, t], True
            if s + 1 < columns:
                inputs[:, k, s + 1] = codes[:, k, t]
    return inputs, targets, mask


def _with_numpy(codes, step, special, columns):
    (B, K, _), places = codes.shape, step.numpy()
    sequence = np.full((B, K, places.max() + 2), special)
    sequence[:, np.arange(K)[:, None], places + 1] = codes.numpy()
    mask = (places[:, :, None] == np.arange(columns)).any(1)
    return tuple(map(torch.from_numpy, (sequence[:, :, :columns], sequence[:, :, 1 : columns + 1], mask)))


training_pair = Exercise(
    "training_pair",
    reference=_pair,
    properties=(
        pair_is_cut_to_its_columns, first_input_is_the_start, target_is_the_next_column, mask_marks_the_codes,
        delay_cut_after_t_columns_counts_5_4_3_2, pairs_as_the_library_makes_them,
    ),
    wrong=mistakes(_pair, {
        pair_is_cut_to_its_columns: [
            ("sequence = ", "columns = num_steps(step); sequence = ",
             "You keep all S columns. Cut after `columns`: what follows are columns in which the first codebooks have "
             "no code although the music goes on."),
            ("1 : columns + 1], mask", "1 : columns + 1], sequence[:, :, 1 : columns + 1] != special",
             "Your mask is [B, K, columns]. The pattern is the same for all rows: [K, columns]."),
            ("1 : columns + 1], mask", "1 : columns], mask", "Your targets are one column short. They end one column "
             "after the inputs: 1 to columns."),
            ("holds_code(step)[:, 1 : columns + 1]", "holds_code(step)[:, 1 : columns + 1].float()",
             "Your mask holds numbers. It chooses cells, targets[:, mask], so it must be bool."),
        ],
        first_input_is_the_start: [
            ("sequence[:, :, :columns], sequence[:, :, 1 : columns + 1],", "sequence[:, :, 1 : columns + 1], "
             "sequence[:, :, :columns],",
             "Inputs and targets are swapped: the model reads the start first and predicts the column after it."),
            ("step, special)", "step, int(codes.max()) + 1)", "You make up a special token, the largest code and one "
             "more. A clip need not hold the largest code: use `special`."),
        ],
        target_is_the_next_column: [
            ("    mask = holds_code(step)[:, 1 : columns + 1]\n    return sequence[:, :, :columns], "
             "sequence[:, :, 1 : columns + 1],", "    mask = holds_code(step)[:, :columns]\n    return "
             "sequence[:, :, :columns], sequence[:, :, :columns],",
             "The targets are the inputs: the model would only have to copy what it reads. Shift them by one column."),
            ("sequence[:, :, :columns],", "torch.nn.functional.pad(codes, (1, num_steps(step)), value=special)"
             "[:, :, :columns],",
             "The targets are delayed but the inputs are not: codes stand in the input before they are to be "
             "predicted. In training the loss falls to nothing; in generation those codes are not there."),
            ("sequence[:, :, 1 : columns + 1], mask", "sequence[:, :, 1 : columns + 1].masked_fill(~mask, -100), mask",
             "You write -100 over the targets that do not count. The mask says so already: leave the special token."),
        ],
        mask_marks_the_codes: [
            ("return sequence[:, :, :columns], sequence[:, :, 1 : columns + 1]", "return sequence[:, :, :columns], "
             "sequence[:, :, :columns].roll(-1, 2)", "You roll the inputs, so the last target is the start column. It "
             "is the next column of the sequence: cut from there."),
            ("holds_code(step)[:, 1 : columns + 1]", "torch.ones(len(step), columns, dtype=torch.bool)",
             "Every cell counts for the loss, those with the special token too. The heads have no logit for it."),
            ("[:, 1 : columns + 1]\n", "[:, :columns]\n",
             "Your mask belongs to the inputs. The loss looks at targets: shift it by one column, as they are."),
            ("mask = holds", "mask = ~holds",
             "Your mask is the other way round: true means that the target is a code and counts."),
            ("holds_code(step)[:, 1 : columns + 1]", "torch.arange(columns) >= step[:, :1]", "Your mask begins with a "
             "codebook's first code and never ends. Behind its last code, and in gaps, there is the special token."),
            ("holds_code(step)[:, 1 : columns + 1]",
             "holds_code(step)[:, 1 : columns + 1].all(0).expand(len(step), -1)",
             "You count whole columns only, those in which every codebook has a code. Each cell counts by itself."),
            ("holds_code(step)[:, 1 : columns + 1]", "(torch.arange(columns) >= step[:, :1]) & (torch.arange(columns) "
             "<= "
             "step[:, -1:])", "Your mask has no gaps. Between its first code and its last, a codebook may have steps "
             "in "
             "which it writes nothing, as in flattening."),
            ("holds_code(step)[:, 1 : columns + 1]", "sequence[0, :, 1 : columns + 1] > 0", "You take code 0 for an "
             "empty cell. It is a code like any other: ask the table, or compare with `special`."),
        ],
    }),
    right=(_compare, _loops, _with_numpy),
    examples=lambda generator: [
        (torch.randint(3, (2, *step.shape), generator=generator), step, 50, 5)
        for step in (pattern_table("delay", 4, 5), pattern_table("partial delay", 4, 5),
                     torch.tensor([[0, 2, 3], [4, 5, 9]]))
    ],
    picture=lambda target, yours, arguments: two_tables(target[1][0], yours[1][0], "column of the targets"),
)  # fmt: skip
