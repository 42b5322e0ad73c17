"""Averaged weights: the recurrence, every n-th update, and a state that can be gone on from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from musicgen_edu.training.averaging import averaged_weights


def moved(model: nn.Linear, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_the_recurrence_by_hand_over_every_nth_update(every, decay):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    averaged, expected, updates = averaged_weights(model, decay, every), None, 0
    for step in range(1, 24):
        moved(model, step)
        averaged.update_parameters(model)
        if step % every == 0:
            d = min(decay, (1 + updates) / (10 + updates))
            now = model.weight.detach().double()
            expected = now.clone() if expected is None else d * expected + (1 - d) * now
            updates += 1
        assert averaged.updates == updates
        if expected is not None:
            torch.testing.assert_close(averaged.module.weight.double(), expected, atol=1e-6, rtol=0)


def test_before_the_first_counted_update_it_is_what_it_was_made_from():
    model = nn.Linear(3, 2)
    before, averaged = model.weight.clone(), averaged_weights(model, 0.9, every=4)
    for step in range(3):
        moved(model, step)
        averaged.update_parameters(model)
    assert averaged.updates == 0
    assert torch.equal(averaged.module.weight, before)


def test_it_goes_on_from_its_state_between_two_counted_updates():
    def run(stop: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        averaged = averaged_weights(model, 0.9, every=3)
        for step in range(17):
            if step == stop:
                state, averaged = averaged.state_dict(), averaged_weights(nn.Linear(3, 2), 0.9, every=3)
                averaged.load_state_dict(state)
            moved(model, step)
            averaged.update_parameters(model)
        return averaged.module.weight

    assert torch.equal(run(None), run(10))


def test_buffers_are_copied_and_the_model_is_not_touched():
    model = nn.BatchNorm1d(2)
    averaged = averaged_weights(model, 0.9)
    model.running_mean += 3
    averaged.update_parameters(model)
    assert torch.equal(averaged.module.running_mean, torch.full((2,), 3.0))
    model(torch.randn(8, 2))
    assert not torch.equal(averaged.module.running_mean, model.running_mean)


@pytest.mark.parametrize(("decay", "every", "name"), [(1.0, 1, "decay"), (-0.1, 1, "decay"), (0.9, 0, "every")])
def test_what_makes_no_sense_is_named(decay, every, name):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        averaged_weights(nn.Linear(1, 1), decay, every)
