"""Exercise 1, `masked_loss`: cross-entropy of each codebook over the cells that count, and then the mean."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.lm import codebook_loss
from ...model.patterns import holds_code
from .. import Exercise, expect, expect_close, expect_tensor, mistakes
from ._shared import FOUR, random_case, two_curves


def _loss(logits, sequence, valid):
    V, targets, counts = logits.shape[3], sequence[:, :, 1:], valid[:, 1:]
    codes = targets.where(targets < V, 0)
    nats = F.cross_entropy(logits.flatten(0, 2), codes.flatten(), reduction="none").view(targets.shape)
    per_codebook = (nats * counts).sum((0, 2)) / (len(logits) * counts.sum(1))  # [K]
    return per_codebook.mean(), per_codebook


def _cases() -> list[tuple[str, Tensor, Tensor, Tensor]]:
    """Every pattern, whole and cut after T steps: (what, logits, sequence, valid)."""
    found = []
    for name in FOUR:
        for K, T, B in ((4, 5, 2), (3, 6, 3), (2, 4, 1), (1, 3, 2)):
            logits, _, sequence, table = random_case(name, K, T, B=B)
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
        given, target = logits.clone().requires_grad_(), logits.clone().requires_grad_()
        yours = answer(given, sequence, valid)
        library = codebook_loss(target, sequence[:, :, 1:], valid[:, 1:])
        for name, mine, theirs in zip(("loss", "losses of the codebooks"), yours, library, strict=True):
            expect_close(mine, theirs, f"{what}: the {name}")
            expect(mine.requires_grad, f"a gradient is expected to flow through the {name}, and none does")
            weights = torch.rand(theirs.shape)  # of each codebook its own
            found, wanted = (
                torch.autograd.grad((one * weights).sum(), x, retain_graph=True)[0]
                for one, x in ((mine, given), (theirs, target))
            )
            expect_close(found, wanted, f"{what}: the gradient of the {name}")


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


NATS = 'F.cross_entropy(logits.flatten(0, 2), codes.flatten(), reduction="none").view(targets.shape)'
BOTH = "return per_codebook.mean(), per_codebook"

masked_loss = Exercise(
    "masked_loss",
    reference=_loss,
    properties=(
        gives_a_loss_and_one_for_each_codebook, knowing_nothing_costs_log_v, position_s_predicts_column_s_plus_1,
        cells_without_a_code_do_not_count, each_codebook_has_the_same_weight, the_mean_is_of_logarithms,
        can_be_trained_on_and_equals_the_library,
    ),
    wrong=mistakes(_loss, {
        gives_a_loss_and_one_for_each_codebook: [
            ("targets.where(targets < V, 0)", "targets", "If a target is out of bounds: it is the special token, V, "
             "for which there is no logit. Put any code in its place before cross_entropy, and leave the cells that "
             "are not valid out of the mean."),
            (BOTH, "return per_codebook.mean(), nats.mean((1, 2))", "You give one loss for each row of the batch. One "
             "for each codebook is asked for: [K]."),
        ],
        knowing_nothing_costs_log_v: [
            (NATS, NATS + " / math.log(2)",
             "You count bits: the logarithm to base 2. Nats take the natural logarithm, as cross_entropy does."),
            (".sum((0, 2)) / (len(logits) * counts.sum(1))", ".mean((0, 2))", "You leave invalid cells out of the sum, "
             "but divide by all B * S cells. Divide by the valid ones."),
            ("return per_codebook.mean()", "return per_codebook.sum()",
             "You add the codebooks up. The loss is their mean, or its size would hang on K."),
            ("(len(logits) * counts.sum(1))", "counts.sum(1)", "You add up over the B rows, but divide by the valid "
             "cells of one. `valid` [K, S + 1] holds for every row."),
            ('reduction="none"', 'ignore_index=0, reduction="none"', "You let cross_entropy ignore code 0, because "
             "that is what you have put where there is none. But 0 is a code like any other: mask with `valid`."),
            ("counts.sum(1))", "valid.shape[1])", "You divide by the length of `valid`, and not by the number of cells "
             "that are valid in a codebook."),
        ],
        position_s_predicts_column_s_plus_1: [
            ("sequence[:, :, 1:], valid[:, 1:]", "sequence[:, :, :-1], valid[:, :-1]", "The shift is missing: you "
             "compare position s with column s, which the model has already read. It predicts column s + 1."),
            (NATS, 'F.cross_entropy(logits.reshape(len(logits), V, *targets.shape[1:]), codes, reduction="none")',
             "cross_entropy wants the V logits of a cell on axis 1, but a reshape does not move an axis: it deals the "
             "same numbers out anew, and the cells mix. Take movedim(-1, 1), or flatten to [B * K * S, V]."),
            ("targets.where(targets < V, 0)", "targets.clamp(max=V - 1)", "valid[:, 1:]", "valid[:, :-1]", "Your mask "
             "is one column off: valid[:, :-1] tells of the columns that are read, valid[:, 1:] of those that are "
             "predicted."),
            ("targets.where(targets < V, 0)", "targets.clamp(max=V - 1)", "valid[:, 1:]",
             "torch.ones_like(valid[:, 1:])", "Every cell counts: where there is no code, the model has to guess the "
             "last one, V - 1. Only valid cells belong to the mean."),
            ("logits.flatten", "logits.softmax(-1).flatten", "You take a softmax twice: cross_entropy expects logits "
             "and takes its own. A model that is sure and right would still pay."),
            ('reduction="none"', 'reduction="none", label_smoothing=0.1', "You smooth the targets, so a model that is "
             "sure and right still pays. The loss here is the cross-entropy itself."),
        ],
        cells_without_a_code_do_not_count: [
            ("(nats * counts).sum((0, 2)) / (len(logits) * counts.sum(1))", "nats.mean((0, 2))", "Every cell counts, "
             "those without a code too: the model is trained to draw a code where there is none."),
            ("valid[:, 1:]", "valid[:, :-1]", "Your mask belongs to the columns that are read. The targets are one "
             "column further: valid[:, 1:]."),
        ],
        each_codebook_has_the_same_weight: [
            ("return per_codebook.mean()", "return nats[:, counts].mean()", "You take one mean over all valid cells. "
             "Then codebook 0 weighs more than codebook 3, which has fewer of them: first the mean of each codebook, "
             "then that of the codebooks."),
        ],
        the_mean_is_of_logarithms: [
            ("(nats * counts)", "((-nats).exp() * counts)", BOTH, "return -per_codebook.log().mean(), "
             "-per_codebook.log()", "Your logarithm stands outside: the logarithm of a mean probability. So printed, "
             "as in the student project's report, one cell that is right hides many that are wrong."),
        ],
        can_be_trained_on_and_equals_the_library: [
            (NATS, "-logits.softmax(-1).gather(-1, codes[..., None])[..., 0].log()", "(nats * counts)",
             "nats.where(counts, 0)", "softmax rounds an unlikely code to probability 0, and log makes infinity of it. "
             "log_softmax and cross_entropy never leave the logarithms."),
            (NATS, "-(logits.softmax(-1).gather(-1, codes[..., None])[..., 0] + 1e-9).log()", "A small number added "
             "before the logarithm caps what a surprise costs, and gives it no gradient. Stay in logarithms: "
             "log_softmax."),
            (BOTH, "return per_codebook.mean().detach(), per_codebook.detach()", "The numbers are right, but no "
             "gradient flows: something is detached, or under no_grad, or made of floats."),
            (BOTH, "return per_codebook.mean(), per_codebook.detach()", "The losses of the codebooks have lost their "
             "gradient: detached, or made of floats. Both results keep it."),
            ("(nats * counts).sum((0, 2)) / (len(logits) * counts.sum(1))", "(nats * counts)[0].sum(1) / counts.sum(1)",
             "Only the first row of the batch counts. Take the mean over all of them."),
        ],
    }),
    right=(_loss_loops, _loss_ignore, _loss_ignore_special),
    examples=_loss_examples,
    picture=_drawn,
)  # fmt: skip
