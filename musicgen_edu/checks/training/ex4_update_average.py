"""Exercise 4, `update_average`: weights that follow the trained ones slowly."""

from __future__ import annotations

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .. import Exercise, expect, expect_close, expect_tensor
from ._average_answers import RIGHT, WRONG, State, _update


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


class _Trained(list):
    """Examples after which an optimizer moves the weights: what shares its memory with them is told apart."""

    def __iter__(self):
        for one in list.__iter__(self):
            yield one
            with torch.no_grad():
                one[1]["a"].add_(1)


def _update_examples(generator):
    average = {"a": torch.randn(4, generator=generator), "n": torch.tensor(3)}
    weights = {"a": torch.randn(4, generator=generator), "n": torch.tensor(20)}
    found = [
        (start, weights, step, 0.8, every) for start in (average, None) for step, every in ((2, 3), (3, 3), (0, 1))
    ]
    found.append((average, {"a": torch.ones(4, requires_grad=True), "n": torch.tensor(4)}, 0, 0.8, 1))
    return _Trained(found)


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
    wrong=WRONG,
    right=RIGHT,
    examples=_update_examples,
)
