"""Exercise 5, `update_with_pieces`: gradient accumulation that equals the larger batch."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import Exercise, expect, expect_close, expect_equal, mistakes
from ._pieces import Counting, Listening, Piece, Watched, some_clips, some_pieces


def _update(model, optimizer, pieces):
    total = sum(int(valid.sum()) for _, _, valid in pieces)
    optimizer.zero_grad()
    batch_loss = 0.0
    for x, targets, valid in pieces:
        nats = F.cross_entropy(model(x)[valid], targets[valid], reduction="none")
        part = nats.sum() / total
        part.backward()
        batch_loss += part.item()
    optimizer.step()
    return batch_loss


def _loss(model: nn.Module, pieces: list[Piece]) -> Tensor:
    """What torch has for the large batch: the mean over its valid positions."""
    logits = torch.cat([model(x)[valid] for x, _, valid in pieces])
    return F.cross_entropy(logits, torch.cat([targets[valid] for _, targets, valid in pieces]))


def _ordinary(model, optimizer, pieces):
    optimizer.zero_grad()
    loss = _loss(model, pieces)
    loss.backward()
    optimizer.step()
    return loss.item()


def _after(run, model: nn.Module, pieces: list[Piece], stale: bool = False) -> tuple[float, Tensor]:
    """One update of a copy of the model: what was returned, and its parameters as one vector."""
    model = copy.deepcopy(model)
    optimizer = Counting(model.parameters(), lr=0.5)
    if stale:
        for one in model.parameters():
            one.grad = torch.ones_like(one)
    said = run(model, optimizer, pieces)
    return said, nn.utils.parameters_to_vector(model.parameters()).detach()


def _expect_big_batch(answer, pieces: list[Piece], what: str, stale: bool = False, kind=nn.Linear) -> None:
    model = kind(4, 5)
    _, yours = _after(answer, model, pieces, stale)
    expect_close(yours, _after(_ordinary, model, pieces)[1], what)


def one_piece_is_an_ordinary_update(answer):
    """With one piece it is the ordinary update of the optimizer, on the valid positions."""
    _expect_big_batch(answer, some_pieces([6]), "the weights after one piece, all positions valid")
    _expect_big_batch(answer, some_pieces([4]), "the weights after one piece, 4 of 6 positions valid")


def old_gradients_do_not_count(answer):
    """Gradients that were left over from before do not count."""
    _expect_big_batch(answer, some_pieces([5]), "the weights; before the call, all gradients were 1", stale=True)


def the_optimizer_steps_once(answer):
    """The optimizer steps once, however many pieces there are, and keeps its settings."""
    for count in (1, 3):
        model = nn.Linear(4, 5)
        optimizer = Counting(model.parameters(), lr=0.5)
        answer(model, optimizer, some_pieces([6] * count))
        expect_equal(optimizer.steps, 1, f"{count} pieces: how often the optimizer stepped")
        expect_close(optimizer.param_groups[0]["lr"], 0.5, f"{count} pieces: the optimizer's learning rate afterwards")


def equal_pieces_equal_the_batch(answer):
    """Three pieces of the same size leave the same weights as one batch of all."""
    _expect_big_batch(answer, some_pieces([6, 6, 6]), "the weights after three equal pieces")


def unequal_pieces_equal_the_batch(answer):
    """Pieces with 6, 1 and 3 valid positions, too."""
    _expect_big_batch(answer, some_pieces([6, 1, 3]), "the weights after pieces of 6, 1 and 3 valid positions")


def a_piece_without_valid_positions_is_harmless(answer):
    """A piece without a valid position changes nothing."""
    pieces = some_pieces([5, 0, 2])
    said, yours = _after(answer, nn.Linear(4, 5), pieces)
    wrong = int((~yours.isfinite()).sum())
    expect_equal(wrong, 0, "the weights that are NaN after a piece without valid positions")
    expect(math.isfinite(float(said)), f"a number is expected as the loss with such a piece, not {float(said)}")
    _expect_big_batch(answer, pieces, "the weights after pieces of 5, 0 and 2 valid positions")


def the_loss_is_that_of_the_batch(answer):
    """It returns the mean over all valid positions, before the update, as a float."""
    for counts in ([6, 6], [6, 1, 3], [5], [2, 4], [3, 3, 3, 1]):
        model, pieces = nn.Linear(4, 5), some_pieces(counts)
        said = _after(answer, model, pieces)[0]
        expect(isinstance(said, float), f"the loss must be a float, not {type(said).__name__}: loss.item()")
        expect_close(said, _loss(model, pieces).item(), f"valid positions {counts}: the loss", 2e-6)


def no_piece_waits_for_the_others(answer):
    """Only one piece is in memory at a time: forward and backward of it, then the next."""
    model = Watched()
    answer(model, torch.optim.SGD(model.parameters(), lr=0.1), some_pieces([6, 2, 3]))
    larger = [one for one in model.said if one.startswith("reads") and int(one.split()[1]) > 6]
    expect(not larger, f"of three pieces of 6 positions one is expected at a time; the model {', '.join(larger)}")
    graphs = [one.split()[0] for one in model.said if "without" not in one]
    expect_equal(graphs, ["reads", "backward"] * 3, "three pieces: what happens to the model")


def clips_of_the_model_will_do(answer):
    """As in the notebook: clips of several axes and lengths, V as a target where nothing counts, any size of loss."""
    for sizes in ([(2, 3)], [(1, 2, 7), (1, 2, 4)], [(2, 5), (3, 2), (1, 1)]):
        pieces = some_clips(sizes)
        what = f"the weights after pieces of {' and '.join(map(str, sizes))} positions"
        _expect_big_batch(answer, pieces, what, kind=Listening)
        large = [(30 * x, targets, valid) for x, targets, valid in pieces]
        _expect_big_batch(answer, large, f"{what}, with large gradients")


def _update_ignore(model, optimizer, pieces):
    optimizer.zero_grad()
    total = torch.stack([valid.sum() for _, _, valid in pieces]).sum()
    parts = []
    for x, targets, valid in pieces:
        logits, codes = model(x).flatten(0, -2), targets.where(valid, -100).flatten()
        nats = F.cross_entropy(logits, codes, ignore_index=-100, reduction="sum")
        (nats / total).backward()
        parts.append(nats.item())
    optimizer.step()
    return sum(parts) / int(total)


def _update_divide_gradients(model, optimizer, pieces):
    optimizer.zero_grad()
    nats, count = 0.0, 0
    for x, targets, valid in pieces:
        log_p = model(x).log_softmax(-1).gather(-1, targets.where(valid, 0)[..., None])[..., 0]
        total = -(log_p * valid).sum()
        total.backward()
        nats, count = nats + total.item(), count + int(valid.sum())
    for one in model.parameters():
        one.grad /= count
    optimizer.step()
    return nats / count


def _loss_first(model, optimizer, pieces):
    total = sum(int(valid.sum()) for _, _, valid in pieces)
    with torch.no_grad():
        said = sum(F.cross_entropy(model(x)[own], y[own], reduction="sum").item() for x, y, own in pieces) / total
    optimizer.zero_grad()
    for x, targets, valid in pieces:
        log_p = model(x).log_softmax(-1)[valid]
        (-log_p[torch.arange(len(log_p)), targets[valid]].sum() / total).backward()
    optimizer.step()
    return said


def _afterwards(model, optimizer, pieces):
    _update(model, optimizer, pieces)
    with torch.no_grad():
        return _loss(model, pieces).item()


def _at_once(model, optimizer, pieces):
    return _update(model, optimizer, [tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))])


def _one_backward(model, optimizer, pieces):
    optimizer.zero_grad()
    losses = [F.cross_entropy(model(x)[own], targets[own], reduction="sum") for x, targets, own in pieces]
    loss = sum(losses) / sum(int(own.sum()) for *_, own in pieces)
    loss.backward()
    optimizer.step()
    return loss.item()


def _update_examples(generator):
    found = []
    for counts in ([6, 6], [6, 1, 3], [4, 0, 2]):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model = nn.Linear(4, 5)
        for one in model.parameters():
            one.grad = torch.ones_like(one)
        found.append((model, torch.optim.SGD(model.parameters(), lr=0.5), some_pieces(counts, generator=generator)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        watched, listening = Watched(), Listening(4, 5)
        clips = [(30 * x, targets, valid) for x, targets, valid in some_clips([(1, 2, 7), (1, 2, 4)])]
    found.append((watched, torch.optim.SGD(watched.parameters(), lr=0.5), found[1][2]))
    return [*found, (listening, torch.optim.SGD(listening.parameters(), lr=0.5), clips)]


update_with_pieces = Exercise(
    "update_with_pieces",
    reference=_update,
    properties=(
        one_piece_is_an_ordinary_update, old_gradients_do_not_count, the_optimizer_steps_once,
        equal_pieces_equal_the_batch, unequal_pieces_equal_the_batch, a_piece_without_valid_positions_is_harmless,
        the_loss_is_that_of_the_batch, no_piece_waits_for_the_others, clips_of_the_model_will_do,
    ),
    wrong=mistakes(_update, {
        one_piece_is_an_ordinary_update: [
            ("optimizer.step()", "pass",
             "The gradients are there, but optimizer.step() is missing: no weight has moved."),
            ("model(x)[valid], targets[valid]", "model(x), targets", "int(valid.sum())", "valid.numel()",
             "You count all positions. Only those where `valid` is true belong to the loss."),
            ("int(valid.sum())", "valid.numel()", "You leave invalid positions out of the sum, but divide by the "
             "number of all. Divide by the valid ones."),
            ("nats.sum() / total", "nats.sum()", "return batch_loss", "return batch_loss / total", "You call backward "
             "on sums, and the gradient is never divided: it is as many times too large as there are valid positions. "
             "Divide before backward, or the gradients before the step."),
            ("part.backward()", "part.detach().requires_grad_().backward()", "The loss is cut off from the model "
             "before backward, so no gradient reaches it."),
        ],
        old_gradients_do_not_count: [
            ("optimizer.zero_grad()", "pass", "optimizer.zero_grad() is missing: the gradients of the update before "
             "are added to those of this one. After the step is too late: somebody else may have left some before the "
             "call."),
        ],
        the_optimizer_steps_once: [
            ("        batch_loss += part.item()\n    optimizer.step()", "        batch_loss += part.item()\n        "
             "optimizer.step()\n        optimizer.zero_grad()", "You step after each piece. That is a training with "
             "small batches; step once, when all have been added up."),
            ("nats.sum() / total", "nats.sum()", "    optimizer.step()", "    optimizer.param_groups[0]['lr'] /= "
             "total\n    optimizer.step()", "return batch_loss", "return batch_loss / total", "You divide the learning "
             "rate instead of the loss, and leave it divided. With AdamW it would not even be the same update: divide "
             "the loss before backward."),
        ],
        equal_pieces_equal_the_batch: [
            ("    optimizer.zero_grad()\n", "", "in pieces:", "in pieces:\n        optimizer.zero_grad()",
             "zero_grad() stands inside the loop, so only the last piece is left. Call it once, before the first."),
            ("nats.sum() / total", "nats.sum() / max(1, len(nats))", "You add the means of the pieces up. The gradient "
             "is then as many times too large as there are pieces."),
            ("nats.sum() / total", "nats.mean()", "You call backward on the mean of each piece, and the means are "
             "added up: several times too much. (Over a piece without a valid position the mean is 0 / 0, too.) Divide "
             "each sum by the total."),
        ],
        unequal_pieces_equal_the_batch: [
            ("nats.sum() / total", "nats.mean() / len(pieces)", "You take the mean of the pieces' means, so a piece "
             "with one valid position weighs as much as one with six; and over none the mean is 0 / 0. Divide each "
             "piece's sum by the valid positions in all pieces."),
            ("nats.sum() / total", "nats.sum() / max(1, len(nats)) / len(pieces)", "You take the mean of the pieces' "
             "means. A piece with one valid position then weighs as much as one with six: divide each piece's sum by "
             "the number of valid positions in all pieces."),
            ("total = sum(int(valid.sum()) for _, _, valid in pieces)",
             "total = max(int(valid.sum()) for _, _, valid in pieces) * len(pieces)", "You take all pieces for as "
             "large as the largest. Add up the valid positions of each."),
        ],
        a_piece_without_valid_positions_is_harmless: [
            ("nats.sum() / total", "nats.mean() * len(nats) / total", "The mean over no position is 0 / 0, and 0 times "
             "NaN is NaN. Divide the sum by the total, which is not 0."),
        ],
        the_loss_is_that_of_the_batch: [
            ("batch_loss += part", "batch_loss = part",
             "You return the loss of the last piece. Add up what the pieces contribute."),
            ("return batch_loss", "return batch_loss / len(pieces)", "You divide the loss by the number of pieces. "
             "Each has been divided by the total before: add up."),
            ("part.item()", "part.detach()", "You return a tensor. A float is asked for: .item()."),
            (_afterwards, "You compute the loss after the update, with other weights and at the price of one more "
             "pass."),
        ],
        no_piece_waits_for_the_others: [
            (_at_once, "You put the pieces together to the large batch. It is cut because it does not fit into "
             "memory."),
            (_one_backward, "You call backward once, on the sum of all losses. Until then the graphs of all pieces "
             "stay in memory: backward after each piece adds up the same gradients."),
        ],
        clips_of_the_model_will_do: [
            ("F.cross_entropy(model(x)[valid], targets[valid], reduction=\"none\")",
             "F.cross_entropy(model(x), targets, reduction=\"none\")[valid]", "You compute the loss of all positions "
             "and take the valid ones afterwards. But the others may hold the special token V, for which there is no "
             "logit; and with more than one axis cross_entropy wants the V logits on axis 1. Take the valid ones "
             "first: model(x)[valid], targets[valid]."),
            ("model(x)[valid]", "model(x[valid])", "You let the model read the valid positions only. It reads the "
             "whole of x, since what it says at one position depends on the others: model(x)[valid]."),
            ("optimizer.step()", "torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0); optimizer.step()",
             "You cut large gradients off. Nobody has asked for that here: the update is that of the large batch."),
        ],
    }),
    right=(_update_ignore, _update_divide_gradients, _loss_first),
    examples=_update_examples,
)  # fmt: skip
