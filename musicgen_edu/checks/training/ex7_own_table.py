"""Exercise 7, `own_table`: a fifth pattern for four codebooks."""

from __future__ import annotations

import random  # noqa: F401  a mistake uses it

import torch

from ...model.patterns import interleave, num_steps, pattern_table, undo
from .. import Exercise, expect, expect_equal, expect_tensor, mistakes
from ._shared import random_codes, two_images

K = 4
LENGTHS = (*range(3, 18), 40, 201)
# By name: the notebook adds the student's own to `PATTERNS`.
KNOWN = ("parallel", "delay", "flattening", "coarse-first", "partial delay", "partial flattening")


def _own(T):
    # Two by two: codebooks 0 and 1 in the step of their frame, 2 and 3 one step later.
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
        expect_equal(tables[1].flatten(), tables[0].flatten(), f"T = {T}: the table of a second call")
        if (tables[0] >= 0).all() and (tables[0].diff(dim=1) > 0).all():
            lost = int((undo(interleave(codes, tables[0], 50), tables[1]) != codes).sum())
            expect_equal(lost, 0, f"T = {T}: how many codes are lost")


def each_codebook_goes_forward(answer):
    """Each codebook writes one frame after the other: along a row the steps grow."""
    for T in LENGTHS:
        for k, row in enumerate(answer(T)):
            back = (row.diff() <= 0).nonzero().flatten().tolist()
            t = (back or [0])[0]
            expect(not back, f"T = {T}, codebook {k}: after step {int(row[t])} for frame {t} a larger one is expected, "
                   f"not {int(row[t + 1])}")  # fmt: skip


def begins_with_step_0(answer):
    """The first step is 0, no step is negative."""
    for T in LENGTHS:
        expect_equal(int(answer(T).min()), 0, f"T = {T}: the first step")


def no_step_is_idle(answer):
    """In each step at least one code is written: each costs a pass through the model."""
    for T in LENGTHS:
        step = answer(T)
        idle = sorted(set(range(num_steps(step))) - set(step.flatten().tolist()))
        expect(not idle, f"T = {T}, {num_steps(step)} steps: a code is expected in each, not nothing in {idle[:6]}")


def is_no_pattern_of_the_library(answer):
    """It is none of the library's: not the four of the paper, and not the two partial ones."""
    for T in LENGTHS[-2:]:  # in a clip of three frames different patterns have the same table
        table = answer(T)
        for name in KNOWN:
            known = torch.equal(table, pattern_table(name, K, T))
            expect(not known, f"T = {T}: a table of your own is expected, not that of the pattern {name}")


def _own_head_start(T):
    return torch.arange(T) + torch.tensor([0, 3, 3, 3])[:, None]  # for T = 3 this is coarse-first


def _own_fine_first(T):
    return torch.tensor([[t + 3 - k for t in range(T)] for k in range(K)])


def _own_pairs_flat(T):
    k, t = torch.meshgrid(torch.arange(K), torch.arange(T), indexing="ij")
    return 2 * t + k // 2


TABLE = "torch.arange(T) + torch.tensor([0, 0, 1, 1])[:, None]"
FOUR = "torch.arange(K)[:, None]"

own_table = Exercise(
    "own_table",
    reference=_own,
    properties=(
        table_is_four_rows_of_steps, same_table_each_time, each_codebook_goes_forward, begins_with_step_0,
        no_step_is_idle, is_no_pattern_of_the_library,
    ),
    wrong=mistakes(_own, {
        table_is_four_rows_of_steps: [
            ("[:, None]", "[:, None]).T.contiguous()", "return ", "return (",
             "Your table is [T, 4]: a row for each frame. Codebooks go down and frames go across."),
            ("[0, 0, 1, 1]", "[0.0, 0.0, 1.0, 1.0]",
             "Your steps are floats. They are used as indices, so they must be int64."),
            ("arange(T)", "arange(12)",
             "Your table has always the same number of frames. Clips have different lengths: use T."),
            ("arange(T)", "arange(T // 2 * 2)", "Your table has an even number of frames, also where T is odd."),
            (TABLE, "[[t + k // 2 for t in range(T)] for k in range(K)]", "You return a list of lists. The library "
             "indexes with the table: torch.tensor(...) makes one of it."),
        ],
        same_table_each_time: [
            ("[:, None]", "[random.sample(range(K), K)][:, None]", "You draw the table anew in each call. The model "
             "learns one order, and generation has to use the same."),
        ],
        each_codebook_goes_forward: [
            ("[:, None]", "[:, None]).flip(1)", "return ", "return (", "You write the frames from the last to the "
             "first. The library's tables go forward in time, as sound does."),
            (TABLE, "torch.arange(T) // 2 + " + FOUR,
             "A codebook writes two frames in one step. It has one head, which gives one code in a step."),
            ("arange(T)", "arange(T).clamp(max=15)", "From some frame on your steps no longer grow. Clips may be of "
             "any length."),
        ],
        begins_with_step_0: [
            (TABLE, "torch.arange(T) - " + FOUR, "You subtract the delay, so some steps are negative. A codebook that "
             "waits writes in later steps."),
            ("[0, 0, 1, 1]", "[1, 1, 2, 2]", "Your steps count from 1. The start column is added by `interleave`; the "
             "first step of a table is 0."),
        ],
        no_step_is_idle: [
            (TABLE, "2 * torch.arange(T) + 2 * (torch.arange(K)[:, None] // 2)",
             "In some steps nothing is written, though the model is run for them. Close the gaps."),
            ("[0, 0, 1, 1]", "[0, 0, 4, 4]", "Codebooks that wait four steps leave one idle in a clip of three frames. "
             "T may be 3: wait no longer than that, or make it hang on T."),
        ],
        is_no_pattern_of_the_library: [
            (TABLE, "torch.arange(T) + " + FOUR, "This is the delay pattern. Find one of your own: which codes do you "
             "want to be known before which?"),
            (TABLE, "2 * torch.arange(T) + (torch.arange(K)[:, None] > 0)", "This is partial flattening: codebook 0 "
             "first, then the frame's others together. Group them otherwise."),
            ("[0, 0, 1, 1]", "[0, 1, 1, 1]", "This is partial delay: codebooks 1 to 3 together, one step after "
             "codebook 0. Let others wait, or longer."),
            ("[0, 0, 1, 1]", "[0, T, T, T]", "This is coarse-first: all frames of codebook 0, then the others "
             "together. Think of what lies between it and delay."),
            ("[0, 0, 1, 1]", "[0, 0, 0, 0]", "This is the parallel pattern: all codebooks of a frame in one step. Let "
             "some of them wait."),
            (TABLE, "K * torch.arange(T) + " + FOUR, "This is flattening: one code in each step. It costs four steps a "
             "frame; find something cheaper."),
        ],
    }),
    right=(_own_fine_first, _own_pairs_flat, _own_head_start),
    examples=lambda generator: [(5,), (8,), (12,), (20,)],
    picture=lambda target, yours, arguments: two_images(target, yours, "frame", "codebook"),
)  # fmt: skip
