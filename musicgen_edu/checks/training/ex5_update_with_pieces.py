"""Exercise 5, `update_with_pieces`: gradient accumulation that equals the larger batch."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from .. import Exercise, expect, expect_close
from ._pieces import Counting, Piece, Watched, some_pieces
from ._pieces_answers import RIGHT, WRONG, _nats, _update, _whole


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
    wrong=WRONG,
    right=RIGHT,
    examples=_update_examples,
)
