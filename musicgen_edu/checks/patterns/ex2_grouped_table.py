"""Exercise 2, `grouped_table`: a fifth pattern."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.patterns import check_table, num_steps, pattern_table
from .. import Exercise, Wrong, expect, expect_tensor
from ._shared import two_tables


def _grouped(groups: list[list[int]], T: int) -> Tensor:
    G, step = len(groups), torch.zeros(sum(map(len, groups)), T, dtype=torch.int64)
    for g, group in enumerate(groups):
        step[group] = torch.arange(T) * G + g
    return step  # [K, T]


def groups_fill_a_table(answer):
    """The table is int64 [K, T], K the number of codebooks in all groups."""
    for groups, T in (([[0], [1, 2], [3]], 4), ([[0, 1]], 3), ([[2], [0, 1]], 1)):
        expect_tensor(answer(groups, T), (sum(map(len, groups)), T), torch.int64, "the table")


def one_group_is_parallel(answer):
    """A single group is the parallel pattern: a frame in each step."""
    step = answer([[0, 1, 2]], 5)
    expect(torch.equal(step, pattern_table("parallel", 3, 5)), f"groups [[0, 1, 2]]: {step.tolist()}")


def groups_of_one_are_flattening(answer):
    """A group for each codebook is flattening: frame 0 complete, then frame 1."""
    step = answer([[0], [1], [2]], 4)
    expect(torch.equal(step, pattern_table("flattening", 3, 4)), f"groups [[0], [1], [2]]: {step.tolist()}")


def two_in_the_middle_by_hand(answer):
    """Groups 0 | 1 2 | 3: three steps a frame, the second one writes two codes."""
    step = answer([[0], [1, 2], [3]], 2).tolist()
    expect(step == [[0, 3], [1, 4], [1, 4], [2, 5]], f"groups [[0], [1, 2], [3]], two frames: {step}")


def order_of_groups_decides(answer):
    """A group that stands first is written first, whichever codebooks are in it."""
    step = answer([[1], [0, 2]], 2).tolist()
    expect(step == [[1, 3], [0, 2], [1, 3]], f"groups [[1], [0, 2]]: codebook 1 is first, but the table is {step}")


def groups_are_patterns_of_so_many_steps(answer):
    """Every grouping is a pattern of G * T steps."""
    for groups in ([[0], [1, 2, 3]], [[3, 1], [0], [2]], [[0, 1], [2, 3], [4, 5, 6]]):
        step = check_table(answer(groups, 6))
        expect(num_steps(step) == 6 * len(groups), f"{groups}: {num_steps(step)} steps for 6 frames")
        expect(torch.equal(step, _grouped(groups, 6)), f"{groups}: not the table of the library")


def _group_numbers(groups: list[list[int]]) -> Tensor:
    numbers = torch.zeros(sum(map(len, groups)), dtype=torch.int64)
    for g, group in enumerate(groups):
        numbers[group] = g
    return numbers[:, None]  # [K, 1]


def _grouped_transposed(groups, T):
    return _grouped(groups, T).T


def _grouped_row_a_group(groups, T):
    return torch.arange(T) * len(groups) + torch.arange(len(groups))[:, None]


def _grouped_by_codebook(groups, T):
    return torch.arange(T) * len(groups) + torch.arange(len(_group_numbers(groups)))[:, None]


def _grouped_k_steps(groups, T):
    return torch.arange(T) * len(_group_numbers(groups)) + _group_numbers(groups)


def _grouped_all_frames(groups, T):
    return _group_numbers(groups) * T + torch.arange(T)


def _grouped_delayed(groups, T):
    return _group_numbers(groups) + torch.arange(T)


def _grouped_backwards(groups, T):
    return torch.arange(T) * len(groups) + len(groups) - 1 - _group_numbers(groups)


def _grouped_as_listed(groups, T):
    numbers = torch.tensor([g for g, group in enumerate(groups) for _ in group])
    return torch.arange(T) * len(groups) + numbers[:, None]


def _grouped_broadcast(groups, T):
    return torch.arange(T) * len(groups) + _group_numbers(groups)


def _grouped_count(groups, T):
    step, s = torch.zeros(sum(map(len, groups)), T, dtype=torch.int64), 0
    for t in range(T):
        for group in groups:
            for k in group:
                step[k, t] = s
            s += 1
    return step


grouped_table = Exercise(
    "grouped_table",
    reference=_grouped,
    properties=(
        groups_fill_a_table,
        one_group_is_parallel,
        groups_of_one_are_flattening,
        two_in_the_middle_by_hand,
        order_of_groups_decides,
        groups_are_patterns_of_so_many_steps,
    ),
    wrong=(
        Wrong(
            _grouped_transposed,
            "groups_fill_a_table",
            "Your table is [T, K]. Codebooks go down and frames go across: [K, T].",
        ),
        Wrong(
            _grouped_row_a_group,
            "groups_fill_a_table",
            "Your table has a row for each group. It needs one for each codebook; those of a group are equal.",
        ),
        Wrong(
            _grouped_by_codebook,
            "one_group_is_parallel",
            "You add the number of the codebook. Add the number of its group: a group is written together.",
        ),
        Wrong(
            _grouped_k_steps,
            "one_group_is_parallel",
            "You give each frame K steps. It takes as many as there are groups.",
        ),
        Wrong(
            _grouped_all_frames,
            "groups_of_one_are_flattening",
            "You write a group for all frames before the next begins, as coarse-first does. Here a frame is completed "
            "before the next one begins.",
        ),
        Wrong(
            _grouped_delayed,
            "groups_of_one_are_flattening",
            "You delay the groups and give each frame one step, as delay does. A frame takes G steps here: t * G + g.",
        ),
        Wrong(
            _grouped_backwards,
            "groups_of_one_are_flattening",
            "You write the last group first.",
        ),
        Wrong(
            _grouped_as_listed,
            "order_of_groups_decides",
            "You fill the rows in the order in which the codebooks are listed. Row k belongs to codebook k.",
        ),
    ),
    right=(_grouped_broadcast, _grouped_count),
    examples=lambda generator: [([[1], [0, 3], [2]], 4), ([[0, 1], [2]], 3)],
    picture=lambda target, yours, arguments: two_tables(target, yours, "frame"),
)
