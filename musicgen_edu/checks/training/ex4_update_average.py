"""Exercise 4, `update_average`: weights that follow the trained ones slowly."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .. import Exercise, Wrong, expect, expect_close, expect_equal, expect_tensor, mistakes


def _update(average, weights, step, decay, every):
    if average is None:
        return {name: now.detach().clone() for name, now in weights.items()}
    if (step + 1) % every:
        return average
    moved = {}
    for name, now in weights.items():
        now, before = now.detach(), average[name]
        moved[name] = decay * before + (1 - decay) * now if now.is_floating_point() else now.clone()
    return moved


def _some_weights() -> dict:
    return {
        "layer.weight": torch.randn(2, 3), "layer.bias": torch.randn(3), "batches": torch.tensor(7),
        "wide": torch.randn(2, dtype=torch.float64), "half": torch.randn(2, 2).bfloat16(), "scale": torch.tensor(2.0),
        "seen": torch.arange(3, dtype=torch.int32),
    }  # fmt: skip


def has_the_names_and_forms_of_the_weights(answer):
    """The result is a dictionary with the names, shapes and dtypes of the weights."""
    weights = _some_weights()
    for average, every in ((None, 1), (_some_weights(), 1), (_some_weights(), 2)):
        found = answer(average, weights, 0, 0.9, every)
        expect(isinstance(found, dict), f"the result must be a dict, not {type(found).__name__}")
        expect_equal(list(found), list(weights), "the names")
        for name, one in weights.items():
            expect_tensor(found[name], one.shape, one.dtype, name)


def one_update_by_hand(answer):
    """At a decay of 0.9, an average of 1 and a weight of 3 make 1.2."""
    for form in (torch.float32, torch.float64):
        before, now = torch.tensor([1.0, 3.0], dtype=form), torch.tensor([3.0, 3.0], dtype=form)
        found = answer({"a": before}, {"a": now}, 0, 0.9, 1)["a"]
        expect_close(found, torch.tensor([1.2, 3.0]), f"0.9 * 1 + 0.1 * 3, and 3 if nothing moves, in {form}")


def only_every_nth_step_counts(answer):
    """With every = 3 it moves after steps 2, 5 and 8 (counted from 0), and stays as it is between them."""
    average, moved = {"a": torch.zeros(1)}, []
    for step in range(9):
        after = answer(average, {"a": torch.ones(1)}, step, 0.5, 3)
        if not torch.equal(after["a"], average["a"]):
            moved.append(step)
        average = after
    expect_equal(moved, [2, 5, 8], "the steps in which the average moved")
    expect_close(average["a"], torch.tensor([0.875]), "after three moves by half, from 0 to 1")
    counter = answer({"n": torch.tensor(3)}, {"n": torch.tensor(4)}, 0, 0.5, 3)["n"]
    expect_equal(counter, 3, "a counter of the average after step 0, every = 3")


def the_first_average_is_a_copy(answer):
    """Without an average it begins as a copy of the weights, in any step: what becomes of them does not reach it."""
    for step, every in ((0, 1), (0, 10), (4, 3), (2, 3)):
        weights = {"a": torch.full((3,), 2.0), "n": torch.tensor(2)}
        found = answer(None, weights, step, 0.9, every)
        for name, one in weights.items():
            expect_close(found[name], 2 + 0 * one, f"step {step}, every {every}: the first average of {name!r}")
            one.add_(5)  # as an optimizer does
            expect_close(found[name], one - 5, f"the first average of {name!r} after the optimizer moved the weights")


def later_averages_are_copies_too(answer):
    """Later averages share no memory with the weights either, neither a counter nor a weight at a decay of 0."""
    for decay in (0.9, 0.0):
        average, weights = {"a": torch.ones(2), "n": torch.tensor(1)}, {"a": torch.ones(2), "n": torch.tensor(1)}
        found = answer(average, weights, 0, decay, 1)
        for name, one in weights.items():
            before = one.clone()
            one.add_(5)
            expect_close(found[name], before, f"decay {decay}: the average of {name!r} after the weights moved on by 5")


def whole_numbers_are_taken_as_they_are(answer):
    """A counter (an integer) is not averaged, but taken over."""
    for form in (torch.int64, torch.int32, torch.uint8):
        average = {"batches": torch.tensor(0, dtype=form), "a": torch.zeros(1)}
        weights = {"batches": torch.tensor(20, dtype=form), "a": torch.ones(1)}
        found = answer(average, weights, 0, 0.9, 1)["batches"]
        expect_equal(found, weights["batches"], f"a counter of {form} went from 0 to 20: that of the average")
    found = answer({"batches": torch.tensor(20)}, {"batches": torch.tensor(7)}, 0, 0.9, 1)["batches"]
    expect_equal(found, 7, "a counter went from 20 down to 7: that of the average")


def no_gradient_hangs_on_it(answer):
    """The average does not require a gradient, and keeps no graph alive."""
    weights = {"a": torch.ones(2, requires_grad=True)}
    for average in (None, {"a": torch.zeros(2)}):
        found = answer(average, weights, 0, 0.9, 1)["a"]
        expect(not found.requires_grad, "no gradient is expected, but the average requires one")


def follows_a_training_as_torch_does(answer):
    """Over twenty steps of a small model it equals PyTorch's AveragedModel."""
    for decay, every in ((0.7, 1), (0.97, 1), (0.8, 4)):
        model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        average = answer(None, model.state_dict(), 0, decay, 1000)
        theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        theirs.update_parameters(model)
        for step in range(20):
            with torch.no_grad():
                model(torch.randn(5, 3))  # moves the counter and the statistics of the norm
                for one in model.parameters():
                    one.add_(0.3 * torch.randn_like(one))
            average = answer(average, model.state_dict(), step, decay, every)
            if (step + 1) % every == 0:
                theirs.update_parameters(model)
        for name, target in theirs.module.state_dict().items():
            if target.is_floating_point():  # torch cuts the mean of a counter
                what = f"decay {decay}, every {every}: {name} after twenty steps"
                expect_close(average[name], target, what)


class _Trained(list):
    """Examples after which an optimizer moves the weights: what shares its memory with them is told apart."""

    def __iter__(self):
        for one in list.__iter__(self):
            yield one
            with torch.no_grad():
                one[1]["a"].add_(1)
                one[1]["n"].add_(1)


def _update_examples(generator):
    average = {"a": torch.randn(4, generator=generator), "n": torch.tensor(3)}
    weights = {"a": torch.randn(4, generator=generator), "n": torch.tensor(20)}
    found = [
        (start, weights, step, 0.8, every) for start in (average, None) for step, every in ((2, 3), (3, 3), (0, 1))
    ]
    found.append((average, {"a": torch.ones(4, requires_grad=True), "n": torch.tensor(4)}, 0, 0.8, 1))
    found.append((average, {"a": torch.ones(4), "n": torch.tensor(1)}, 0, 0.8, 1))
    return _Trained(found)


def _in_place(average, weights, step, decay, every):
    if average is None or (step + 1) % every:
        return _update(average, weights, step, decay, every)
    for name, now in _update(average, weights, step, decay, every).items():
        average[name] = now
    return average


def _with_graph(average, weights, step, decay, every):
    if average is None or (step + 1) % every:
        return {name: one.clone() for name, one in weights.items()} if average is None else average
    share = {name: (1 - decay) * one for name, one in weights.items()}
    return {
        name: decay * average[name] + share[name] if one.is_floating_point() else one.clone()
        for name, one in weights.items()
    }


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
            before if not moves else before + (now - before) * (1 - decay) if now.dtype.is_floating_point else 1 * now
        )
    return new


MIX = "decay * before + (1 - decay) * now if now.is_floating_point() else now.clone()"
FIRST = "return {name: now.detach().clone() for name, now in weights.items()}"

_WRONG = mistakes(_update, {
    has_the_names_and_forms_of_the_weights: [
        (_in_place, "You write into the average that you were given, and whoever kept it finds it changed. Return a "
         "new dictionary with new tensors."),
        (MIX, "decay * before + (1 - decay) * now",
         "Averaging makes a float out of a counter, and load_state_dict would round it. Take integers as they are."),
        ("decay * before", "decay * before.float()", "You turn every weight into float32. Each keeps its own dtype."),
    ],
    one_update_by_hand: [
        ("decay * before + (1 - decay) * now if", "(1 - decay) * before + decay * now if", "The decay is reversed: it "
         "is the share of the average that stays, and 1 - decay that of the new weights."),
        ("(1 - decay) * now if", "now if",
         "You add the whole new weight. It comes with the share 1 - decay, or the average grows without end."),
        ("moved = {}", "moved, decay = {}, min(decay, (1 + step) / (10 + step))",
         "Your decay is small at the start and grows, as in lesson 07. Here it is d from the first move on."),
        ("now.is_floating_point()", "now.dtype == torch.float32", "You average float32 alone, and take other floats "
         "over as they are. Ask one.is_floating_point()."),
    ],
    only_every_nth_step_counts: [
        ("(step + 1) % every", "False", "You move in every step, whatever `every` says."),
        ("(step + 1) % every", "step % every",
         "You move after step 0, when only one step is done: it is step + 1 that has to be a multiple of `every`."),
        ("return average", FIRST, "Between two moves you return the weights. The average stays as it is then."),
        ("moved = {}", "moved, decay = {}, decay**every", "You use decay ** every. The decay belongs to a move, not to "
         "a step: 0.99 every 10 steps remembers ten times as long."),
        ("return average", "return {name: average[name] if now.is_floating_point() else now.detach().clone() for "
         "name, now in weights.items()}", "Between two moves you take the counters over already. All of the average "
         "stays as it is then."),
    ],
    the_first_average_is_a_copy: [
        (".detach().clone() for", ".detach() for", "Your first average shares its memory with the weights: detach() "
         "copies nothing, and the optimizer writes in place. clone() does."),
        ("    if average is None:\n        " + FIRST, "", "(step + 1) % every:\n        return average",
         "(step + 1) % every: return average\n    if average is None: " + FIRST, "Between two moves you return the "
         "average before you have asked whether there is one. It begins at whatever step it is first asked for."),
        (FIRST, "average = {name: 0 * now.detach() for name, now in weights.items()}", "You begin with zeros. With a "
         "decay of 0.99 it takes hundreds of moves until they are forgotten; begin with a copy."),
        (FIRST, "return {name: now.detach().clone() if now.is_floating_point() else now.detach() for name, now in "
         "weights.items()}", "In your first average the integers share their memory with the weights. A counter goes "
         "on in place: clone() it, too."),
    ],
    later_averages_are_copies_too: [
        ("else now.clone()", "else now", "You hand on the counter of the weights itself, and it goes on counting in "
         "your average. detach() copies nothing; clone() does."),
        ("moved = {}", "moved = {}\n    if decay == 0: return {name: now.detach() for name, now in weights.items()}",
         "At a decay of 0 you return the weights themselves, and the optimizer writes into them. clone()."),
    ],
    whole_numbers_are_taken_as_they_are: [
        (MIX, "(decay * before + (1 - decay) * now).to(now.dtype)",
         "You average a counter as well, and cut it to an integer again. Ask one.is_floating_point()."),
        (MIX, "now.clone() if now.dtype == torch.int64 else (decay * before + (1 - decay) * now).to(now.dtype)",
         "You know int64 alone for a counter. Other integers are counters, too: is_floating_point()."),
        ("else now.clone()", "else torch.maximum(before, now)", "You keep the larger of two counters. It is taken over "
         "from the weights, whatever it was."),
        ("else now.clone()", "else before.clone()", "You keep the counter of the average. It is taken over from the "
         "weights."),
    ],
})  # fmt: skip

_GRAPH = Wrong(
    _with_graph,
    "no_gradient_hangs_on_it",
    "Your average requires a gradient. Then it keeps the graph of every step alive, until the memory is full: "
    "detach().",
)

update_average = Exercise(
    "update_average",
    reference=_update,
    properties=(
        has_the_names_and_forms_of_the_weights, one_update_by_hand, only_every_nth_step_counts,
        the_first_average_is_a_copy, later_averages_are_copies_too, whole_numbers_are_taken_as_they_are,
        no_gradient_hangs_on_it, follows_a_training_as_torch_does,
    ),
    wrong=(*_WRONG, *map(_undetached, _WRONG), _GRAPH),
    right=(_update_lerp, _update_difference),
    examples=_update_examples,
)  # fmt: skip
