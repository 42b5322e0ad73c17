"""The drawings of lesson 04 show the layers, values and spectra that they are given."""

import base64
import math
import re

import numpy as np
import pytest
import torch

from musicgen_edu.figures.encodec import activations, layer_funnel, reach_picture, stft_views


def test_a_layer_is_as_wide_as_the_logarithm_of_its_length():
    picture = layer_funnel([("in", 1, 1024), ("half & half", 8, 32)], "encoder")
    assert picture.description == "encoder, channels x length: in: 1 x 1024; half & half: 8 x 32"
    drawing = base64.b64decode(picture.source.split(",")[1]).decode()
    widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="[\d.]+" fill="#', drawing)]
    assert widths[-1] / widths[-2] == pytest.approx(math.log2(32) / math.log2(1024))
    assert "half &amp; half" in drawing


def test_activations_are_shown_less_the_mean_of_each_channel(drawn):
    axes, values = drawn("encodec", "compact_picture"), torch.rand(3, 90) + torch.arange(3)[:, None]
    assert activations({"one": values, "two": torch.rand(2, 900)}, 0.5, 1.0) == "activations: one [3, 90], two [2, 900]"
    np.testing.assert_allclose(axes[0].images[0].get_array(), values - values.mean(1, keepdim=True), atol=1e-6)
    assert axes[0].images[0].get_extent()[:2] == [0.5, 1.5]


def test_reach_is_told_in_samples_from_the_start_of_the_frame():
    moved = torch.zeros(900)
    moved[350:520] = 1
    assert reach_picture({"decoder": moved}, 100, 4).description.endswith("decoder: -50 to 119 samples")


def test_a_tone_stands_at_its_frequency_in_every_window(drawn):
    axes, tone = drawn("encodec", "compact_picture"), torch.sin(torch.arange(8000) * 2 * torch.pi * 1000 / 8000)
    stft_views({"tone": tone, "silence": torch.zeros(8000)}, [256, 512], 8000)
    for one, window in zip(axes[:2], (256, 512), strict=True):
        assert one.images[0].get_array().mean(1).argmax() == window // 8
    assert axes[2].images[0].get_array().max() == -120
