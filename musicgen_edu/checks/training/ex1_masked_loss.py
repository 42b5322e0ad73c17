"""Exercise 1, `masked_loss`: cross-entropy of each codebook over the cells that count, and then the mean."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.patterns import holds_code
from .. import Exercise, expect, expect_close, expect_tensor
from ._loss_answers import RIGHT, WRONG, _loss
from ._shared import FOUR, random_case, two_curves


def _cases() -> list[tuple[str, Tensor, Tensor, Tensor]]:
    """Every pattern, whole and cut after T steps: (what, logits, sequence, valid)."""
    found = []
    for name in FOUR:
        for K, T in ((4, 5), (3, 6)):
            logits, _, sequence, table = random_case(name, K, T)
            # Coarse-first cut after T steps leaves nothing to count in most codebooks.
            for columns in (T, logits.shape[2]) if name in ("parallel", "delay") else (logits.shape[2],):
                cut = sequence[:, :, : columns + 1], holds_code(table)[:, : columns + 1]
                found.append((f"{name}, K = {K}, T = {T}, {columns} columns", logits[:, :, :columns], *cut))
    return found


def _certain(tokens: Tensor, V: int) -> Tensor:
    """Logits that are sure of these tokens; where there is no code, sure of code 0."""
    return 40.0 * F.one_hot(tokens * (tokens < V), V).float()


def _with_probability(p: Tensor, tokens: Tensor, V: int) -> Tensor:
    """Logits that give each token probability p, both [B, K, S], and share the rest among the other codes."""
    chosen = F.one_hot(tokens, V).bool()
    rest = ((1 - p) / (V - 1))[..., None].expand(chosen.shape)
    return torch.where(chosen, p[..., None], rest).log()


def gives_a_loss_and_one_for_each_codebook(answer):
    """The loss is a scalar, and beside it there is one number for each codebook: [K]."""
    for _, logits, sequence, valid in _cases():
        loss, per_codebook = answer(logits, sequence, valid)
        expect_tensor(loss, (), torch.float32, "the loss")
        expect_tensor(per_codebook, (logits.shape[1],), torch.float32, "the losses of the codebooks")


def knowing_nothing_costs_log_v(answer):
    """Where all codes are equally likely, each codebook costs log V nats, and so does the mean."""
    for what, logits, sequence, valid in _cases():
        loss, per_codebook = answer(0 * logits, sequence, valid)
        expect_close(per_codebook, torch.full_like(per_codebook, math.log(logits.shape[3])), f"{what}: the codebooks")
        expect_close(loss, math.log(logits.shape[3]), f"{what}: the loss")


def position_s_predicts_column_s_plus_1(answer):
    """Logits that are sure of the next column, and right, cost nothing."""
    for what, logits, sequence, valid in _cases():
        loss, _ = answer(_certain(sequence[:, :, 1:], logits.shape[3]), sequence, valid)
        expect_close(loss, 0.0, f"{what}: sure of the next column")


def cells_without_a_code_do_not_count(answer):
    """Where the next column holds the special token, the logits change nothing."""
    for what, logits, sequence, valid in _cases():
        others = torch.where(valid[None, :, 1:, None], logits, torch.randn_like(logits))
        before, after = (answer(one, sequence, valid) for one in (logits, others))
        expect_close(after[1], before[1], f"{what}: other logits where there is no code; the codebooks")
        expect_close(after[0], before[0], f"{what}: other logits where there is no code; the loss")


def each_codebook_has_the_same_weight(answer):
    """A codebook of one valid cell weighs as much as one of four."""
    sequence = torch.tensor([[[3, 1, 2, 0, 2], [3, 3, 3, 3, 1]]])  # V = 3
    p = torch.tensor([[[0.5] * 4, [0.125] * 4]])
    logits = _with_probability(p, sequence[:, :, 1:].clamp(max=2), 3)
    loss, per_codebook = answer(logits, sequence, sequence[0] < 3)
    expect_close(per_codebook, torch.tensor([2.0, 8.0]).log(), "four cells at 1/2, one at 1/8: log 2 and log 8")
    expect_close(loss, math.log(4), "the loss is the mean of log 2 and log 8")


def the_mean_is_of_logarithms(answer):
    """Cells of probability 1/2 and 1/8 cost log 4 in the mean: the logarithm stands inside the sum."""
    sequence = torch.tensor([[[3, 1, 2]]])  # V = 3
    logits = _with_probability(torch.tensor([[[0.5, 0.125]]]), sequence[:, :, 1:], 3)
    loss, _ = answer(logits, sequence, sequence[0] < 3)
    expect_close(loss, math.log(4), "(log 2 + log 8) / 2 = log 4")


def can_be_trained_on_and_equals_the_library(answer):
    """Loss and gradient are those of the library, for every pattern, and where the model is sure and wrong."""
    cases = _cases()
    for what, logits, sequence, valid in [
        *cases,
        *((f"{what}, logits times 200", 200 * x, *y) for what, x, *y in cases),
    ]:
        given = logits.clone().requires_grad_()
        loss, per_codebook = answer(given, sequence, valid)
        expect(loss.requires_grad, "no gradient flows through the loss")
        target = logits.clone().requires_grad_()
        library = _loss(target, sequence, valid)
        expect_close(loss, library[0], f"{what}: the loss")
        expect_close(per_codebook, library[1], f"{what}: the codebooks")
        yours, theirs = (torch.autograd.grad(one, x)[0] for one, x in ((loss, given), (library[0], target)))
        expect_close(yours, theirs, f"{what}: the gradient")


def _loss_examples(generator):
    found = []
    for name, K, T, columns, wrong in (("delay", 4, 5, 5, 0), ("coarse-first", 2, 3, 6, 0), ("delay", 3, 5, 7, 300)):
        logits, _, sequence, table = random_case(name, K, T, generator=generator)
        valid = holds_code(table)[:, : columns + 1]
        logits[0, 0, 0, (sequence[0, 0, 1] + 1) % 7] += wrong  # sure of another code
        found.append((logits[:, :, :columns].clone().requires_grad_(), sequence[:, :, : columns + 1], valid))
    return found


def _drawn(target, yours, arguments):
    names = [f"codebook {k}" for k in range(len(target[1]))]
    rows = (torch.cat([one[1], one[0][None]]) for one in (target, yours))
    return two_curves(*rows, "", "nats", [*names, "the loss"])


masked_loss = Exercise(
    "masked_loss",
    reference=_loss,
    properties=(
        gives_a_loss_and_one_for_each_codebook,
        knowing_nothing_costs_log_v,
        position_s_predicts_column_s_plus_1,
        cells_without_a_code_do_not_count,
        each_codebook_has_the_same_weight,
        the_mean_is_of_logarithms,
        can_be_trained_on_and_equals_the_library,
    ),
    wrong=WRONG,
    right=RIGHT,
    examples=_loss_examples,
    picture=_drawn,
)
