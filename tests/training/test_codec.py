"""Codec training with discriminator, balancer and averaged weights: it goes on where it stopped, and does not drift."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import pytest
import torch

from musicgen_edu.data.pieces import GRID
from musicgen_edu.model.encodec import EncodecConfig, EncodecModel
from musicgen_edu.training.adversarial import AdversarialTraining, Adversary
from musicgen_edu.training.codec import (
    CodecTraining,
    add_gradients,
    averaged_weights,
    codec_losses,
    procedural_segments,
    reconstruct,
    train_codec,
)
from musicgen_edu.training.losses import MelLoss

CODEC = EncodecConfig(
    sampling_rate=16000, num_filters=2, upsampling_ratios=(8, 8, 5), hidden_size=8, codebook_size=16, num_codebooks=2,
    num_lstm_layers=1,
)  # fmt: skip
PLAIN = CodecTraining(steps=6, batch=4, segment_frames=10, warmup=2, bfloat16=False)
ADVERSARIAL = AdversarialTraining(windows=(256, 64), channels=2, start=1, learns=0.7)
FULL = replace(PLAIN, steps=9, adversarial=ADVERSARIAL, ema_decay=0.9)


@functools.cache
def batch(step: int) -> torch.Tensor:
    """Composed and played once, for all runs of this file."""
    return next(procedural_segments(4, 10, 0, step))


def segments(start):
    return map(batch, itertools.count(start))


def small_codec(seed: int = 3) -> EncodecModel:
    torch.manual_seed(seed)
    return EncodecModel(CODEC)


def run(settings, model=None, **options):
    """Train a small codec; returns it with the losses of each step."""
    losses = []
    model = train_codec(
        model or small_codec(), settings, segments, report=lambda step, found: losses.append(found), **options
    )
    return model, losses


def assert_same_weights(a, b):
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


def test_without_the_new_options_a_run_gives_the_numbers_that_it_always_gave():
    """Recorded before discriminator, balancer and averages existed: the recipe of the shipped codec depends on it."""
    recorded = [
        (0.412912, 2.071537, 0.000005), (0.404698, 2.560456, 0.000727), (0.394942, 2.064459, 0.007543),
        (0.389531, 2.629194, 0.007062), (0.379130, 2.529269, 0.007934), (0.367579, 2.424090, 0.010378),
    ]  # fmt: skip
    model, losses = run(PLAIN)
    found = [tuple(step[name] for name in ("waveform", "mel", "commitment")) for step in losses]
    for now, then in zip(found, recorded, strict=True):
        assert now == pytest.approx(then, rel=2e-3, abs=2e-5)
    assert sum(p.double().abs().sum().item() for p in model.parameters()) == pytest.approx(984.8537, rel=1e-4)


@pytest.mark.parametrize(("settings", "stop", "every"), [(FULL, 1, 1), (FULL, 5, 1), (PLAIN, 5, 2)])
def test_a_stopped_run_gets_the_same_numbers(tmp_path, settings, stop, every):
    whole, losses = run(settings)
    path = tmp_path / "codec.pt"

    def report(step, found):
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_codec(small_codec(), settings, segments, path, checkpoint_every=every, report=report)
    torch.manual_seed(99)  # the state on disk must bring its own random numbers
    resumed, rest = run(settings, small_codec(8), checkpoint=path, checkpoint_every=every)
    assert rest == losses[stop - stop % every :]
    assert_same_weights(whole, resumed)
    assert [p.name for p in tmp_path.iterdir()] == ["codec.pt"]  # nothing half written lies about
    assert_same_weights(whole, run(settings, small_codec(8), checkpoint=path)[0])  # a complete run is only read


def test_a_state_without_a_discriminator_is_refused_by_a_run_with_one(tmp_path):
    run(replace(PLAIN, steps=1), checkpoint=tmp_path / "codec.pt")
    with pytest.raises(ValueError, match="the state of a run without adversary"):
        run(replace(FULL, steps=2), checkpoint=tmp_path / "codec.pt")


def test_the_discriminator_joins_in_at_its_step_and_learns_in_its_share_of_them():
    _, losses = run(replace(FULL, steps=24, adversarial=replace(ADVERSARIAL, start=4)))
    assert all("adversarial" not in step and "discriminator" not in step for step in losses[:4])
    assert all({"adversarial", "features"} <= set(step) for step in losses[4:])
    learned = sum("discriminator" in step for step in losses[4:])
    assert 8 <= learned <= 19  # 0.7 of 20


def test_the_discriminator_learns_only_from_its_own_loss():
    torch.manual_seed(0)
    adversary = Adversary(replace(ADVERSARIAL, learns=0.0), 1, torch.device("cpu"))
    before = [p.clone() for p in adversary.discriminator.parameters()]
    audio, made = torch.randn(2, 1, 800), torch.randn(2, 1, 800, requires_grad=True)
    losses = {"waveform": (audio - made).abs().mean(), "mel": made.square().mean()}
    added = adversary.backward(5, losses, audio, made)
    assert set(added) == {"adversarial", "features"}
    assert made.grad.norm() > 0
    for old, parameter in zip(before, adversary.discriminator.parameters(), strict=True):
        assert torch.equal(old, parameter)
        assert parameter.grad is None
    gradient = made.grad.clone()
    adversary.learn(audio, made)
    assert torch.equal(made.grad, gradient)  # and the codec nothing from the discriminator's
    assert not all(torch.equal(a, b) for a, b in zip(before, adversary.discriminator.parameters(), strict=True))


def test_commitment_reaches_the_encoder_beside_the_balancer():
    """It has no gradient with respect to the output, so the balancer cannot carry it."""
    plain = replace(FULL, steps=3, ema_decay=None, clip_norm=1e9)
    weights = [run(replace(plain, commitment_weight=w))[0].encoder.state_dict() for w in (0.0, 100.0)]
    assert not torch.allclose(weights[0]["layers.0.conv.weight"], weights[1]["layers.0.conv.weight"])
    decoders = [run(replace(plain, steps=1, commitment_weight=w))[0].decoder.state_dict() for w in (0.0, 100.0)]
    for name in decoders[0]:  # the first step's codes are the same
        assert torch.equal(decoders[0][name], decoders[1][name]), name


def test_averaged_weights_are_the_recurrence_by_hand():
    decay, model, states = 0.8, small_codec(), []
    averaged = averaged_weights(model, decay)
    for _ in range(12):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
            model.quantizer.layers[0].embed.normal_()
        states.append(model.encoder.layers[0].conv.weight.detach().clone())
        averaged.update_parameters(model)
    expected = states[0]
    for updates, state in enumerate(states[1:], 1):
        now = min(decay, (1 + updates) / (10 + updates))
        expected = now * expected + (1 - now) * state
    torch.testing.assert_close(averaged.module.encoder.layers[0].conv.weight.data, expected)
    assert torch.equal(averaged.module.quantizer.layers[0].embed, model.quantizer.layers[0].embed)


def test_the_average_is_the_result_and_changes_nothing_on_the_way():
    plain, losses = run(PLAIN)
    model, same = run(replace(PLAIN, ema_decay=0.9))
    assert same == losses
    first = plain.decoder.layers[0].conv.weight
    assert not torch.equal(model.decoder.layers[0].conv.weight, first)
    torch.testing.assert_close(model.decoder.layers[0].conv.weight, first, atol=0.02, rtol=0)
    assert not model.training


def test_an_adversarial_run_overfits_one_batch():
    batch = next(segments(0))
    settings = replace(FULL, steps=80, learning_rate=5e-3, ema_decay=None)
    losses = []

    def repeated(start):
        while True:
            yield batch

    train_codec(small_codec(), settings, repeated, report=lambda step, found: losses.append(found))
    first, last = losses[1:6], losses[-5:]  # the discriminator is there from step 1 on
    for name in ("waveform", "mel", "features"):
        assert sum(step[name] for step in last) < 0.8 * sum(step[name] for step in first), name


def test_the_gradient_is_that_of_the_weighted_losses():
    settings, audio = replace(PLAIN, waveform_weight=2.0, mel_weight=5.0, commitment_weight=3.0), batch(0)
    models = small_codec().eval(), small_codec().eval()  # so that no codebook moves
    add_gradients(models[0], settings, MelLoss(16000), None, audio, 0)
    made, commitment = reconstruct(models[1], audio)
    losses = codec_losses(MelLoss(16000), audio, made, commitment)
    (2 * losses["waveform"] + 5 * losses["mel"] + 3 * commitment).backward()
    for (name, one), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_reconstruction_and_losses_fit_together():
    model, audio = small_codec(), next(segments(0))[..., :3001]
    made, commitment = reconstruct(model, audio)
    assert made.shape == audio.shape
    losses = codec_losses(MelLoss(16000), audio, made, commitment)
    assert losses["waveform"].item() == pytest.approx((audio - made).abs().mean().item())
    assert losses["commitment"] is commitment
    lower, _ = reconstruct(model.eval(), audio, bfloat16=True)
    assert lower.dtype == torch.float32
    torch.testing.assert_close(lower, model(audio)[0], atol=0.05, rtol=0)


def test_a_codec_learns():
    losses = []
    settings = replace(PLAIN, steps=60, learning_rate=5e-3)
    train_codec(small_codec(), settings, segments, report=lambda step, found: losses.append(found["waveform"]))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_segments_are_cut_on_the_grid_and_the_order_can_be_entered_anywhere():
    first = procedural_segments(6, 10, 7, 0)
    batches = [next(first) for _ in range(3)]
    assert batches[0].shape == (6, 1, 10 * GRID)
    assert torch.equal(next(procedural_segments(6, 10, 7, 2)), batches[2])
    assert not torch.equal(batches[0], batches[1])


def test_mel_loss_is_zero_for_the_same_sound_and_hears_a_wrong_pitch():
    loss = MelLoss(16000)
    time = torch.arange(16000) / 16000
    a, b = (torch.sin(2 * torch.pi * f * time)[None, None] * 0.3 for f in (440.0, 660.0))
    assert loss(a, a).item() == 0
    assert loss(a, b) > 10 * loss(a, 0.95 * a)  # much worse than a slightly softer one
