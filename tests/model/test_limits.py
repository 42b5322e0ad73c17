"""Fields of a configuration: each value that no model can have is refused, by the field's name."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from musicgen_edu.model.encodec import EncodecModel
from musicgen_edu.model.limits import CODEC_RULES, LM_RULES, number, one_of, several, whole
from musicgen_edu.model.lm import MusicgenLM
from musicgen_edu.model.settings import CONFIGS, EncodecConfig, LMConfig

ALWAYS_WRONG = ["x", "3", None, [], [1], {}, {"a": 1}, math.nan, math.inf, -math.inf, -1, 10**9, 1e300, 1 + 1j]


@pytest.mark.parametrize(("config", "rules"), [(LMConfig(), LM_RULES), (EncodecConfig(), CODEC_RULES)])
def test_each_field_has_a_rule_and_refuses_what_it_must(config, rules):
    assert set(rules) == set(vars(config))
    for name in rules:
        for value in ALWAYS_WRONG:
            if name == "upsampling_ratios" and value == [1]:
                continue
            with pytest.raises(ValueError, match=rf"^{name} must be .+, not ") as caught:
                replace(config, **{name: value}).check()
            assert len(str(caught.value)) < 200


def test_the_published_models_and_those_of_the_course_keep_the_rules():
    EncodecConfig().check()
    for config in CONFIGS.values():
        config.check()


def test_a_rule_knows_types():
    accepted = {
        whole(1, 8): ([1, 8, torch.tensor([3]).numpy()[0]], [0, 9, True, 3.0, "3"]),
        number(0, 1): ([0, 1, 0.5], [True, -0.1, 1.1, math.nan]),
        one_of(True, False): ([True, False], [0, 1, None, "true"]),
        one_of(1, 2): ([1, 2], [True, 1.0, 3]),
        several(whole(1, 8), 3): ([[1], (1, 8, 2)], [[], [1, 1, 1, 1], [0], [[1]], "12", 3]),
    }
    for rule, (right, wrong) in accepted.items():
        assert all(map(rule.accepts, right)), rule.expected
        assert not any(map(rule.accepts, wrong)), rule.expected


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MusicgenLM(LMConfig(dim=10, num_heads=3)), "multiple of the number of heads, 3, not 10"),
        (lambda: MusicgenLM(LMConfig(dim=9, num_heads=3)), "even and at least 4, not 9"),
        (lambda: MusicgenLM(LMConfig(layers=10**5)), "layers must be a whole number from 0 to 1000, not 100000"),
        (lambda: MusicgenLM(LMConfig(text_dim=24, text_layers=0)), "text_dim must be the width D, 1024"),
        (lambda: EncodecModel(EncodecConfig(compress=65)), "compress must be at most num_filters, 64, not 65"),
        (lambda: EncodecModel(EncodecConfig(upsampling_ratios=(8, "5"))), "upsampling_ratios must be a list"),
        (
            lambda: EncodecModel(EncodecConfig(num_residual_layers=16, dilation_growth_rate=64)),
            "dilation_growth_rate must be less than 64",
        ),
    ],
)
def test_no_model_of_such_sizes_is_built(build, message):
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build()
