"""Exercise 4, `update_average`: weights that follow the trained ones slowly."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .. import Exercise, Wrong, expect, expect_close, expect_tensor, seal

State = dict[str, Tensor]


def _update(average: State | None, weights: State, step: int, decay: float, every: int) -> State:
    if average is None:
        return {name: now.detach().clone() for name, now in weights.items()}
    if (step + 1) % every:
        return average
    return {name: _blend(average[name], now.detach(), decay) for name, now in weights.items()}


def _blend(before: Tensor, now: Tensor, decay: float) -> Tensor:
    return decay * before + (1 - decay) * now if now.is_floating_point() else now.clone()


def _some_weights() -> State:
    return {"layer.weight": torch.randn(2, 3), "layer.bias": torch.randn(3), "batches": torch.tensor(7)}


def has_the_names_and_forms_of_the_weights(answer):
    """The result is a dictionary with the names, shapes and dtypes of the weights."""
    weights = _some_weights()
    for average in (None, _some_weights()):
        found = answer(average, weights, 0, 0.9, 1)
        expect(isinstance(found, dict), f"the result must be a dict, not {type(found).__name__}")
        expect(list(found) == list(weights), f"the names are {list(found)}, not {list(weights)}")
        for name, one in weights.items():
            expect_tensor(found[name], one.shape, one.dtype, name)


def one_update_by_hand(answer):
    """At a decay of 0.9, an average of 1 and a weight of 3 make 1.2."""
    found = answer({"a": torch.tensor([1.0, 3.0])}, {"a": torch.tensor([3.0, 3.0])}, 0, 0.9, 1)["a"]
    expect_close(found, torch.tensor([1.2, 3.0]), "0.9 * 1 + 0.1 * 3, and 3 if nothing moves")


def only_every_nth_step_counts(answer):
    """With every = 3 it moves after steps 2, 5 and 8 (counted from 0), and stays as it is between them."""
    average, moved = {"a": torch.zeros(1)}, []
    for step in range(9):
        after = answer(average, {"a": torch.ones(1)}, step, 0.5, 3)
        if not torch.equal(after["a"], average["a"]):
            moved.append(step)
        average = after
    expect(moved == [2, 5, 8], f"the average moved in steps {moved}")
    expect_close(average["a"], torch.tensor([0.875]), "after three moves by half, from 0 to 1")


def the_first_average_is_a_copy(answer):
    """Without an average it begins as a copy of the weights, in any step: what becomes of them does not reach it."""
    for step, every in ((0, 1), (0, 10), (4, 3)):
        weights = {"a": torch.full((3,), 2.0)}
        found = answer(None, weights, step, 0.9, every)["a"]
        expect_close(found, torch.full((3,), 2.0), f"step {step}, every {every}: the first average")
        weights["a"].add_(5)  # as an optimizer does
        expect_close(found, torch.full((3,), 2.0), "the optimizer moved the weights by 5, and the average with them")


def whole_numbers_are_taken_as_they_are(answer):
    """A counter (an integer) is not averaged, but taken over."""
    average = {"batches": torch.tensor(10), "a": torch.zeros(1)}
    found = answer(average, {"batches": torch.tensor(20), "a": torch.ones(1)}, 0, 0.9, 1)["batches"]
    expect(int(found) == 20, f"a counter went from 10 to 20, the average has {found.item():g}")


def no_gradient_hangs_on_it(answer):
    """The average does not require a gradient, and keeps no graph alive."""
    weights = {"a": torch.ones(2, requires_grad=True)}
    for average in (None, {"a": torch.zeros(2)}):
        found = answer(average, weights, 0, 0.9, 1)["a"]
        expect(not found.requires_grad, "the average requires a gradient: each step would hang on all before it")


def follows_a_training_as_torch_does(answer):
    """Over twenty steps of a small model it equals PyTorch's AveragedModel."""
    for decay in (0.7, 0.97):
        model = torch.nn.Linear(3, 2)
        average, theirs = None, AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
        for step in range(20):
            average = answer(average, model.state_dict(), step, decay, 1)
            theirs.update_parameters(model)
            with torch.no_grad():
                for one in model.parameters():
                    one.add_(0.3 * torch.randn_like(one))
        for name, target in theirs.module.state_dict().items():
            expect_close(average[name], target, f"decay {decay}: {name} after twenty steps")


def _with(blend):
    """A wrong answer whose arithmetic is `blend(before, now, decay)`."""

    def wrong(average, weights, step, decay, every):
        if average is None or (step + 1) % every:
            return _update(average, weights, step, decay, every)
        return {name: blend(average[name], one.detach(), decay) for name, one in weights.items()}

    wrong.__name__ = f"_update{blend.__name__}"
    return wrong


def _reversed(before, now, decay):
    return (1 - decay) * before + decay * now if now.is_floating_point() else now.clone()


def _without_share(before, now, decay):
    return decay * before + now if now.is_floating_point() else now.clone()


def _counters_too(before, now, decay):
    return (decay * before + (1 - decay) * now).to(now.dtype)


def _everything_float(before, now, decay):
    return decay * before + (1 - decay) * now


def _update_every_step(average, weights, step, decay, every):
    return _update(average, weights, step, decay, 1)


def _update_after_step_0(average, weights, step, decay, every):
    return _update(average, weights, step - 1, decay, every)


def _update_forgets_between(average, weights, step, decay, every):
    return _update(average if (step + 1) % every == 0 else None, weights, step, decay, every)


def _update_power(average, weights, step, decay, every):
    return _update(average, weights, step, decay**every, every)


def _update_alias(average, weights, step, decay, every):
    return (
        {k: v.detach() for k, v in weights.items()}
        if average is None
        else _update(average, weights, step, decay, every)
    )


def _update_from_zero(average, weights, step, decay, every):
    zeros = {name: one.detach() * 0 for name, one in weights.items()}
    return _update(average or zeros, weights, step, decay, every)


def _update_with_graph(average, weights, step, decay, every):
    if average is None or (step + 1) % every:
        return {name: one.clone() for name, one in weights.items()} if average is None else average
    return {name: _blend(average[name], one, decay) for name, one in weights.items()}


@torch.no_grad()
def _update_lerp(average, weights, step, decay, every):
    average = {name: one.clone() for name, one in (average or weights).items()}
    if (step + 1) % every == 0:
        for name, now in weights.items():
            if now.is_floating_point():
                average[name].lerp_(now, 1 - decay)
            else:
                average[name].copy_(now)
    return average


def _update_difference(average, weights, step, decay, every):
    if average is None:
        average = {name: one.detach().clone() for name, one in weights.items()}
    moves = step % every == every - 1
    new = {}
    for name in average:
        now, before = weights[name].detach(), average[name].clone()
        new[name] = (
            before if not moves else before + (now - before) * (1 - decay) if now.dtype.is_floating_point else +now
        )
    return new


def _update_examples(generator):
    average = {"a": torch.randn(4, generator=generator), "n": torch.tensor(3)}
    weights = {"a": torch.randn(4, generator=generator), "n": torch.tensor(20)}
    found = [
        (start, weights, step, 0.8, every) for start in (average, None) for step, every in ((2, 3), (3, 3), (0, 1))
    ]
    return [*found, (average, {"a": torch.ones(4, requires_grad=True), "n": torch.tensor(4)}, 0, 0.8, 1)]


update_average = Exercise(
    "update_average",
    reference=_update,
    properties=(
        has_the_names_and_forms_of_the_weights,
        one_update_by_hand,
        only_every_nth_step_counts,
        the_first_average_is_a_copy,
        whole_numbers_are_taken_as_they_are,
        no_gradient_hangs_on_it,
        follows_a_training_as_torch_does,
    ),
    wrong=(
        Wrong(
            _with(_everything_float),
            "has_the_names_and_forms_of_the_weights",
            "Averaging makes a float out of a counter, and load_state_dict would round it. Take integers as they are.",
        ),
        Wrong(
            _with(_reversed),
            "one_update_by_hand",
            "The decay is reversed: it is the share of the average that stays, and 1 - decay that of the new weights.",
        ),
        Wrong(
            _with(_without_share),
            "one_update_by_hand",
            "You add the whole new weight. It comes with the share 1 - decay, or the average grows without end.",
        ),
        Wrong(
            _update_every_step,
            "only_every_nth_step_counts",
            "You move in every step, whatever `every` says.",
        ),
        Wrong(
            _update_after_step_0,
            "only_every_nth_step_counts",
            "You move after step 0, when only one step is done: it is step + 1 that has to be a multiple of `every`.",
        ),
        Wrong(
            _update_forgets_between,
            "only_every_nth_step_counts",
            "Between two moves you return the weights. The average stays as it is then.",
        ),
        Wrong(
            _update_power,
            "only_every_nth_step_counts",
            "You use decay ** every. The decay belongs to a move, not to a step: 0.99 every 10 steps remembers ten "
            "times as long.",
        ),
        Wrong(
            _update_alias,
            "the_first_average_is_a_copy",
            "Your first average shares its memory with the weights: detach() copies nothing, and the optimizer writes "
            "in place. clone() does.",
        ),
        Wrong(
            _update_from_zero,
            "the_first_average_is_a_copy",
            "You begin with zeros. With a decay of 0.99 it takes hundreds of moves until they are forgotten; begin "
            "with a copy.",
        ),
        Wrong(
            _with(_counters_too),
            "whole_numbers_are_taken_as_they_are",
            "You average a counter as well, and cut it to an integer again. Ask one.is_floating_point().",
        ),
        Wrong(
            _update_with_graph,
            "no_gradient_hangs_on_it",
            "Your average requires a gradient. Then it keeps the graph of every step alive, until the memory is full: "
            "detach().",
        ),
    ),
    right=(_update_lerp, _update_difference),
    examples=_update_examples,
)

seal(__name__)
