"""Exercise 5, answers on record: right and wrong ways to add up pieces."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import Wrong
from ._pieces import Piece


def _nats(model: nn.Module, piece: Piece) -> Tensor:
    """Nats of the valid positions of a piece: [valid]."""
    x, targets, valid = piece
    return F.cross_entropy(model(x)[valid], targets[valid], reduction="none")


def _total(pieces: list[Piece]) -> int:
    return sum(int(valid.sum()) for _, _, valid in pieces)


def _backward(loss: Tensor) -> float:
    loss.backward()
    return loss.item()


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, pieces: list[Piece]) -> float:
    optimizer.zero_grad()
    loss = sum(_backward(_nats(model, piece).sum() / _total(pieces)) for piece in pieces)
    optimizer.step()
    return loss


def _whole(pieces: list[Piece]) -> Piece:
    return tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))


def _update_zero_inside(model, optimizer, pieces):
    total, loss = _total(pieces), 0.0
    for piece in pieces:
        optimizer.zero_grad()
        loss += _backward(_nats(model, piece).sum() / total)
    optimizer.step()
    return loss


def _update_never_zero(model, optimizer, pieces):
    total, loss = _total(pieces), 0.0
    for piece in pieces:
        loss += _backward(_nats(model, piece).sum() / total)
    optimizer.step()
    return loss


def _in_parts(model, optimizer, pieces, part_of) -> float:
    optimizer.zero_grad()
    loss = sum(_backward(part_of(_nats(model, piece), _total([piece]))) for piece in pieces)
    optimizer.step()
    return loss


def _update_sum_of_means(model, optimizer, pieces):
    return _in_parts(model, optimizer, pieces, lambda nats, count: nats.sum() / max(1, count))


def _update_mean_of_means(model, optimizer, pieces):
    return _in_parts(model, optimizer, pieces, lambda nats, count: nats.sum() / max(1, count) / len(pieces))


def _update_means_unguarded(model, optimizer, pieces):
    return _in_parts(model, optimizer, pieces, lambda nats, count: nats.mean() / len(pieces))


def _update_sum_of_means_unguarded(model, optimizer, pieces):
    return _in_parts(model, optimizer, pieces, lambda nats, count: nats.mean())


def _update_undivided(model, optimizer, pieces):
    return _in_parts(model, optimizer, pieces, lambda nats, count: nats.sum()) / _total(pieces)


def _update_over_all_positions(model, optimizer, pieces):
    total = sum(valid.numel() for _, _, valid in pieces)
    return _in_parts(model, optimizer, pieces, lambda nats, count: nats.sum() / total)


def _update_nan(model, optimizer, pieces):
    total = _total(pieces)
    return _in_parts(model, optimizer, pieces, lambda nats, count: nats.mean() * count / total)


def _update_all_positions(model, optimizer, pieces):
    return _update(model, optimizer, [(x, targets, torch.ones_like(valid)) for x, targets, valid in pieces])


def _update_step_each(model, optimizer, pieces):
    total, loss = _total(pieces), 0.0
    for piece in pieces:
        optimizer.zero_grad()
        loss += _backward(_nats(model, piece).sum() / total)
        optimizer.step()
    return loss


def _update_no_step(model, optimizer, pieces):
    optimizer.zero_grad()
    return sum(_backward(_nats(model, piece).sum() / _total(pieces)) for piece in pieces)


def _update_last_loss(model, optimizer, pieces):
    optimizer.zero_grad()
    losses = [_backward(_nats(model, piece).sum() / _total(pieces)) for piece in pieces]
    optimizer.step()
    return losses[-1]


def _update_loss_afterwards(model, optimizer, pieces):
    _update(model, optimizer, pieces)
    with torch.no_grad():
        return sum(_nats(model, piece).sum().item() for piece in pieces) / _total(pieces)


def _update_concatenate(model, optimizer, pieces):
    return _update(model, optimizer, [_whole(pieces)])


def _update_one_backward(model, optimizer, pieces):
    optimizer.zero_grad()
    loss = _backward(sum(_nats(model, piece).sum() for piece in pieces) / _total(pieces))
    optimizer.step()
    return loss


def _update_ignore(model, optimizer, pieces):
    optimizer.zero_grad()
    total = torch.stack([valid.sum() for _, _, valid in pieces]).sum()
    parts = []
    for x, targets, valid in pieces:
        nats = F.cross_entropy(model(x), targets.where(valid, -100), ignore_index=-100, reduction="sum")
        (nats / total).backward()
        parts.append(nats.item())
    optimizer.step()
    return sum(parts) / int(total)


def _update_divide_gradients(model, optimizer, pieces):
    optimizer.zero_grad()
    nats, count = 0.0, 0
    for x, targets, valid in pieces:
        log_p = model(x).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        total = -(log_p * valid).sum()
        total.backward()
        nats, count = nats + total.item(), count + int(valid.sum())
    for one in model.parameters():
        one.grad /= count
    optimizer.step()
    return nats / count


WRONG = (
    Wrong(
        _update_no_step,
        "one_piece_is_an_ordinary_update",
        "The gradients are there, but optimizer.step() is missing: no weight has moved.",
    ),
    Wrong(
        _update_all_positions,
        "one_piece_is_an_ordinary_update",
        "You count all positions. Only those where `valid` is true belong to the loss.",
    ),
    Wrong(
        _update_over_all_positions,
        "one_piece_is_an_ordinary_update",
        "You leave invalid positions out of the sum, but divide by the number of all. Divide by the valid ones.",
    ),
    Wrong(
        _update_undivided,
        "one_piece_is_an_ordinary_update",
        "You call backward on sums, and the gradient is never divided: it is as many times too large as there are "
        "valid positions. Divide before backward, or the gradients before the step.",
    ),
    Wrong(
        _update_never_zero,
        "old_gradients_do_not_count",
        "optimizer.zero_grad() is missing: the gradients of the update before are added to those of this one.",
    ),
    Wrong(
        _update_step_each,
        "the_optimizer_steps_once",
        "You step after each piece. That is a training with small batches; step once, when all have been added up.",
    ),
    Wrong(
        _update_zero_inside,
        "equal_pieces_equal_the_batch",
        "zero_grad() stands inside the loop, so only the last piece is left. Call it once, before the first.",
    ),
    Wrong(
        _update_sum_of_means,
        "equal_pieces_equal_the_batch",
        "You add the means of the pieces up. The gradient is then as many times too large as there are pieces.",
    ),
    Wrong(
        _update_sum_of_means_unguarded,
        "equal_pieces_equal_the_batch",
        "You call backward on the mean of each piece, and the means are added up: several times too much. (Over a "
        "piece without a valid position the mean is 0 / 0, too.) Divide each sum by the total.",
    ),
    Wrong(
        _update_means_unguarded,
        "unequal_pieces_equal_the_batch",
        "You take the mean of the pieces' means, so a piece with one valid position weighs as much as one with "
        "six; and over none the mean is 0 / 0. Divide each piece's sum by the valid positions in all pieces.",
    ),
    Wrong(
        _update_mean_of_means,
        "unequal_pieces_equal_the_batch",
        "You take the mean of the pieces' means. A piece with one valid position then weighs as much as one with "
        "six: divide each piece's sum by the number of valid positions in all pieces.",
    ),
    Wrong(
        _update_nan,
        "a_piece_without_valid_positions_is_harmless",
        "The mean over no position is 0 / 0, and 0 times NaN is NaN. Divide the sum by the total, which is not 0.",
    ),
    Wrong(
        _update_last_loss,
        "the_loss_is_that_of_the_batch",
        "You return the loss of the last piece. Add up what the pieces contribute.",
    ),
    Wrong(
        _update_loss_afterwards,
        "the_loss_is_that_of_the_batch",
        "You compute the loss after the update, with other weights and at the price of one more pass.",
    ),
    Wrong(
        _update_concatenate,
        "no_piece_waits_for_the_others",
        "You put the pieces together to the large batch. It is cut because it does not fit into memory.",
    ),
    Wrong(
        _update_one_backward,
        "no_piece_waits_for_the_others",
        "You call backward once, on the sum of all losses. Until then the graphs of all pieces stay in memory: "
        "backward after each piece adds up the same gradients.",
    ),
)
RIGHT = (_update_ignore, _update_divide_gradients)
