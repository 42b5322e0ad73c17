"""Exercise 1, `delayed_table`: a table from delays."""

from __future__ import annotations

import numpy as np
import torch

from ...model.patterns import pattern_table
from .. import Exercise, expect_equal, expect_tensor, mistakes
from ._shared import STEREO, two_tables


def _delayed(delays, T):
    return torch.tensor(delays)[:, None] + torch.arange(T)  # [K, T]


def table_has_a_row_for_each_delay(answer):
    """The table is int64 [K, T]: one row for each delay, one column for each frame."""
    for delays, T in (([0, 1, 2], 5), ([0, 0, 1, 1], 2), ([3], 4), ([0, 9], 1)):
        expect_tensor(answer(list(delays), T), (len(delays), T), torch.int64, "the table")


def no_delay_is_parallel(answer):
    """Without delays frame t is written in step t, by all codebooks."""
    expect_equal(answer([0, 0, 0], 4), [[0, 1, 2, 3]] * 3, "delays [0, 0, 0]")


def row_begins_at_its_delay(answer):
    """Codebook k writes its first frame in step delays[k], whatever the other codebooks do."""
    for delays in ([0, 1, 1, 1], [2, 0, 5], STEREO, [1, 3], [4], [9, 0, 9], [0, 3, 1, 0, 2, 5, 4, 1, 0, 7]):
        for T in (3, 1):
            found = answer(list(delays), T)[:, 0]
            expect_equal(found, delays, f"delays {delays}, T = {T}: the steps of the first frames")


def one_frame_follows_the_other(answer):
    """Once a codebook has begun, it writes one frame in each step."""
    for delays in ([0, 2, 3], [8, 1]):
        found = answer(list(delays), 6).diff(dim=1)
        expect_equal(found, [[1] * 5] * len(delays), f"delays {delays}: steps from each frame to the next")


def delays_give_the_patterns_that_are_known(answer):
    """Delays 0, 1, 2, 3 are the delay pattern, 0, 1, 1, 1 partial delay; stereo's pairs share a delay."""
    for delays, name in (([0, 1, 2, 3], "delay"), ([0, 1, 1, 1], "partial delay"), ([0, 0, 0, 0], "parallel")):
        expect_equal(answer(delays, 7), pattern_table(name, 4, 7), f"delays {delays}, the {name} pattern")
    pairs = pattern_table("delay", 4, 5).repeat_interleave(2, 0)
    expect_equal(answer(list(STEREO), 5), pairs, f"delays {STEREO}, stereo's pairs")


def _loops(delays, T):
    return torch.tensor([[t + delay for t in range(T)] for delay in delays])


def _stacked(delays, T):
    return torch.stack([torch.arange(delay, delay + T) for delay in delays])


def _with_numpy(delays, T):
    return torch.from_numpy(np.add.outer(np.array(delays), np.arange(T)))


delayed_table = Exercise(
    "delayed_table",
    reference=_delayed,
    properties=(
        table_has_a_row_for_each_delay, no_delay_is_parallel, row_begins_at_its_delay, one_frame_follows_the_other,
        delays_give_the_patterns_that_are_known,
    ),
    wrong=mistakes(_delayed, {
        table_has_a_row_for_each_delay: [
            ("torch.tensor(delays)[:, None] + torch.arange(T)", "torch.tensor(delays) + torch.arange(T)[:, None]",
             "Your table is [T, K]: a row for each frame. Codebooks go down and frames go across."),
            ("torch.tensor(", "torch.Tensor(",
             "torch.Tensor(...) makes floats. Steps are used as indices, so they must be int64: torch.tensor(...)."),
            ("(T)", "(T + max(delays))", "Your rows are as long as the sequence. A table has one column for each "
             "frame: "
             "T."),
            ("torch.tensor(delays)[:, None] + torch.arange(T)",
             "torch.tensor([[t + delay for t in range(T)] for delay in delays], dtype=torch.int32)",
             "Your steps are int32. They are used as indices, and gather and scatter take int64 only."),
        ],
        no_delay_is_parallel: [
            ("torch.tensor(delays)", "torch.arange(len(delays))",
             "You delay codebook k by k, whatever `delays` says. Use delays[k]."),
            ("(T)", "(1, T + 1)", "Your steps count from 1. The start column is added when codes are laid out; the "
             "table's first step is 0."),
        ],
        row_begins_at_its_delay: [
            ("(delays)", "(delays).cumsum(0)",
             "You add the delays up. Each delay already counts from the start, not from the codebook above."),
            ("torch.tensor(delays)[:, None] + torch.arange(T)", "torch.arange(T) - torch.tensor(delays)[:, None]",
             "You subtract the delay. A codebook that waits writes its frames in later steps."),
            ("(delays)", "(sorted(delays))", "You sort the delays. Row k belongs to codebook k, early or late."),
            ("(delays)", "([one - min(delays) for one in delays])", "You take away the smallest delay. If all "
             "codebooks wait, the first steps write nothing: delays count from step 0."),
            ("(delays)", "(delays).clamp(max=T)",
             "You limit the delays by T. A codebook may wait for longer than the clip has frames."),
        ],
        one_frame_follows_the_other: [
            ("torch.arange(T)", "torch.arange(T) * (torch.tensor(delays)[:, None] + 1)",
             "Your delay grows from frame to frame. It is a shift: the same for all frames of a codebook."),
            ("torch.tensor(delays)[:, None] + torch.arange(T)", "torch.maximum(torch.tensor(delays)[:, None], "
             "torch.arange(T))", "You take the later one of delay and frame, so several frames share a step. Add "
             "them."),
        ],
    }),
    right=(_loops, _stacked, _with_numpy),
    examples=lambda generator: [([0, 1, 1, 3], 5), ([2, 0, 4], 3), ([3, 1], 2)],
    picture=lambda target, yours, arguments: two_tables(target, yours, "frame"),
)  # fmt: skip
