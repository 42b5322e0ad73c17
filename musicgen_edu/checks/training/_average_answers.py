"""Exercise 4, answers on record: right and wrong ways to average weights."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import Wrong

State = dict[str, Tensor]


def _update(average: State | None, weights: State, step: int, decay: float, every: int) -> State:
    if average is None:
        return {name: now.detach().clone() for name, now in weights.items()}
    if (step + 1) % every:
        return average
    return {name: _blend(average[name], now.detach(), decay) for name, now in weights.items()}


def _blend(before: Tensor, now: Tensor, decay: float) -> Tensor:
    return decay * before + (1 - decay) * now if now.is_floating_point() else now.clone()


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


def _update_growing(average, weights, step, decay, every):
    return _update(average, weights, step, min(decay, (1 + step) / (10 + step)), every)


def _update_in_place(average, weights, step, decay, every):
    if average is None or (step + 1) % every:
        return _update(average, weights, step, decay, every)
    for name, now in weights.items():
        average[name] = _blend(average[name], now.detach(), decay)
    return average


def _update_starts_late(average, weights, step, decay, every):
    return average if (step + 1) % every else _update(average, weights, step, decay, every)


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


def _undetached(wrong: Wrong) -> Wrong:
    """The same mistake by someone who has not detached the weights either: each of the two would hide the other."""

    def answer(average, weights, step, decay, every):
        found = wrong.answer(average, weights, step, decay, every)
        for name, one in (found or {}).items():
            one.requires_grad_(weights[name].requires_grad or one.requires_grad)
        return found

    answer.__name__ = f"{wrong.answer.__name__}_undetached"
    return Wrong(answer, wrong.breaks, f"{wrong.hint} And detach() the weights: the average requires no gradient.")


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


_WRONG = (
    Wrong(
        _update_in_place,
        "has_the_names_and_forms_of_the_weights",
        "You write into the average that you were given, and whoever kept it finds it changed. Return a new "
        "dictionary with new tensors.",
    ),
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
        _update_growing,
        "one_update_by_hand",
        "Your decay is small at the start and grows, as in lesson 07. Here it is d from the first move on.",
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
        _update_starts_late,
        "the_first_average_is_a_copy",
        "Between two moves you return the average before you have asked whether there is one. It begins at "
        "whatever step it is first asked for.",
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
)


_WITH_GRAPH = Wrong(
    _update_with_graph,
    "no_gradient_hangs_on_it",
    "Your average requires a gradient. Then it keeps the graph of every step alive, until the memory is full: "
    "detach().",
)


WRONG = (*_WRONG, *map(_undetached, _WRONG), _WITH_GRAPH)
RIGHT = (_update_lerp, _update_difference)
