"""Numbers that are not finite end a training, and the last good state stays on the disk."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from helpers.training_runs import SETTINGS, batches, random_batch, small_model
from musicgen_edu.errors import NotFinite
from musicgen_edu.model.encodec import EncodecConfig, EncodecModel
from musicgen_edu.training import lm, runs
from musicgen_edu.training.adversarial import AdversarialTraining
from musicgen_edu.training.codec import CodecTraining, train_codec
from musicgen_edu.training.lm import train_lm
from musicgen_edu.training.loop import apply_gradients, check_figures, train
from musicgen_edu.training.processes import Processes
from musicgen_edu.training.validation import Validation

SHORT = replace(SETTINGS, phases=((9, 7, 6),), ema_every=1, beginnings=None)


def line(weight: float = 1.0) -> tuple[nn.Linear, dict[str, torch.optim.Optimizer]]:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, weight)
    return model, {"optimizer": torch.optim.SGD(model.parameters(), lr=0.0)}


def broken_at(step: int, what: str):
    """Six updates that break one of a run's numbers after so many."""
    model, optimizers = line()

    def updates(start):
        for now in range(start, 6):
            broken = now == step
            model.zero_grad()
            loss = model(torch.ones(1, 1)).sum() * (math.inf if broken and what == "gradient" else 1)
            loss.backward()
            apply_gradients(model, optimizers, 1e-3, 1.0)
            if broken and what == "weight":
                model.weight.data.fill_(math.nan)
            if broken and what == "optimizer":
                optimizers["optimizer"].state[model.weight]["momentum"] = torch.tensor(math.inf)
            yield {"loss": math.nan if broken and what == "loss" else 1.0}

    return model, optimizers, updates


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("loss", "loss is nan"),
        ("gradient", "the length of the gradient is (nan|inf)"),
        ("weight", "of the model's state weight holds NaN"),
        ("optimizer", "of the optimizer's state state.0.momentum holds NaN"),
        ("validation", "validation loss is -inf"),
    ],
)
@pytest.mark.parametrize("main", [True, False])
def test_whatever_breaks_the_run_stops_and_the_last_good_state_stays(tmp_path, what, said, main):
    path, told = tmp_path / "run.pt", []
    model, optimizers, updates = broken_at(4, what)

    def judge(step, judged):
        return {"validation loss": -math.inf if step == 4 and what == "validation" else 1.0}

    with pytest.raises(NotFinite, match=rf"training stopped in step 5 of 6: {said}") as stopped:
        train(
            model, updates, 6, None, path, 1, lambda step, figures: told.append(step), judge=judge, main=main,
            **optimizers,
        )  # fmt: skip
    assert "\n" not in str(stopped.value)
    if main:
        assert f"{path} keeps the state after 4 steps" in str(stopped.value)
        found, others = line()
        assert runs.load_run(path, found, **others) == 4
        assert torch.isfinite(found.weight).all()
        assert told[:4] == [0, 1, 2, 3]
    else:
        assert not path.exists()


def test_a_run_that_broke_before_its_first_state_says_that_nothing_was_written(tmp_path):
    model, optimizers, updates = broken_at(1, "loss")
    with pytest.raises(NotFinite, match="nothing was written"):
        train(model, updates, 6, None, tmp_path / "run.pt", 4, **optimizers)
    assert not list(tmp_path.iterdir())


def test_weights_are_looked_at_where_no_state_is_written():
    """The last update has no loss after it that would tell."""
    model, optimizers, updates = broken_at(5, "weight")
    with pytest.raises(NotFinite, match="training stopped in step 6 of 6"):
        train(model, updates, 6, **optimizers)


def test_a_gradient_that_is_not_finite_updates_nothing():
    model, optimizers = line(2.0)
    model.weight.grad = torch.full((1, 1), math.nan)
    with pytest.raises(NotFinite, match="the length of the gradient is nan"):
        apply_gradients(model, optimizers, 1.0, 1.0)
    assert model.weight.item() == 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_any_figure_counts(value):
    check_figures({"loss": 1e30, "k0": -5.0})
    with pytest.raises(NotFinite, match=f"k3 is {value}"):
        check_figures({"loss": 1.0, "k3": value})


@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_a_language_model_of_a_rate_far_too_large(tmp_path, rate):
    validation = Validation([random_batch(1, 3, 10)], every=1)
    settings = replace(SHORT, learning_rate=rate, warmup=1)
    with pytest.raises(NotFinite, match=r"training stopped in step .* a smaller learning rate"):
        train_lm(
            small_model(), settings, lambda start: batches(start, settings), tmp_path / "run.pt", 1,
            validation=validation,
        )  # fmt: skip
    if (tmp_path / "run.pt").exists():
        runs.load_run(tmp_path / "run.pt", small_model())


def test_every_process_notices_that_a_gradient_is_broken(monkeypatch):
    """The sum of the gradients is that of all processes, so none of them is left waiting for the others."""

    class Other(Processes):
        def rows(self, B):
            return slice(B)

        def sum_gradients(self, model):
            next(model.parameters()).grad.view(-1)[0] = math.nan  # what another process has computed

    for index in range(2):
        with pytest.raises(NotFinite, match="step 1 of 6: the length of the gradient"):
            train_lm(small_model(), SHORT, lambda start: batches(start, SHORT), processes=Other(1, index))


CODEC = EncodecConfig(
    sampling_rate=16000, num_filters=2, upsampling_ratios=(8, 8, 5), hidden_size=8, codebook_size=16, num_codebooks=2,
    num_lstm_layers=1,
)  # fmt: skip


@pytest.mark.parametrize("adversarial", [None, AdversarialTraining(windows=(256, 64), channels=2)])
@pytest.mark.parametrize("sound", [math.nan, 1e38])
def test_a_codec_that_is_given_sound_that_is_no_sound(tmp_path, adversarial, sound):
    settings = CodecTraining(steps=3, batch=2, segment_frames=10, bfloat16=False, adversarial=adversarial)
    torch.manual_seed(0)
    segments = [torch.randn(2, 1, 3200) * 0.1, torch.full((2, 1, 3200), sound), torch.zeros(2, 1, 3200)]
    path = tmp_path / "run.pt"
    with pytest.raises(NotFinite, match=r"training stopped in step 2 of 3: .* keeps the state after 1 steps"):
        train_codec(EncodecModel(CODEC), settings, lambda start: iter(segments[start:]), path, 1)
    model = EncodecModel(CODEC)
    assert runs.load_run(path, model) == 1
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values() if tensor.is_floating_point())


def test_a_discriminator_that_breaks(tmp_path):
    adversarial = AdversarialTraining(windows=(256,), channels=2, learning_rate=math.inf, learns=1.0)
    settings = CodecTraining(steps=4, batch=2, segment_frames=10, bfloat16=False, adversarial=adversarial)
    with pytest.raises(NotFinite, match="training stopped in step"):
        train_codec(
            EncodecModel(CODEC), settings, lambda start: iter([torch.randn(2, 1, 3200) * 0.1] * 4), tmp_path / "run.pt"
        )
    assert not (tmp_path / "run.pt").exists()


def test_nothing_is_shared_with_the_update_of_a_lesson():
    """`update_weights` is what the lessons call step by step: it stops as well."""
    model = small_model()
    next(model.lm.parameters()).data.fill_(math.nan)
    with pytest.raises(NotFinite):
        lm.update_weights(model, lm.make_optimizers(model, 0.0, False), next(batches(0)), SETTINGS, 0, Processes())
