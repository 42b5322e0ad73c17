"""Exercise 1, `delayed_table`: a table from delays."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.patterns import pattern_table
from .. import Exercise, Wrong, expect, expect_tensor
from ._shared import STEREO, two_tables


def _delayed(delays: list[int], T: int) -> Tensor:
    return torch.tensor(delays)[:, None] + torch.arange(T)  # [K, T]


def table_has_a_row_for_each_delay(answer):
    """The table is int64 [K, T]: one row for each delay, one column for each frame."""
    for delays, T in (([0, 1, 2], 5), ([0, 0, 1, 1], 2), ([3], 4)):
        expect_tensor(answer(delays, T), (len(delays), T), torch.int64, "the table")


def no_delay_is_parallel(answer):
    """Without delays frame t is written in step t, by all codebooks."""
    step = answer([0, 0, 0], 4)
    expect(step.tolist() == [[0, 1, 2, 3]] * 3, f"delays [0, 0, 0]: each row is 0, 1, 2, 3, not {step.tolist()}")


def row_begins_at_its_delay(answer):
    """Codebook k writes its first frame in step delays[k]."""
    for delays in ([0, 1, 1, 1], [2, 0, 5], STEREO):
        begins = answer(delays, 3)[:, 0].tolist()
        expect(begins == delays, f"delays {delays}: the first frames come in steps {begins}")


def one_frame_follows_the_other(answer):
    """Once a codebook has begun, it writes one frame in each step."""
    step = answer([0, 2, 3], 6)
    expect((step.diff(dim=1) == 1).all(), f"delays [0, 2, 3]: a row goes on with {step.diff(dim=1).tolist()}")


def delays_give_the_patterns_that_are_known(answer):
    """Delays 0, 1, 2, 3 are the delay pattern, 0, 1, 1, 1 partial delay; stereo's pairs share a delay."""
    for delays, name in (([0, 1, 2, 3], "delay"), ([0, 1, 1, 1], "partial delay"), ([0, 0, 0, 0], "parallel")):
        expect(torch.equal(answer(delays, 7), pattern_table(name, 4, 7)), f"{delays} is not the {name} pattern")
    expect(torch.equal(answer(STEREO, 5), pattern_table("delay", 4, 5).repeat_interleave(2, 0)), "stereo's pairs")


def _delayed_transposed(delays, T):
    return _delayed(delays, T).T


def _delayed_float(delays, T):
    return torch.Tensor(delays)[:, None] + torch.arange(T)


def _delayed_by_index(delays, T):
    return torch.arange(len(delays))[:, None] + torch.arange(T)


def _delayed_from_one(delays, T):
    return _delayed(delays, T) + 1


def _delayed_cumulated(delays, T):
    return torch.tensor(delays).cumsum(0)[:, None] + torch.arange(T)


def _delayed_minus(delays, T):
    return torch.arange(T) - torch.tensor(delays)[:, None]


def _delayed_slower(delays, T):
    late = torch.tensor(delays)[:, None]
    return late + torch.arange(T) * (late + 1)


def _delayed_loops(delays, T):
    return torch.tensor([[t + delay for t in range(T)] for delay in delays])


def _delayed_stack(delays, T):
    return torch.stack([torch.arange(delay, delay + T) for delay in delays])


delayed_table = Exercise(
    "delayed_table",
    reference=_delayed,
    properties=(
        table_has_a_row_for_each_delay,
        no_delay_is_parallel,
        row_begins_at_its_delay,
        one_frame_follows_the_other,
        delays_give_the_patterns_that_are_known,
    ),
    wrong=(
        Wrong(
            _delayed_transposed,
            "table_has_a_row_for_each_delay",
            "Your table is [T, K]: a row for each frame. Codebooks go down and frames go across.",
        ),
        Wrong(
            _delayed_float,
            "table_has_a_row_for_each_delay",
            "torch.Tensor(...) makes floats. Steps are used as indices, so they must be int64: torch.tensor(...).",
        ),
        Wrong(
            _delayed_by_index,
            "no_delay_is_parallel",
            "You delay codebook k by k, whatever `delays` says. Use delays[k].",
        ),
        Wrong(
            _delayed_from_one,
            "no_delay_is_parallel",
            "Your steps count from 1. The start column is added when codes are laid out; the table's first step is 0.",
        ),
        Wrong(
            _delayed_cumulated,
            "row_begins_at_its_delay",
            "You add the delays up. Each delay already counts from the start, not from the codebook above.",
        ),
        Wrong(
            _delayed_minus,
            "row_begins_at_its_delay",
            "You subtract the delay. A codebook that waits writes its frames in later steps.",
        ),
        Wrong(
            _delayed_slower,
            "one_frame_follows_the_other",
            "Your delay grows from frame to frame. It is a shift: the same for all frames of a codebook.",
        ),
    ),
    right=(_delayed_loops, _delayed_stack),
    examples=lambda generator: [([0, 1, 1, 3], 5), ([2, 0, 4], 3)],
    picture=lambda target, yours, arguments: two_tables(target, yours, "frame"),
)
