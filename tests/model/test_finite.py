"""A model whose numbers are not finite is not played: the error says which of them are broken."""

from __future__ import annotations

import math

import pytest
import torch

from musicgen_edu.errors import NotFinite
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.decoder import Condition
from musicgen_edu.model.finite import check_finite, first_broken
from musicgen_edu.model.generation import LOOK_EVERY, delay_table, generate_codes, write_frames
from musicgen_edu.model.lm import LMConfig, MusicgenLM
from musicgen_edu.model.sampling import Sampling, UniformNumbers

CONFIG = LMConfig(dim=32, num_heads=2, layers=2, feed_forward=64, codebook_size=8, text_dim=16, max_steps=64)
CHOICES = [Sampling(top_k=3), Sampling(1.0, top_k=0), Sampling(temperature=0, top_k=0), Sampling(0.0, top_k=0)]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MusicgenLM(CONFIG).eval().requires_grad_(False)


def condition(value: float = 0.5) -> Condition:
    return Condition(torch.full((1, 3, 32), value), torch.ones(1, 3, dtype=torch.bool))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["heads.weight", "embedding.tables", "decoder.layers.1.down.weight"])
@pytest.mark.parametrize("sampling", CHOICES)
@pytest.mark.parametrize("quick", [QuickLM, lambda model: model])
def test_a_broken_weight_is_named(model, value, name, sampling, quick):
    model.get_parameter(name).view(-1)[:] = value
    with pytest.raises(NotFinite, match=f"logits are not finite: its weight {name} holds NaN or infinite"):
        generate_codes(quick(model), 4, [1], condition(), sampling)


def test_a_single_broken_number_is_enough(model):
    model.heads.weight[9, 3] = math.nan
    with pytest.raises(NotFinite, match=r"its weight heads\.weight"):
        generate_codes(model, 4, [1], sampling=CHOICES[0])


def test_the_text_and_the_number_format_are_told_from_the_weights(model):
    with pytest.raises(NotFinite, match="told of the text holds NaN or infinite numbers: look at the text encoder"):
        generate_codes(model, 4, [1], condition(math.nan), CHOICES[0])

    class Overflowing:
        config, device = CONFIG, torch.device("cpu")

        def start(self, rows, steps, condition=None):
            return None

        def step(self, columns, state):
            return torch.full((len(columns), 4, 8), 1e5).half()  # 65504 is the largest

    with pytest.raises(NotFinite, match="they outgrow the number format: load the model in float32"):
        generate_codes(Overflowing(), 4, [1], sampling=CHOICES[0])


class Scripted:
    """Gives logits of its own, broken from one step on."""

    config = CONFIG

    def __init__(self, broken_from: int, value: float = math.nan, device: str = "cpu"):
        self.steps, self.broken_from, self.value = 0, broken_from, value
        self.device = torch.device(device)

    def start(self, rows, steps, condition=None):
        return None

    def step(self, columns, state):
        self.steps += 1
        logits = torch.zeros(len(columns), 4, 8, device=self.device)
        if self.steps > self.broken_from:
            logits[-1, 2, 5] = self.value
        return logits


def frames_of(model, frames: int = 40):
    return write_frames(model, delay_table(4, frames), frames, UniformNumbers([1], 4), sampling=CHOICES[0])


def test_a_stream_ends_where_it_breaks():
    model, heard = Scripted(10), []
    with pytest.raises(NotFinite):
        heard.extend(frames_of(model))
    assert (model.steps, len(heard)) == (11, 7)  # four steps make the first frame


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_is_noticed_a_little_later():
    for broken_from, noticed in ((10, LOOK_EVERY), (40, 43)):
        model = Scripted(broken_from, device="cuda")
        with pytest.raises(NotFinite):
            list(frames_of(model))
        assert model.steps == noticed


def test_tokens_that_are_forbidden_are_no_damage():
    """A stand-in may rule tokens out by -inf, as long as it leaves some."""
    assert sum(1 for _ in frames_of(Scripted(0, -math.inf))) == 40


def test_integers_and_finite_numbers_are_whole():
    good = {"codes": torch.ones(3, dtype=torch.int64), "mask": torch.ones(2) > 0, "half": torch.ones(2).half()}
    assert first_broken(good.items()) is None
    check_finite(good.items())
    bad = good | {"last": torch.tensor([1.0, -math.inf], dtype=torch.bfloat16)}
    with pytest.raises(NotFinite, match="the weight last holds NaN"):
        check_finite(bad.items())
