"""Exercise 6, `training_pair`: inputs, targets and the loss mask."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.patterns import holds_code, interleave, num_steps, pattern_table
from .. import Exercise, Wrong, expect, expect_tensor
from ._shared import patterns_and_sizes, random_codes, two_tables


def _pair(codes: Tensor, step: Tensor, special: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    sequence = interleave(codes, step, special)  # [B, K, S + 1]
    return sequence[:, :, :columns], sequence[:, :, 1 : columns + 1], holds_code(step)[:, 1 : columns + 1]


def _cuts() -> list[tuple[str, Tensor, Tensor, int]]:
    return [
        (f"{name}, K = {K}, T = {T}, {columns} columns", random_codes(2, K, T), pattern_table(name, K, T), columns)
        for name, K, T in patterns_and_sizes()
        for columns in {T, num_steps(pattern_table(name, K, T))}
    ]


def pair_is_cut_to_its_columns(answer):
    """Inputs and targets are int64 [B, K, columns], the mask bool [K, columns]."""
    for what, codes, step, columns in _cuts():
        inputs, targets, mask = answer(codes, step, 50, columns)
        for name, one in (("inputs", inputs), ("targets", targets)):
            expect_tensor(one, (*codes.shape[:2], columns), torch.int64, f"{what}: {name}")
        expect_tensor(mask, (codes.shape[1], columns), torch.bool, f"{what}: the mask")


def first_input_is_the_start(answer):
    """The first column that is read holds special tokens only."""
    for what, codes, step, columns in _cuts():
        first = answer(codes, step, 50, columns)[0][:, :, 0]
        expect((first == 50).all(), f"{what}: the first input is {first[0].tolist()}, not the start")


def target_is_the_next_column(answer):
    """What is to be predicted at a position is what is read at the next one."""
    for what, codes, step, columns in _cuts():
        inputs, targets, _ = answer(codes, step, 50, columns)
        expect(torch.equal(targets[:, :, :-1], inputs[:, :, 1:]), f"{what}: the targets are not the next inputs")


def mask_marks_the_codes(answer):
    """The mask is true where the target is a code, and false where it is the special token."""
    for what, codes, step, columns in _cuts():
        _, targets, mask = answer(codes, step, 50, columns)
        expect((targets[:, ~mask] == 50).all(), f"{what}: a code is left out of the loss")
        expect((targets[:, mask] < 50).all(), f"{what}: the special token is a target; the model never has to draw it")


def delay_cut_after_t_columns_counts_5_4_3_2(answer):
    """Delay, five frames cut after five columns: the codebooks have 5, 4, 3 and 2 targets."""
    mask = answer(random_codes(1, 4, 5), pattern_table("delay", 4, 5), 50, 5)[2]
    expect(mask.sum(1).tolist() == [5, 4, 3, 2], f"the codebooks have {mask.sum(1).tolist()} targets")


def pairs_as_the_library_makes_them(answer):
    """Inputs, targets and mask are those of the library for every pattern."""
    for what, codes, step, columns in _cuts():
        for name, yours, target in zip(
            ("inputs", "targets", "masks"),
            answer(codes, step, 50, columns),
            _pair(codes, step, 50, columns),
            strict=True,
        ):
            expect(torch.equal(yours, target), f"{what}: the {name} differ")


def _pair_not_cut(codes, step, special, columns):
    return _pair(codes, step, special, num_steps(step))


def _pair_mask_per_row(codes, step, special, columns):
    inputs, targets, _ = _pair(codes, step, special, columns)
    return inputs, targets, targets != special


def _pair_swapped(codes, step, special, columns):
    inputs, targets, mask = _pair(codes, step, special, columns)
    return targets, inputs, mask


def _pair_no_shift(codes, step, special, columns):
    inputs, _, _ = _pair(codes, step, special, columns)
    return inputs, inputs, holds_code(step)[:, :columns]


def _pair_input_not_delayed(codes, step, special, columns):
    _, targets, mask = _pair(codes, step, special, columns)
    plain = torch.nn.functional.pad(codes, (1, num_steps(step)), value=special)  # as if step[k, t] were t
    return plain[:, :, :columns], targets, mask


def _pair_all_count(codes, step, special, columns):
    inputs, targets, mask = _pair(codes, step, special, columns)
    return inputs, targets, torch.ones_like(mask)


def _pair_mask_of_inputs(codes, step, special, columns):
    inputs, targets, _ = _pair(codes, step, special, columns)
    return inputs, targets, holds_code(step)[:, :columns]


def _pair_mask_inverted(codes, step, special, columns):
    inputs, targets, mask = _pair(codes, step, special, columns)
    return inputs, targets, ~mask


def _pair_compare(codes, step, special, columns):
    sequence = interleave(codes, step, special)[:, :, : columns + 1]
    return sequence[:, :, :-1], sequence[:, :, 1:], (sequence[0] != special)[:, 1:]


def _pair_loops(codes, step, special, columns):
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


training_pair = Exercise(
    "training_pair",
    reference=_pair,
    properties=(
        pair_is_cut_to_its_columns,
        first_input_is_the_start,
        target_is_the_next_column,
        mask_marks_the_codes,
        delay_cut_after_t_columns_counts_5_4_3_2,
        pairs_as_the_library_makes_them,
    ),
    wrong=(
        Wrong(
            _pair_not_cut,
            "pair_is_cut_to_its_columns",
            "You keep all S columns. Cut after `columns`: what follows are columns in which the first codebooks have "
            "no code although the music goes on.",
        ),
        Wrong(
            _pair_mask_per_row,
            "pair_is_cut_to_its_columns",
            "Your mask is [B, K, columns]. The pattern is the same for all rows: [K, columns].",
        ),
        Wrong(
            _pair_swapped,
            "first_input_is_the_start",
            "Inputs and targets are swapped: the model reads the start first and predicts the column after it.",
        ),
        Wrong(
            _pair_no_shift,
            "target_is_the_next_column",
            "The targets are the inputs: the model would only have to copy what it reads. Shift them by one column.",
        ),
        Wrong(
            _pair_input_not_delayed,
            "target_is_the_next_column",
            "The targets are delayed but the inputs are not: codes stand in the input before they are to be "
            "predicted. In training the loss falls to nothing; in generation those codes are not there.",
        ),
        Wrong(
            _pair_all_count,
            "mask_marks_the_codes",
            "Every cell counts for the loss, those with the special token too. The heads have no logit for it.",
        ),
        Wrong(
            _pair_mask_of_inputs,
            "mask_marks_the_codes",
            "Your mask belongs to the inputs. The loss looks at targets: shift it by one column, as they are.",
        ),
        Wrong(
            _pair_mask_inverted,
            "mask_marks_the_codes",
            "Your mask is the other way round: true means that the target is a code and counts.",
        ),
    ),
    right=(_pair_compare, _pair_loops),
    examples=lambda generator: [
        (torch.randint(50, (2, 4, 5), generator=generator), pattern_table(name, 4, 5), 50, 5)
        for name in ("delay", "partial delay")
    ],
    picture=lambda target, yours, arguments: two_tables(target[1][0], yours[1][0], "column of the targets"),
)
