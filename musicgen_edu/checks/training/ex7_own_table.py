"""Exercise 7, `own_table`: a fifth pattern for four codebooks."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from ...model.patterns import interleave, num_steps, pattern_table, undo
from .. import Exercise, Wrong, expect, expect_tensor
from ._shared import random_codes, two_images

K = 4
LENGTHS = (3, 5, 12, 40)
# By name: the notebook adds the student's own to `PATTERNS`.
KNOWN = ("parallel", "delay", "flattening", "coarse-first", "partial delay", "partial flattening")


def _own(T: int) -> Tensor:
    """Two by two: codebooks 0 and 1 in the step of their frame, 2 and 3 one step later."""
    return torch.arange(T) + torch.tensor([0, 0, 1, 1])[:, None]


def table_is_four_rows_of_steps(answer):
    """The table is int64 [4, T], for every T: a row for each codebook, a column for each frame."""
    for T in LENGTHS:
        expect_tensor(answer(T), (K, T), torch.int64, f"T = {T}: the table")


def same_table_each_time(answer):
    """It is the same table each time: what is interleaved by it can be undone by it."""
    for T in LENGTHS:
        codes = random_codes(2, K, T, 50)
        tables = answer(T), answer(T)
        expect(torch.equal(*tables), f"T = {T}: two calls give two tables")
        if (tables[0] >= 0).all() and (tables[0].diff(dim=1) > 0).all():
            expect(torch.equal(undo(interleave(codes, tables[0], 50), tables[1]), codes), f"T = {T}: codes are lost")


def each_codebook_goes_forward(answer):
    """Each codebook writes one frame after the other: along a row the steps grow."""
    for T in LENGTHS:
        for k, row in enumerate(answer(T)):
            back = (row.diff() <= 0).nonzero().flatten().tolist()
            expect(not back, f"T = {T}, codebook {k}: after frame {(back or [0])[0]} the step does not grow: "
                   f"{row.tolist()[:8]}")  # fmt: skip


def begins_with_step_0(answer):
    """The first step is 0, no step is negative."""
    for T in LENGTHS:
        least = int(answer(T).min())
        expect(least == 0, f"T = {T}: the first step is {least}")


def no_step_is_idle(answer):
    """In each step at least one code is written: each costs a pass through the model."""
    for T in LENGTHS:
        step = answer(T)
        idle = sorted(set(range(num_steps(step))) - set(step.flatten().tolist()))
        expect(not idle, f"T = {T}: nothing is written in the steps {idle[:6]}, of {num_steps(step)}")


def is_no_pattern_of_the_library(answer):
    """It is none of the library's: not the four of the paper, and not the two partial ones."""
    lengths = LENGTHS[2:]  # in a clip of three frames different patterns have the same table
    for name in KNOWN:
        known = all(torch.equal(answer(T), pattern_table(name, K, T)) for T in lengths)
        expect(not known, f"for {' and '.join(map(str, lengths))} frames this is the pattern {name}")


def _own_transposed(T):
    return _own(T).T.contiguous()


def _own_floats(T):
    return torch.arange(T) + torch.tensor([0.0, 0.0, 1.0, 1.0])[:, None]


def _own_fixed_length(T):
    return _own(12)


def _own_random(T):
    return torch.arange(T) + torch.tensor([0, 0, 1, 1])[random.sample(range(K), K)][:, None]


def _own_backwards(T):
    return _own(T).flip(1)


def _own_two_frames_a_step(T):
    return torch.arange(T) // 2 + torch.arange(K)[:, None]


def _own_negative(T):
    return torch.arange(T) - torch.arange(K)[:, None]


def _own_from_one(T):
    return _own(T) + 1


def _own_with_gaps(T):
    return 2 * torch.arange(T) + 2 * (torch.arange(K)[:, None] // 2)


def _own_delay(T):
    return torch.arange(T) + torch.arange(K)[:, None]


def _own_partial(T):
    return 2 * torch.arange(T) + (torch.arange(K)[:, None] > 0)


def _own_partial_delay(T):
    return torch.arange(T) + torch.tensor([0, 1, 1, 1])[:, None]


def _own_coarse_first(T):
    return torch.arange(T) + T * torch.tensor([0, 1, 1, 1])[:, None]


def _own_head_start(T):
    return torch.arange(T) + torch.tensor([0, 3, 3, 3])[:, None]  # for T = 3 this is coarse-first


def _own_fine_first(T):
    return torch.tensor([[t + 3 - k for t in range(T)] for k in range(K)])


def _own_pairs_flat(T):
    k, t = torch.meshgrid(torch.arange(K), torch.arange(T), indexing="ij")
    return 2 * t + k // 2


own_table = Exercise(
    "own_table",
    reference=_own,
    properties=(
        table_is_four_rows_of_steps,
        same_table_each_time,
        each_codebook_goes_forward,
        begins_with_step_0,
        no_step_is_idle,
        is_no_pattern_of_the_library,
    ),
    wrong=(
        Wrong(
            _own_transposed,
            "table_is_four_rows_of_steps",
            "Your table is [T, 4]: a row for each frame. Codebooks go down and frames go across.",
        ),
        Wrong(
            _own_floats,
            "table_is_four_rows_of_steps",
            "Your steps are floats. They are used as indices, so they must be int64.",
        ),
        Wrong(
            _own_fixed_length,
            "table_is_four_rows_of_steps",
            "Your table has always the same number of frames. Clips have different lengths: use T.",
        ),
        Wrong(
            _own_random,
            "same_table_each_time",
            "You draw the table anew in each call. The model learns one order, and generation has to use the same.",
        ),
        Wrong(
            _own_backwards,
            "each_codebook_goes_forward",
            "You write the frames from the last to the first. The library's tables go forward in time, as sound does.",
        ),
        Wrong(
            _own_two_frames_a_step,
            "each_codebook_goes_forward",
            "A codebook writes two frames in one step. It has one head, which gives one code in a step.",
        ),
        Wrong(
            _own_negative,
            "begins_with_step_0",
            "You subtract the delay, so some steps are negative. A codebook that waits writes in later steps.",
        ),
        Wrong(
            _own_from_one,
            "begins_with_step_0",
            "Your steps count from 1. The start column is added by `interleave`; the first step of a table is 0.",
        ),
        Wrong(
            _own_with_gaps,
            "no_step_is_idle",
            "In some steps nothing is written, though the model is run for them. Close the gaps.",
        ),
        Wrong(
            _own_delay,
            "is_no_pattern_of_the_library",
            "This is the delay pattern. Find one of your own: which codes do you want to be known before which?",
        ),
        Wrong(
            _own_partial,
            "is_no_pattern_of_the_library",
            "This is partial flattening: codebook 0 first, then the frame's others together. Group them otherwise.",
        ),
        Wrong(
            _own_partial_delay,
            "is_no_pattern_of_the_library",
            "This is partial delay: codebooks 1 to 3 together, one step after codebook 0. Let others wait, or longer.",
        ),
        Wrong(
            _own_coarse_first,
            "is_no_pattern_of_the_library",
            "This is coarse-first: all frames of codebook 0, then the others together. Think of what lies between it "
            "and delay.",
        ),
    ),
    right=(_own_fine_first, _own_pairs_flat, _own_head_start),
    examples=lambda generator: [(5,), (8,), (12,)],
    picture=lambda target, yours, arguments: two_images(target, yours, "frame", "codebook"),
)
