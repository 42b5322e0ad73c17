"""Exercise 5, `may_see`: what each prediction may use."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.patterns import num_steps, pattern_table
from .. import Exercise, Wrong, expect, expect_tensor
from ._shared import patterns_and_sizes, two_tables


def _may_see(step: Tensor) -> Tensor:
    return step < step[:, :, None, None]  # [K, T, K, T]


def mask_has_two_codes_for_axes(answer):
    """The mask is bool [K, T, K, T]: who looks, and at whom."""
    for name, K, T in (("delay", 3, 5), ("parallel", 2, 1)):
        expect_tensor(answer(pattern_table(name, K, T)), (K, T, K, T), torch.bool, "the mask")


def nobody_sees_itself(answer):
    """No code may be used to predict itself."""
    for size in patterns_and_sizes():
        mask = answer(pattern_table(*size)).flatten(2).flatten(0, 1)  # [K * T, K * T]
        expect(not mask.diagonal().any(), f"{size}: a code sees itself")


def codes_of_a_step_do_not_see_each_other(answer):
    """Codes of the same step are written at once: none may use another."""
    for size in patterns_and_sizes():
        step = pattern_table(*size)
        together = step == step[:, :, None, None]
        expect(not (answer(step) & together).any(), f"{size}: a code uses another one of its own step")


def two_by_two_by_hand(answer):
    """Delay, K = T = 2: (1, 0) and (0, 1) see (0, 0), and (1, 1) sees the three others."""
    mask = answer(torch.tensor([[0, 1], [1, 2]]))
    for k, t, seen in ((0, 0, []), (1, 0, [[0, 0]]), (0, 1, [[0, 0]]), (1, 1, [[0, 0], [0, 1], [1, 0]])):
        found = mask[k, t].nonzero().tolist()
        expect(found == seen, f"({k}, {t}) may use {seen}, not {found}")


def masks_as_the_library_has_them(answer):
    """For every pattern, and for tables with gaps, the mask is that of the library."""
    for step in [pattern_table(*size) for size in patterns_and_sizes()] + [torch.tensor([[0, 2, 3], [5, 6, 9]])]:
        expect(torch.equal(answer(step), _may_see(step)), f"the table {step.tolist()}")


def _may_flat(step):
    return _may_see(step).flatten(2).flatten(0, 1)


def _may_number(step):
    return _may_see(step).float()


def _may_equal(step):
    return step <= step[:, :, None, None]


def _may_same_step(step):
    itself = torch.eye(step.numel(), dtype=torch.bool).view(*step.shape, *step.shape)
    return (step <= step[:, :, None, None]) & ~itself


def _may_future(step):
    return step > step[:, :, None, None]


def _may_frames(step):
    frame = torch.arange(step.shape[1]).expand_as(step)
    return frame < frame[:, :, None, None]


def _may_rows(step):
    row = torch.arange(len(step))[:, None].expand_as(step)
    return _may_see(step) & (row == row[:, :, None, None])


def _may_flattened_order(step):
    return _may_see(pattern_table("flattening", *step.shape))


def _may_loops(step):
    K, T = step.shape
    mask = torch.zeros(K, T, K, T, dtype=torch.bool)
    for k in range(K):
        for t in range(T):
            for a in range(K):
                for b in range(T):
                    mask[k, t, a, b] = bool(step[a, b] < step[k, t])
    return mask


def _may_einsum(step):
    written = torch.arange(num_steps(step)) >= step[..., None]  # [K, T, S]: there once step s is done
    before = torch.nn.functional.one_hot(step, num_steps(step) + 1)[..., 1:]  # [K, T, S]: the step just before
    return torch.einsum("kts,abs->ktab", before.float(), written.float()).bool()


may_see = Exercise(
    "may_see",
    reference=_may_see,
    properties=(
        mask_has_two_codes_for_axes,
        nobody_sees_itself,
        codes_of_a_step_do_not_see_each_other,
        two_by_two_by_hand,
        masks_as_the_library_has_them,
    ),
    wrong=(
        Wrong(
            _may_flat,
            "mask_has_two_codes_for_axes",
            "Your mask is [K * T, K * T]. Keep the four axes: mask[k, t] is then the picture of what (k, t) may use.",
        ),
        Wrong(
            _may_number,
            "mask_has_two_codes_for_axes",
            "Your mask holds numbers. A mask is bool, so that & and ~ work.",
        ),
        Wrong(
            _may_equal,
            "nobody_sees_itself",
            "You compare with <=. A code of the same step is not there yet, and least of all the code itself: <.",
        ),
        Wrong(
            _may_same_step,
            "codes_of_a_step_do_not_see_each_other",
            "You leave out the code itself, but not the others of its step. They are drawn at the same moment: "
            "none can wait for another.",
        ),
        Wrong(
            _may_flattened_order,
            "codes_of_a_step_do_not_see_each_other",
            "You order by frame and codebook, whatever the table says. That is flattening; compare the table's steps.",
        ),
        Wrong(
            _may_future,
            "two_by_two_by_hand",
            "The axes are swapped: your mask tells who may use (k, t). mask[k, t] is what (k, t) may use.",
        ),
        Wrong(
            _may_frames,
            "codes_of_a_step_do_not_see_each_other",
            "You compare frames. Steps count: under delay (1, 0) may use (0, 0), a code of its own frame.",
        ),
        Wrong(
            _may_rows,
            "two_by_two_by_hand",
            "You let a codebook look at its own row only. The model reads whole columns, so all codebooks count.",
        ),
    ),
    right=(_may_loops, _may_einsum),
    examples=lambda generator: [(pattern_table("delay", 3, 4),), (pattern_table("coarse-first", 3, 3),)],
    picture=lambda target, yours, arguments: two_tables(target[1, 1].int(), yours[1, 1].int(), "frame, seen by (1, 1)"),
)
