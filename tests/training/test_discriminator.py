"""The discriminator and its losses, and the balancer: what the paper says of them, by hand and as properties."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from musicgen_edu.training.balancer import Balancer
from musicgen_edu.training.discriminator import (
    MultiScaleSTFTDiscriminator,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)


def test_its_sizes_are_those_of_the_paper():
    discriminator = MultiScaleSTFTDiscriminator()
    assert [scale.window for scale in discriminator.scales] == [2048, 1024, 512, 256, 128]
    for scale in discriminator.scales:
        first, *wide, last = scale.layers
        assert (first.in_channels, first.kernel_size, first.stride) == (2, (3, 8), (1, 1))
        assert [layer.dilation for layer in wide] == [(1, 1), (2, 1), (4, 1)]  # time, frequency
        assert {(layer.kernel_size, layer.stride, layer.out_channels) for layer in wide} == {((3, 8), (1, 2), 32)}
        assert last.kernel_size == scale.out.kernel_size == (3, 3)
        assert all(hasattr(layer, "parametrizations") for layer in (*scale.layers, scale.out))  # weight norm


@pytest.mark.parametrize(("B", "C", "N"), [(2, 1, 3000), (1, 2, 1600), (1, 1, 100)])
def test_logits_and_maps_have_a_list_for_each_window(B, C, N):
    windows = (512, 128)
    logits, maps = MultiScaleSTFTDiscriminator(windows, channels=4, audio_channels=C)(torch.randn(B, C, N))
    assert len(logits) == len(maps) == len(windows)
    for window, judged, layers in zip(windows, logits, maps, strict=True):
        frames = N // (window // 4) + 1
        assert judged.shape == (B, 1, frames, window // 16)
        widths = [window // 2, window // 4, window // 8, window // 16, window // 16]
        assert [tuple(layer.shape) for layer in layers] == [(B, 4, frames, width) for width in widths]


def test_it_sees_phase_and_not_only_magnitude():
    discriminator = MultiScaleSTFTDiscriminator((256,), channels=4)
    time = torch.arange(4000) / 16000
    sine, cosine = (torch.sin(2 * torch.pi * 1000 * time + shift)[None, None] for shift in (0, torch.pi / 2))
    a, b = (discriminator.scales[0].spectrogram(audio)[:, :, 5:-5] for audio in (sine, cosine))
    torch.testing.assert_close(a.square().sum(1), b.square().sum(1), atol=1e-3, rtol=1e-3)
    assert (discriminator(sine)[0][0] - discriminator(cosine)[0][0]).abs().max() > 1e-3


def test_spectrograms_of_noise_have_the_same_level_whatever_the_window():
    discriminator = MultiScaleSTFTDiscriminator((2048, 128), channels=1)
    audio = torch.randn(1, 1, 16000)
    levels = [scale.spectrogram(audio).square().mean().item() for scale in discriminator.scales]
    assert levels == pytest.approx([0.5, 0.5], rel=0.1)  # half of the power in each part


def test_hinge_losses_by_hand():
    real, fake = [torch.tensor([0.5, 3.0]), torch.tensor([-1.0])], [torch.tensor([-2.0, 0.0]), torch.tensor([0.5])]
    # windows: relu(1 - real): (0.5 + 0) / 2 and 2; relu(1 + fake): (0 + 1) / 2 and 1.5
    assert discriminator_loss(real, fake).item() == pytest.approx((0.25 + 0.5 + 2 + 1.5) / 2)
    # relu(1 - fake): (3 + 1) / 2 and 0.5
    assert adversarial_loss(fake).item() == pytest.approx((2 + 0.5) / 2)
    sure = [torch.full((3,), 2.0)], [torch.full((3,), -2.0)]
    assert discriminator_loss(*sure).item() == 0  # nothing more to learn from what is told apart with a margin


def test_feature_matching_is_relative():
    real = [[torch.tensor([2.0, -4.0]), torch.tensor([1.0])], [torch.tensor([10.0])]]
    fake = [[torch.tensor([3.0, -4.0]), torch.tensor([3.0])], [torch.tensor([10.0])]]
    # (0.5 / 3 + 2 / 1 + 0) / 3
    assert feature_matching_loss(real, fake).item() == pytest.approx((0.5 / 3 + 2) / 3)
    louder = [[[1000 * layer for layer in scale] for scale in maps] for maps in (real, fake)]
    assert feature_matching_loss(*louder).item() == pytest.approx((0.5 / 3 + 2) / 3)
    assert feature_matching_loss(real, real).item() == 0


def test_it_learns_to_tell_two_sounds_apart():
    torch.manual_seed(2)
    discriminator = MultiScaleSTFTDiscriminator((256, 64), channels=4)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3, betas=(0.5, 0.9))
    time = torch.arange(2000) / 16000
    real, fake = (torch.sin(2 * torch.pi * f * time).expand(4, 1, -1) * 0.3 for f in (500, 3000))
    losses = []
    for _ in range(60):
        loss = discriminator_loss(discriminator(real)[0], discriminator(fake)[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(2, abs=0.1)  # it starts undecided
    assert losses[-1] < 0.5


@pytest.mark.parametrize("bad", [{"windows": ()}, {"windows": (16,)}, {"channels": 0}])
def test_impossible_sizes_are_named(bad):
    with pytest.raises(ValueError, match="a discriminator needs windows"):
        MultiScaleSTFTDiscriminator(**bad)


def balanced_gradient(scales: dict[str, float], balancer: Balancer) -> tuple[torch.Tensor, dict[str, float]]:
    """What arrives at a model's output from three losses at right angles to each other, each of its own scale."""
    output = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    losses = {
        "a": scales["a"] * output[0].square(),
        "b": scales["b"] * (output[1] + output[2]),
        "c": scales["c"] * output[3].exp(),
    }
    norms = balancer.backward(losses, output)
    return output.grad, norms


@pytest.mark.parametrize("exponents", itertools.permutations([-4, 0, 5]))
def test_a_weight_is_a_share_whatever_the_scale_of_its_loss(exponents):
    scales = dict(zip("abc", (10.0**e for e in exponents), strict=True))
    gradient, norms = balanced_gradient(scales, Balancer({"a": 1, "b": 3, "c": 4}, total_norm=2.0))
    shares = [gradient[0].abs(), gradient[1:3].norm(), gradient[3].abs()]
    assert [share.item() for share in shares] == pytest.approx([2 / 8, 6 / 8, 8 / 8])
    assert norms == pytest.approx({"a": 2 * scales["a"], "b": math.sqrt(2) * scales["b"], "c": scales["c"] * math.e**4})


def test_it_divides_by_the_moving_average_of_the_norms():
    balancer = Balancer({"a": 1.0}, decay=0.9)
    sent = []
    for norm in (1.0, 5.0, 2.0):
        output = torch.zeros(1, requires_grad=True)
        balancer.backward({"a": norm * output.sum()}, output)
        sent.append(output.grad.item())
    # (1), (0.9 * 1 + 5) / 1.9, (0.81 * 1 + 0.9 * 5 + 2) / 2.71
    assert sent == pytest.approx([1.0, 5 / (5.9 / 1.9), 2 / (7.31 / 2.71)])


def test_its_state_goes_on():
    first, second = Balancer({"a": 1, "b": 3, "c": 4}), Balancer({"a": 1, "b": 3, "c": 4})
    balanced_gradient({"a": 1.0, "b": 1.0, "c": 1.0}, first)
    second.load_state_dict(first.state_dict())
    after = [balanced_gradient({"a": 3.0, "b": 0.1, "c": 2.0}, one)[0] for one in (first, second)]
    assert torch.equal(*after)
    fresh = balanced_gradient({"a": 3.0, "b": 0.1, "c": 2.0}, Balancer({"a": 1, "b": 3, "c": 4}))[0]
    assert not torch.allclose(after[0], fresh)


def test_the_gradient_goes_on_into_the_model():
    weight = torch.tensor([2.0, -1.0], requires_grad=True)
    output = 3 * weight
    Balancer({"a": 1.0}).backward({"a": 100 * output.sum()}, output)
    torch.testing.assert_close(weight.grad, torch.full((2,), 3 / math.sqrt(2)))


def test_losses_that_are_not_given_have_no_share_and_unknown_ones_are_named():
    output = torch.zeros(2, requires_grad=True)
    Balancer({"a": 1.0, "b": 99.0}).backward({"a": output[0]}, output)
    assert output.grad.tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="'z' has no weight; there are a, b"):
        Balancer({"a": 1.0, "b": 1.0}).backward({"z": output.sum()}, output)
    with pytest.raises(ValueError, match="weights must be 0 or more"):
        Balancer({"a": -1.0, "b": 2.0})
    with pytest.raises(ValueError, match="weights must be 0 or more"):
        Balancer({"a": 0.0})
