"""Exercise 5, `may_see`: what each prediction may use."""

from __future__ import annotations

import numpy as np
import torch

from ...model.patterns import known_codes, num_steps, pattern_table
from .. import Exercise, expect, expect_equal, expect_tensor, mistakes
from ._shared import tables, two_tables


def _may_see(step):
    K, T = step.shape
    seen = step.view(1, 1, K, T) < step.view(K, T, 1, 1)
    return seen


def _expect_none(mask, what: str) -> None:
    """Expect no pair of codes in the mask, and name the first one that there is."""
    for k, t, i, j in mask.nonzero()[:1].tolist():
        expect(False, f"{what}: expected none, not ({i}, {j}) seen by ({k}, {t})")


def mask_has_two_codes_for_axes(answer):
    """The mask is bool [K, T, K, T]: who looks, and at whom."""
    for name, K, T in (("delay", 3, 5), ("parallel", 2, 1), ("delay", 1, 1)):
        expect_tensor(answer(pattern_table(name, K, T)), (K, T, K, T), torch.bool, "the mask")


def nobody_sees_itself(answer):
    """No code may be used to predict itself."""
    for what, step in tables():
        itself = torch.eye(step.numel(), dtype=torch.bool).view(*step.shape, *step.shape)
        _expect_none(answer(step) & itself, f"{what}: codes that see themselves")


def codes_of_a_step_do_not_see_each_other(answer):
    """Codes of the same step are written at once: none may use another."""
    for what, step in tables():
        together = step == step[:, :, None, None]
        _expect_none(answer(step) & together, f"{what}: codes that see another one of their own step")


def two_by_two_by_hand(answer):
    """Delay, K = T = 2: (1, 0) and (0, 1) see (0, 0), and (1, 1) sees the three others."""
    mask = answer(torch.tensor([[0, 1], [1, 2]]))
    for k, t, seen in ((0, 0, []), (1, 0, [[0, 0]]), (0, 1, [[0, 0]]), (1, 1, [[0, 0], [0, 1], [1, 0]])):
        expect_equal(mask[k, t].nonzero(), seen, f"codes that ({k}, {t}) may use")


def masks_as_the_library_has_them(answer):
    """For every pattern, and for tables with gaps, each code may use what the library's `known_codes` says."""
    for what, step in tables():
        mask = answer(step)
        for k, t in np.ndindex(*step.shape):
            wanted = known_codes(step, k, t).nonzero()
            expect_equal(mask[k, t].nonzero(), wanted, f"{what}: codes that ({k}, {t}) may use")


def _loops(step):
    K, T = step.shape
    mask = torch.zeros(K, T, K, T, dtype=torch.bool)
    for k, t, i, j in np.ndindex(K, T, K, T):
        mask[k, t, i, j] = bool(step[i, j] < step[k, t])
    return mask


def _einsum(step):
    written = torch.arange(num_steps(step)) >= step[..., None]  # [K, T, S]: there once step s is done
    before = torch.nn.functional.one_hot(step, num_steps(step) + 1)[..., 1:]  # [K, T, S]: the step just before
    return torch.einsum("kts,abs->ktab", before.float(), written.float()).bool()


def _asked_one_by_one(step):
    K, T = step.shape
    return torch.stack([torch.stack([known_codes(step, k, t) for t in range(T)]) for k in range(K)])


def _with_numpy(step):
    return torch.from_numpy(np.greater.outer(step.numpy(), step.numpy()))


may_see = Exercise(
    "may_see",
    reference=_may_see,
    properties=(
        mask_has_two_codes_for_axes, nobody_sees_itself, codes_of_a_step_do_not_see_each_other, two_by_two_by_hand,
        masks_as_the_library_has_them,
    ),
    wrong=mistakes(_may_see, {
        mask_has_two_codes_for_axes: [
            ("step.view(1, 1, K, T) < step.view(K, T, 1, 1)", "step.view(1, K * T) < step.view(K * T, 1)",
             "Your mask is [K * T, K * T]. Keep the four axes: mask[k, t] is then the picture of what (k, t) may use."),
            ("step.view(1, 1, K, T) < step.view(K, T, 1, 1)", "(step.view(1, 1, K, T) < step.view(K, T, 1, 1)).float()",
             "Your mask holds numbers. A mask is bool, so that & and ~ work."),
            ("step.view(1, 1, K, T) < step.view(K, T, 1, 1)", "step.view(1, K, 1, T) < step.view(K, 1, T, 1)",
             "Your axes are [K, K, T, T]. The first two are the code that is predicted: [K, T, K, T]."),
        ],
        nobody_sees_itself: [
            ("<", "<=", "You compare with <=. A code of the same step is not there yet, and least of all the code "
             "itself: <."),
            ("step.view(1, 1, K, T) <", "torch.arange(T) + 0 * step.view(1, 1, K, T) <", "You compare the frame of one "
             "code with the step of the other. Compare steps with steps."),
        ],
        codes_of_a_step_do_not_see_each_other: [
            ("step.view(1, 1, K, T) < step.view(K, T, 1, 1)", "(step.view(1, 1, K, T) <= step.view(K, T, 1, 1)) & "
             "~torch.eye(K * T, dtype=torch.bool).view(K, T, K, T)",
             "You leave out the code itself, but not the others of its step. They are drawn at the same moment: none "
             "can wait for another."),
            ("K, T = step.shape", "K, T = step.shape; step = pattern_table('flattening', K, T)",
             "You order by frame and codebook, whatever the table says. That is flattening; compare the table's "
             "steps."),
            ("K, T = step.shape", "K, T = step.shape; step = torch.arange(T).expand(K, T).contiguous()",
             "You compare frames. Steps count: under delay (1, 0) may use (0, 0), a code of its own frame."),
            ("return", "k = torch.arange(K).view(1, 1, K, 1); return (step.view(1, 1, K, T) == step.view(K, T, 1, 1)) "
             "& "
             "(k < k.view(K, 1, 1, 1)) |", "You let a code use those above it in its own step. They are drawn at the "
             "same moment: none can wait for another."),
        ],
        two_by_two_by_hand: [
            ("<", ">", "The axes are swapped: your mask tells who may use (k, t). mask[k, t] is what (k, t) may use."),
            ("return seen", "return seen & torch.eye(K, dtype=torch.bool).view(K, 1, K, 1)",
             "You let a codebook look at its own row only. The model reads whole columns, so all codebooks count."),
            ("<", "== -1 +", "You let a code use the step just before it alone. All steps before it have been done."),
            ("return seen", "return seen & (torch.arange(T) < torch.arange(T).view(1, T, 1, 1))", "You leave out a "
             "code's own frame. "
             "Under delay those above it in the frame are there already: only steps count."),
        ],
        masks_as_the_library_has_them: [
            ("return seen", "return seen & (torch.arange(T) <= torch.arange(T).view(1, T, 1, 1))", "You forbid later "
             "frames. What has "
             "been written may be used, also of a later frame: under delay codebook 0 is ahead."),
        ],
    }),
    right=(_loops, _einsum, _asked_one_by_one, _with_numpy),
    examples=lambda generator: [
        (pattern_table("delay", 3, 4),), (pattern_table("coarse-first", 3, 3),), (torch.tensor([[0, 2, 3], [5, 6, 9]]),)
    ],
    picture=lambda target, yours, arguments: two_tables(target[1, 1].int(), yours[1, 1].int(), "frame, seen by (1, 1)"),
)  # fmt: skip
