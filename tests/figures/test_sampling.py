"""The drawings of lesson 08 show the distributions, draws and reports that they are given."""

import json

import numpy as np
import pytest
import torch

from musicgen_edu.figures.sampling import (
    distributions,
    guidance_curves,
    guidance_lines,
    inverse_draw,
    labelled_bars,
    over_time,
)
from musicgen_edu.files import asset


def test_bars_are_the_likeliest_tokens_of_the_first_and_a_cross_is_a_token_that_is_shut_out(drawn):
    axes = drawn("sampling")
    whole = torch.rand(64).softmax(0)
    cut = whole.where(whole >= whole.sort(descending=True).values[9], 0.0)
    distributions({"whole": whole, "cut": cut / cut.sum()}, count=12)
    order = whole.topk(12).indices
    assert [bar.get_height() for bar in axes[0].patches] == pytest.approx(whole[order].tolist())
    assert list(axes[1].lines[0].get_xdata()) == [10, 11]
    assert "other tokens 0%" in axes[1].get_title("left")


def test_values_over_time_lie_on_the_seconds_of_their_frames(drawn):
    axes, values = drawn("sampling"), torch.rand(60)
    assert over_time({"nats": values}, 50, "nats", beat=0.5) == "nats over time: nats"
    beats = [line.get_xdata()[0] for line in axes[0].lines[:3]]
    assert beats == [0, 0.5, 1.0]
    np.testing.assert_allclose(axes[0].lines[-1].get_xdata(), np.arange(60) / 50)


def test_a_uniform_number_falls_on_the_token_of_its_step(drawn):
    axes = drawn("sampling")
    inverse_draw([0.2, 0.3, 0.5], [0.1, 0.2, 0.7])
    marks = [line.get_xdata()[0] for line in axes[0].lines if line.get_marker() != "None"]
    assert marks == [0.5, 1.5, 2.5]  # 0.2 is the first number of the second token


def test_bars_are_named_and_as_long_as_their_values(drawn):
    axes = drawn("sampling")
    assert labelled_bars({"a": 0.25, "b": 0.5}, "share") == "share: a 0.250, b 0.500"
    assert [bar.get_width() for bar in axes[0].patches] == [0.25, 0.5]


def test_the_stored_report_is_drawn_with_each_setting_on_its_line(drawn):
    axes, result = drawn("sampling"), json.loads(asset("measurements", "guidance.json").read_text())
    lines = guidance_lines(result)
    assert sum(len(line) for line in lines.values()) == len(result["settings"])
    for line in lines.values():
        scales = [one["scale"] for one in line]
        assert scales == sorted(scales)
    assert "with error bars" in guidance_curves(result)
    assert len(axes) == 6
    mean = axes[0].containers[0].lines[0]
    assert list(mean.get_ydata()) == [one["figures"]["mean"][0] for one in lines["logits"]]
