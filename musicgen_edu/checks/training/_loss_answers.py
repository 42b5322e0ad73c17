"""Exercise 1, answers on record: right and wrong ways to take the loss."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.lm import codebook_loss
from .. import Wrong


def _loss(logits: Tensor, sequence: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return codebook_loss(logits, sequence[:, :, 1:], valid[:, 1:])


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


def _clamped_nats(logits, sequence):
    """Nats [B, K, S], with the last code where there is none."""
    return _nats(logits, sequence[:, :, 1:].clamp(max=logits.shape[3] - 1))


def _loss_mask_of_inputs_clamped(logits, sequence, valid):
    per_codebook = _masked_mean(_clamped_nats(logits, sequence), valid[:, :-1])
    return per_codebook.mean(), per_codebook


def _loss_all_cells_clamped(logits, sequence, valid):
    per_codebook = _clamped_nats(logits, sequence).mean((0, 2))
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


def _loss_bits(logits, sequence, valid):
    loss, per_codebook = _loss(logits, sequence, valid)
    return loss / math.log(2), per_codebook / math.log(2)


def _loss_reshaped(logits, sequence, valid):
    B, K, S, V = logits.shape
    targets = sequence[:, :, 1:] * (sequence[:, :, 1:] < V)
    per_codebook = _masked_mean(F.cross_entropy(logits.reshape(B, V, K, S), targets, reduction="none"), valid[:, 1:])
    return per_codebook.mean(), per_codebook


def _loss_of_the_special_token(logits, sequence, valid):
    nats = F.cross_entropy(logits.movedim(-1, 1), sequence[:, :, 1:], reduction="none")  # raises: V is no class
    per_codebook = _masked_mean(nats, valid[:, 1:])
    return per_codebook.mean(), per_codebook


def _loss_softmax_then_log(logits, sequence, valid):
    targets = sequence[:, :, 1:] * (sequence[:, :, 1:] < logits.shape[3])
    nats = -logits.softmax(-1).gather(-1, targets[..., None])[..., 0].log()
    per_codebook = torch.stack([nats[:, k, valid[k, 1:]].mean() for k in range(len(valid))])
    return per_codebook.mean(), per_codebook


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


def _loss_ignore_special(logits, sequence, valid):
    targets, V = sequence[:, :, 1:], logits.shape[3]
    nats = F.cross_entropy(logits.movedim(-1, 1), targets, ignore_index=V, reduction="none")  # [B, K, S]
    per_codebook = nats.sum((0, 2)) / (targets != V).sum((0, 2))
    return per_codebook.mean(), per_codebook


WRONG = (
    Wrong(
        _loss_of_the_special_token,
        "gives_a_loss_and_one_for_each_codebook",
        "If a target is out of bounds: it is the special token, V, for which there is no logit. Put any code in "
        "its place before cross_entropy, and leave the cells that are not valid out of the mean.",
    ),
    Wrong(
        _loss_bits,
        "knowing_nothing_costs_log_v",
        "You count bits: the logarithm to base 2. Nats take the natural logarithm, as cross_entropy does.",
    ),
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
        _loss_reshaped,
        "position_s_predicts_column_s_plus_1",
        "cross_entropy wants the V logits of a cell on axis 1, but a reshape does not move an axis: it deals the "
        "same numbers out anew, and the cells mix. Take movedim(-1, 1), or flatten to [B * K * S, V].",
    ),
    Wrong(
        _loss_mask_of_inputs_clamped,
        "position_s_predicts_column_s_plus_1",
        "Your mask is one column off: valid[:, :-1] tells of the columns that are read, valid[:, 1:] of those that "
        "are predicted.",
    ),
    Wrong(
        _loss_all_cells_clamped,
        "position_s_predicts_column_s_plus_1",
        "Every cell counts: where there is no code, the model has to guess the last one, V - 1. Only valid cells "
        "belong to the mean.",
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
        _loss_softmax_then_log,
        "can_be_trained_on_and_equals_the_library",
        "softmax rounds an unlikely code to probability 0, and log makes infinity of it. log_softmax and "
        "cross_entropy never leave the logarithms.",
    ),
    Wrong(
        _loss_cut_off,
        "can_be_trained_on_and_equals_the_library",
        "The numbers are right, but no gradient flows: something is detached, or under no_grad, or made of floats.",
    ),
)
RIGHT = (_loss_loops, _loss_ignore, _loss_ignore_special)
