"""Exercise 2, `grouped_table`: a fifth pattern."""

from __future__ import annotations

import numpy as np
import torch

from ...model.patterns import check_table, num_steps, pattern_table
from .. import Exercise, expect_equal, expect_tensor, mistakes
from ._shared import two_tables


def _grouped(groups, T):
    step = torch.zeros(sum(map(len, groups)), T, dtype=torch.int64)
    for g, group in enumerate(groups):
        step[group] = torch.arange(T) * len(groups) + g
    return step


def groups_fill_a_table(answer):
    """The table is int64 [K, T], K the number of codebooks in all groups."""
    for groups, T in (([[0], [1, 2], [3]], 4), ([[0, 1]], 3), ([[2], [0, 1]], 1), ([[0]], 2)):
        expect_tensor(answer(groups, T), (sum(map(len, groups)), T), torch.int64, "the table")


def one_group_is_parallel(answer):
    """A single group is the parallel pattern: a frame in each step."""
    expect_equal(answer([[0, 1, 2]], 5), pattern_table("parallel", 3, 5), "groups [[0, 1, 2]]")


def groups_of_one_are_flattening(answer):
    """A group for each codebook is flattening: frame 0 complete, then frame 1."""
    expect_equal(answer([[0], [1], [2]], 4), pattern_table("flattening", 3, 4), "groups [[0], [1], [2]]")


def two_in_the_middle_by_hand(answer):
    """Groups 0 | 1 2 | 3: three steps a frame, the second one writes two codes."""
    expect_equal(answer([[0], [1, 2], [3]], 2), [[0, 3], [1, 4], [1, 4], [2, 5]], "groups [[0], [1, 2], [3]]")


def order_of_groups_decides(answer):
    """A group that stands first is written first, whichever codebooks are in it."""
    expect_equal(answer([[1], [0, 2]], 2), [[1, 3], [0, 2], [1, 3]], "groups [[1], [0, 2]]")


def each_step_writes_its_group(answer):
    """Every grouping is a pattern of G * T steps, and step t * G + g writes frame t of group g, and nothing else."""
    for groups in (
        [[0], [1, 2, 3]], [[3, 1], [0], [2]], [[0, 1], [2, 3], [4, 5, 6]], [[5, 0, 4], [2, 3, 1]],
        [[8], [0, 4], [2], [7, 1, 3], [5], [6]],
    ):  # fmt: skip
        for T in (6, 1):
            step = check_table(answer([list(group) for group in groups], T))
            expect_equal(num_steps(step), T * len(groups), f"{groups}: steps for {T} frames")
            for s in range(num_steps(step)):
                written = [(k, s // len(groups)) for k in sorted(groups[s % len(groups)])]
                expect_equal((step == s).nonzero(), written, f"{groups}, T = {T}: codes (k, t) written in step {s}")
    found = answer([[0], [1, 2, 3]], 5)
    expect_equal(found, pattern_table("partial flattening", 4, 5), "groups [[0], [1, 2, 3]], partial flattening")


def _as_listed(groups, T):
    numbers = torch.tensor([g for g, group in enumerate(groups) for _ in group])
    return torch.arange(T) * len(groups) + numbers[:, None]


def _broadcast(groups, T):
    number = {k: g for g, group in enumerate(groups) for k in group}
    return torch.tensor([[t * len(groups) + number[k] for t in range(T)] for k in sorted(number)])


def _counting(groups, T):
    step, s = torch.zeros(sum(map(len, groups)), T, dtype=torch.int64), 0
    for t in range(T):
        for group in groups:
            for k in group:
                step[k, t] = s
            s += 1
    return step


def _with_numpy(groups, T):
    listed = np.concatenate(groups)
    numbers = np.repeat(np.arange(len(groups)), [len(group) for group in groups])[np.argsort(listed)]
    return torch.as_tensor(numbers[:, None] + len(groups) * np.arange(T)[None])


grouped_table = Exercise(
    "grouped_table",
    reference=_grouped,
    properties=(
        groups_fill_a_table, one_group_is_parallel, groups_of_one_are_flattening, two_in_the_middle_by_hand,
        order_of_groups_decides, each_step_writes_its_group,
    ),
    wrong=mistakes(_grouped, {
        groups_fill_a_table: [
            ("return step", "return step.T", "Your table is [T, K]. Codebooks go down and frames go across: [K, T]."),
            ("sum(map(len, groups))", "len(groups)", "step[group]", "step[g]",
             "Your table has a row for each group. It needs one for each codebook; those of a group are equal."),
            (", dtype=torch.int64", "", "torch.zeros makes floats. Steps are used as indices: dtype=torch.int64."),
        ],
        one_group_is_parallel: [
            ("+ g", "+ torch.tensor(group)[:, None]",
             "You add the number of the codebook. Add the number of its group: a group is written together."),
            ("* len(groups)", "* len(step)", "You give each frame K steps. It takes as many as there are groups."),
            ("* len(groups)", "* max(map(len, groups))", "You give each frame as many steps as the largest group has "
             "codebooks. Those are written together: a frame takes as many steps as there are groups."),
            ("+ g", "+ g + 1", "Your steps count from 1. The start column is added when codes are laid out; the "
             "table's "
             "first step is 0."),
            ("torch.arange(T) * len(groups) + g", "torch.arange(T) * len(step) + torch.arange(len(group))[:, None] + "
             "sum(map(len, groups[:g]))", "You write the codebooks of a group one after the other. That is flattening "
             "in another order; a group is written in one step."),
        ],
        groups_of_one_are_flattening: [
            ("torch.arange(T) * len(groups) + g", "torch.arange(T) + g * T",
             "You write a group for all frames before the next begins, as coarse-first does. Here a frame is completed "
             "before the next one begins."),
            ("* len(groups)", "", "You delay the groups and give each frame one step, as delay does. A frame takes G "
             "steps here: t * G + g."),
            ("+ g", "+ len(groups) - 1 - g", "You write the last group first."),
        ],
        order_of_groups_decides: [
            (_as_listed, "You fill the rows in the order in which the codebooks are listed. Row k belongs to codebook "
             "k."),
            ("enumerate(groups)", "enumerate(sorted(groups))", "You sort the groups. The order in which they stand is "
             "the order in which they are written."),
            ("step[group] =", "step[min(group) : max(group) + 1] =", "You fill all rows from a group's first codebook "
             "to its last. A group need not hold neighbours: fill the rows that it lists."),
        ],
    }),
    right=(_broadcast, _counting, _with_numpy),
    examples=lambda generator: [([[1], [0, 3], [2]], 4), ([[0, 1], [2]], 3), ([[2, 0], [1]], 2)],
    picture=lambda target, yours, arguments: two_tables(target, yours, "frame"),
)  # fmt: skip
