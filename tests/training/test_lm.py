"""Training a language model: parts add up to the whole, choices are the seed's, what is frozen stays, and it learns."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from helpers.training_runs import KEPT, SETTINGS, V, assert_close, batches, loss_of, random_batch, small_model
from musicgen_edu.model.lm import codebook_loss
from musicgen_edu.training import layout, lm, validation
from musicgen_edu.training.averaging import averaged_weights
from musicgen_edu.training.layout import Batch, make_update
from musicgen_edu.training.lm import add_gradient, draw_update, train_lm, update_weights
from musicgen_edu.training.optimizers import make_optimizers
from musicgen_edu.training.processes import ALONE
from musicgen_edu.training.validation import Validation, validation_nats

PLAIN = replace(SETTINGS, condition_dropout=0.0, input_noise=0.0, word_dropout=0.0)


def gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


# Parts of a batch


@pytest.mark.parametrize("accumulation", [1, 2, 3, 5, 7, 20])
@pytest.mark.parametrize("pattern", ["delay", "flattening"])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(accumulation, pattern):
    batch = random_batch(6, 7, 12, shortest=4)
    settings = replace(PLAIN, accumulation=accumulation, pattern=pattern)
    whole, parts = small_model(), small_model()
    loss, per_codebook = loss_of(whole, batch.codes, batch.captions, KEPT, pattern, lengths=batch.lengths)
    loss.backward()
    update = make_update(batch, pattern, V)
    nats = add_gradient(parts, update, settings, ALONE)
    assert_close(gradients(parts), gradients(whole))
    torch.testing.assert_close(nats, per_codebook, atol=1e-6, rtol=0)
    assert [len(part.captions) for part in update.micro_batches(3)] == [2, 2, 3]


def test_the_mean_of_the_parts_means_is_not_the_mean_of_the_whole():
    """What the counts of the whole are there for: this is the mistake that they prevent."""
    batch, model = random_batch(6, 7, 12, shortest=4), small_model()
    update = make_update(batch, "delay", V)
    whole = loss_of(model, batch.codes, batch.captions, KEPT, lengths=batch.lengths)[0]
    means = [
        codebook_loss(model(part.captions, part.given, part.dropped), part.targets, part.valid)[0]
        for part in update.micro_batches(3)
    ]
    assert abs(torch.stack(means).mean() - whole) > 1e-4


def test_accumulation_changes_nothing_but_the_last_digits_of_a_run():
    settings = replace(SETTINGS, phases=((9, 7, 6),), ema_every=1)
    runs_of = {
        n: train_lm(small_model(), replace(settings, accumulation=n), lambda start: batches(start, settings))
        for n in (1, 4)
    }
    assert_close(runs_of[4].state_dict(), runs_of[1].state_dict(), atol=1e-4)  # Adam divides by small numbers


# Random choices


def test_random_choices_depend_on_seed_step_and_batch_only():
    batch = random_batch(8, 40, 9)
    first = draw_update(batch, SETTINGS, 3, 0, V)
    torch.manual_seed(999)
    torch.rand(5)
    again = draw_update(batch, replace(SETTINGS, accumulation=5), 3, 0, V)
    assert first.captions == again.captions
    assert torch.equal(first.dropped, again.dropped)
    assert torch.equal(first.given, again.given)
    for other in (draw_update(batch, SETTINGS, 4, 0, V), draw_update(batch, SETTINGS, 3, 1, V),
                  draw_update(batch, replace(SETTINGS, seed=12), 3, 0, V)):  # fmt: skip
        assert first.captions != other.captions
        assert not torch.equal(first.dropped, other.dropped)
        assert not torch.equal(first.given, other.given)
        assert torch.equal(first.targets, other.targets)  # they are never touched


def test_shares_of_dropped_captions_and_words():
    batch = random_batch(9, 3000, 4)
    update = draw_update(batch, SETTINGS, 0, 0, V)
    assert update.dropped.float().mean().item() == pytest.approx(0.3, abs=0.03)
    words = [len(caption.split()) for caption in update.captions]
    assert max(words) == 3  # of four: max_words comes first
    assert sum(words) / 9000 == pytest.approx(0.7, abs=0.02)
    still = draw_update(batch, PLAIN, 0, 0, V)
    assert not still.dropped.any()
    assert still.captions == [" ".join(caption.split()[:3]) for caption in batch.captions]


# What is trained, and by which optimizer


def test_every_weight_has_one_optimizer_and_muon_gets_the_matrices_of_the_layers():
    model = small_model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    owned = {
        key: {names[id(p)] for p in optimizer.param_groups[0]["params"]}
        for key, optimizer in make_optimizers(model, 0.1, muon=True).items()
    }
    assert owned["optimizer"] | owned["muon"] == set(names.values())
    assert not owned["optimizer"] & owned["muon"]
    assert {"lm.decoder.layers.0.self_attention.qkv.weight", "lm.decoder.layers.1.down.weight"} < owned["muon"]
    assert {"lm.heads.weight", "lm.embedding.tables", "lm.decoder.norm.weight"} < owned["optimizer"]
    assert list(make_optimizers(model, 0.1, muon=False)) == ["optimizer"]


def test_a_frozen_text_encoder_is_used_and_left_alone():
    model = small_model(frozen=True, dropout=0.5)
    before = {name: tensor.clone() for name, tensor in model.text_model.state_dict().items()}
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"lm"}
    assert {name.split(".")[0] for name in model.state_dict()} == {"lm"}
    owned = {
        id(p) for group in make_optimizers(model, 0.1, muon=False)["optimizer"].param_groups for p in group["params"]
    }
    assert owned == {id(parameter) for parameter in model.lm.parameters()}
    model.train()
    assert not model.text_model.training
    train_lm(model, replace(SETTINGS, phases=((9, 7, 3),)), batches)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.text_model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.text_model.parameters())
    assert copy.deepcopy(model).text_model is model.text_model
    assert copy.deepcopy(small_model()).text_model is not small_model().text_model
    assert next(model.to(torch.float64).text_model.parameters()).dtype == torch.float64  # it moves along


def test_a_text_encoder_that_is_trained_learns():
    model = small_model()
    before = model.text_model.shared.weight.clone()
    train_lm(model, replace(SETTINGS, phases=((9, 7, 3),)), batches)
    assert not torch.equal(model.text_model.shared.weight, before)


def test_a_model_that_was_judged_before_is_trained_as_a_fresh_one():
    """With dropout in its text encoder, which an evaluation switches off."""
    settings = replace(SETTINGS, phases=((9, 7, 3),), ema_every=1)
    trained = [train_lm(small_model(dropout=0.5).train(mode), settings, batches) for mode in (True, False)]
    assert_close(trained[0].state_dict(), trained[1].state_dict(), atol=0)
    assert not any(model.training for model in trained)


def test_a_language_model_overfits_a_batch_and_listens_to_its_caption():
    model = small_model()
    codes = torch.randint(0, 8, (2, 4, 10))
    codes = torch.stack([codes[0], codes[0].flip(1)])
    captions, kept = ["low", "high"], torch.zeros(2, dtype=torch.bool)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        loss, _ = loss_of(model, codes, captions, kept)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    with torch.no_grad():
        swapped, _ = loss_of(model, codes, captions[::-1], kept)
        dropped, _ = loss_of(model, codes, captions, ~kept)
    assert swapped > loss + 0.3  # the same codes under the other caption surprise it
    assert dropped > loss


# The loss, averages and validation


def test_what_runs_is_the_loss_that_lesson_07_shows(monkeypatch):
    """Every part of every batch, and every batch of the validation, goes through `pattern_loss`."""
    asked, settings = [], replace(SETTINGS, phases=((9, 7, 2),), ema_every=1)  # beginnings, two parts a batch

    def spy(model, update):
        asked.append(len(update.captions))
        return layout.pattern_loss(model, update)

    monkeypatch.setattr(lm, "pattern_loss", spy)
    monkeypatch.setattr(validation, "pattern_loss", spy)
    train_lm(small_model(), settings, batches, validation=Validation([random_batch(1, 6, 8)]))
    assert asked == [3, 4, 2, 2] * 2 + [6]


def test_the_averaged_weights_are_the_result():
    settings = replace(SETTINGS, phases=((9, 7, 7),), ema_every=2)
    model = small_model().train()
    optimizers = make_optimizers(model, settings.weight_decay, settings.muon)
    averaged = averaged_weights(model, settings.ema_decay, 2)
    for step, found in enumerate(batches(0, settings)):
        update_weights(model, optimizers, found, settings, step, ALONE)
        averaged.update_parameters(model)
    result = train_lm(small_model(), settings, lambda start: batches(start, settings))
    assert averaged.updates == 3
    assert_close(result.state_dict(), averaged.module.state_dict(), atol=0)
    assert not torch.equal(result.lm.heads.weight, model.lm.heads.weight)


@pytest.mark.parametrize("pattern", ["delay", "coarse-first"])
def test_validation_is_the_loss_over_all_batches_together(pattern):
    model, (codes, captions, lengths) = small_model(dropout=0.5).train(), random_batch(12, 7, 9)
    parts = [Batch(codes[i : i + 3], captions[i : i + 3], lengths[i : i + 3]) for i in (0, 3, 6)]
    found = validation_nats(model, parts, pattern)
    assert model.training
    assert found.dtype == torch.float64
    expected = loss_of(model.eval(), codes, captions, KEPT, pattern, lengths=lengths)[1]
    torch.testing.assert_close(found.float(), expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="nothing to validate on"):
        validation_nats(model, [])


def test_validation_comes_at_intervals_and_at_the_end_and_changes_nothing():
    history, settings = {}, replace(SETTINGS, phases=((9, 7, 8),))
    watched = train_lm(
        small_model(), settings, batches, report=history.__setitem__, validation=Validation([random_batch(1, 3, 8)], 3)
    )
    assert [step for step, figures in history.items() if "validation loss" in figures] == [2, 5, 7]
    assert set(history[7]) == {
        *("loss", "k0", "k1", "k2", "k3", "loss 1"),
        *("validation loss", "validation k0", "validation k1", "validation k2", "validation k3"),
    }
    assert history[7]["loss"] == pytest.approx(sum(history[7][f"k{k}"] for k in range(4)) / 4)
    assert history[7]["validation loss"] == pytest.approx(
        validation_nats(watched, [random_batch(1, 3, 8)]).mean().item(), abs=1e-6
    )  # of the averaged weights
    assert_close(train_lm(small_model(), settings, batches).state_dict(), watched.state_dict(), atol=0)
