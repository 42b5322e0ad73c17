"""Exercise 1, `masked_loss`: cross-entropy of each codebook over the cells that count, and then the mean."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...lm import codebook_loss
from ...patterns import holds_code
from .. import Exercise, Wrong, expect, expect_close, expect_tensor, seal
from ._shared import FOUR, random_case, two_curves


def _loss(logits: Tensor, sequence: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return codebook_loss(logits, sequence[:, :, 1:], valid[:, 1:])


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
    sequence = torch.tensor([[[9, 1, 2, 0, 2], [9, 9, 9, 9, 1]]])
    p = torch.tensor([[[0.5] * 4, [0.125] * 4]])
    logits = _with_probability(p, sequence[:, :, 1:].clamp(max=2), 3)
    loss, per_codebook = answer(logits, sequence, sequence[0] < 9)
    expect_close(per_codebook, torch.tensor([2.0, 8.0]).log(), "four cells at 1/2, one at 1/8: log 2 and log 8")
    expect_close(loss, math.log(4), "the loss is the mean of log 2 and log 8")


def the_mean_is_of_logarithms(answer):
    """Cells of probability 1/2 and 1/8 cost log 4 in the mean: the logarithm stands inside the sum."""
    sequence = torch.tensor([[[9, 1, 2]]])
    logits = _with_probability(torch.tensor([[[0.5, 0.125]]]), sequence[:, :, 1:], 3)
    loss, _ = answer(logits, sequence, sequence[0] < 9)
    expect_close(loss, math.log(4), "(log 2 + log 8) / 2 = log 4")


def can_be_trained_on_and_equals_the_library(answer):
    """Loss and gradient are those of the library, for every pattern."""
    for what, logits, sequence, valid in _cases():
        given = logits.clone().requires_grad_()
        loss, per_codebook = answer(given, sequence, valid)
        expect(loss.requires_grad, "no gradient flows through the loss")
        target = logits.clone().requires_grad_()
        library = _loss(target, sequence, valid)
        expect_close(loss, library[0], f"{what}: the loss")
        expect_close(per_codebook, library[1], f"{what}: the codebooks")
        yours, theirs = (torch.autograd.grad(one, x)[0] for one, x in ((loss, given), (library[0], target)))
        expect_close(yours, theirs, f"{what}: the gradient")


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    V = logits.shape[3]
    return F.cross_entropy(logits.flatten(0, 2), (targets * (targets < V)).flatten(), reduction="none").view_as(targets)


def _masked_mean(nats: Tensor, valid: Tensor) -> Tensor:
    return (nats * valid).sum((0, 2)) / (len(nats) * valid.sum(1))  # [K]


def _loss_no_shift(logits, sequence, valid):
    per_codebook = _masked_mean(_nats(logits, sequence[:, :, :-1]), valid[:, :-1])
    return per_codebook.mean(), per_codebook


def _loss_mask_of_inputs(logits, sequence, valid):
    per_codebook = _masked_mean(_nats(logits, sequence[:, :, 1:]), valid[:, :-1])
    return per_codebook.mean(), per_codebook


def _loss_all_cells(logits, sequence, valid):
    per_codebook = _nats(logits, sequence[:, :, 1:]).mean((0, 2))
    return per_codebook.mean(), per_codebook


def _loss_over_all_cells(logits, sequence, valid):
    per_codebook = (_nats(logits, sequence[:, :, 1:]) * valid[:, 1:]).mean((0, 2))
    return per_codebook.mean(), per_codebook


def _loss_positions_first(logits, sequence, valid):
    nats = _nats(logits, sequence[:, :, 1:])
    return nats[:, valid[:, 1:]].mean(), _masked_mean(nats, valid[:, 1:])


def _loss_log_outside(logits, sequence, valid):
    probability = (-_nats(logits, sequence[:, :, 1:])).exp()
    per_codebook = -_masked_mean(probability, valid[:, 1:]).log()
    return per_codebook.mean(), per_codebook


def _loss_sum(logits, sequence, valid):
    _, per_codebook = _loss(logits, sequence, valid)
    return per_codebook.sum(), per_codebook


def _loss_of_rows(logits, sequence, valid):
    _, per_codebook = _loss(logits, sequence, valid)
    return len(logits) * per_codebook.mean(), len(logits) * per_codebook


def _loss_softmax_twice(logits, sequence, valid):
    return _loss(logits.softmax(-1), sequence, valid)


def _loss_cut_off(logits, sequence, valid):
    loss, per_codebook = _loss(logits, sequence, valid)
    return loss.detach(), per_codebook.detach()


def _loss_loops(logits, sequence, valid):
    B, K, S, _ = logits.shape
    log_p, per_codebook = logits.log_softmax(-1), []
    for k in range(K):
        cells = [(b, s) for b in range(B) for s in range(S) if valid[k, s + 1]]
        per_codebook.append(-sum(log_p[b, k, s, sequence[b, k, s + 1]] for b, s in cells) / len(cells))
    return sum(per_codebook) / K, torch.stack(per_codebook)


def _loss_ignore(logits, sequence, valid):
    targets = sequence[:, :, 1:].masked_fill(~valid[:, 1:], -100)
    pairs = zip(logits.unbind(1), targets.unbind(1), strict=True)
    per_codebook = torch.stack([F.cross_entropy(one.flatten(0, 1), own.flatten()) for one, own in pairs])
    return per_codebook.mean(), per_codebook


def _loss_examples(generator):
    found = []
    for name, K, T, columns in (("delay", 4, 5, 5), ("coarse-first", 2, 3, 6)):
        logits, _, sequence, table = random_case(name, K, T, generator=generator)
        valid = holds_code(table)[:, : columns + 1]
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
    wrong=(
        Wrong(
            _loss_over_all_cells,
            "knowing_nothing_costs_log_v",
            "You leave invalid cells out of the sum, but divide by all B * S cells. Divide by the valid ones.",
        ),
        Wrong(
            _loss_sum,
            "knowing_nothing_costs_log_v",
            "You add the codebooks up. The loss is their mean, or its size would hang on K.",
        ),
        Wrong(
            _loss_of_rows,
            "knowing_nothing_costs_log_v",
            "You add up over the B rows, but divide by the valid cells of one. `valid` [K, S + 1] holds for every row.",
        ),
        Wrong(
            _loss_no_shift,
            "position_s_predicts_column_s_plus_1",
            "The shift is missing: you compare position s with column s, which the model has already read. It predicts "
            "column s + 1.",
        ),
        Wrong(
            _loss_softmax_twice,
            "position_s_predicts_column_s_plus_1",
            "You take a softmax twice: cross_entropy expects logits and takes its own. A model that is sure and right "
            "would still pay.",
        ),
        Wrong(
            _loss_all_cells,
            "cells_without_a_code_do_not_count",
            "Every cell counts, those without a code too: the model is trained to draw a code where there is none.",
        ),
        Wrong(
            _loss_mask_of_inputs,
            "cells_without_a_code_do_not_count",
            "Your mask belongs to the columns that are read. The targets are one column further: valid[:, 1:].",
        ),
        Wrong(
            _loss_positions_first,
            "each_codebook_has_the_same_weight",
            "You take one mean over all valid cells. Then codebook 0 weighs more than codebook 3, which has fewer of "
            "them: first the mean of each codebook, then that of the codebooks.",
        ),
        Wrong(
            _loss_log_outside,
            "the_mean_is_of_logarithms",
            "Your logarithm stands outside: the logarithm of a mean probability. So printed, as in the student "
            "project's report, one cell that is right hides many that are wrong.",
        ),
        Wrong(
            _loss_cut_off,
            "can_be_trained_on_and_equals_the_library",
            "The numbers are right, but no gradient flows: something is detached, or under no_grad, or made of floats.",
        ),
    ),
    right=(_loss_loops, _loss_ignore),
    examples=_loss_examples,
    picture=_drawn,
)

seal(__name__)
