"""Exercise 5, `update_with_pieces`: gradient accumulation that equals the larger batch."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import Exercise, Wrong, expect, expect_close, seal
from ._pieces import Counting, Piece, Watched, some_pieces


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


def _after(run, model: nn.Module, pieces: list[Piece], stale: bool = False) -> tuple[float, Tensor, int]:
    """One update of a copy of the model: what was returned, its parameters as one vector, and the optimizer's steps."""
    model = copy.deepcopy(model)
    optimizer = Counting(model.parameters(), lr=0.5)
    if stale:
        for one in model.parameters():
            one.grad = torch.ones_like(one)
    said = run(model, optimizer, pieces)
    return said, nn.utils.parameters_to_vector(model.parameters()).detach(), optimizer.steps


def _expect_big_batch(answer, pieces: list[Piece], what: str, stale: bool = False) -> None:
    model = nn.Linear(4, 5)
    _, yours, _ = _after(answer, model, pieces, stale)
    expect_close(yours, _after(_update, model, [_whole(pieces)])[1], what)


def one_piece_is_an_ordinary_update(answer):
    """With one piece it is the ordinary update of the optimizer, on the valid positions."""
    _expect_big_batch(answer, some_pieces([6]), "the weights after one piece, all positions valid")
    _expect_big_batch(answer, some_pieces([4]), "the weights after one piece, 4 of 6 positions valid")


def old_gradients_do_not_count(answer):
    """Gradients that were left over from before do not count."""
    _expect_big_batch(answer, some_pieces([5]), "the weights; before the call, all gradients were 1", stale=True)


def the_optimizer_steps_once(answer):
    """The optimizer steps once, however many pieces there are."""
    for count in (1, 3):
        steps = _after(answer, nn.Linear(4, 5), some_pieces([6] * count))[2]
        expect(steps == 1, f"{count} pieces: the optimizer stepped {steps} times")


def equal_pieces_equal_the_batch(answer):
    """Three pieces of the same size leave the same weights as one batch of all."""
    _expect_big_batch(answer, some_pieces([6, 6, 6]), "the weights after three equal pieces")


def unequal_pieces_equal_the_batch(answer):
    """Pieces with 6, 1 and 3 valid positions, too."""
    _expect_big_batch(answer, some_pieces([6, 1, 3]), "the weights after pieces of 6, 1 and 3 valid positions")


def a_piece_without_valid_positions_is_harmless(answer):
    """A piece without a valid position changes nothing."""
    pieces = some_pieces([5, 0, 2])
    said, yours, _ = _after(answer, nn.Linear(4, 5), pieces)
    expect(bool(yours.isfinite().all()), "the weights are NaN after a piece without valid positions")
    expect(math.isfinite(float(said)), f"the loss is {float(said)} with a piece without valid positions")
    _expect_big_batch(answer, pieces, "the weights after pieces of 5, 0 and 2 valid positions")


def the_loss_is_that_of_the_batch(answer):
    """It returns the mean over all valid positions, before the update, as a float."""
    for counts in ([6, 6], [6, 1, 3]):
        model, pieces = nn.Linear(4, 5), some_pieces(counts)
        said = _after(answer, model, pieces)[0]
        expect(isinstance(said, float), f"the loss must be a float, not {type(said).__name__}: loss.item()")
        expect_close(said, _nats(model, _whole(pieces)).mean().item(), f"valid positions {counts}: the loss")


def no_piece_waits_for_the_others(answer):
    """Only one piece is in memory at a time: forward and backward of it, then the next."""
    model = Watched()
    answer(model, torch.optim.SGD(model.parameters(), lr=0.1), some_pieces([6, 2, 3]))
    expect(model.said == ["reads 6", "backward"] * 3, f"three pieces of 6: the model {', '.join(model.said)}")


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
    return losses[-1] * _total(pieces) / max(1, _total(pieces[-1:]))


def _update_loss_afterwards(model, optimizer, pieces):
    _update(model, optimizer, pieces)
    return _nats(model, _whole(pieces)).mean().item()


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
        watched = Watched()
    return [*found, (watched, torch.optim.SGD(watched.parameters(), lr=0.5), found[1][2])]


update_with_pieces = Exercise(
    "update_with_pieces",
    reference=_update,
    properties=(
        one_piece_is_an_ordinary_update,
        old_gradients_do_not_count,
        the_optimizer_steps_once,
        equal_pieces_equal_the_batch,
        unequal_pieces_equal_the_batch,
        a_piece_without_valid_positions_is_harmless,
        the_loss_is_that_of_the_batch,
        no_piece_waits_for_the_others,
    ),
    wrong=(
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
    ),
    right=(_update_ignore, _update_divide_gradients),
    examples=_update_examples,
)

seal(__name__)
