"""Patterns trained on equal terms: the same weights, batches and cells that count, whatever the order."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from musicgen_edu.experiments.patterns.synthetic_codes import StickySource
from musicgen_edu.experiments.patterns.training import (
    CodeData,
    Terms,
    cell_nats,
    new_model,
    synthetic_data,
    train_pattern,
    window_data,
    window_nats,
)
from musicgen_edu.model.lm import codebook_loss
from musicgen_edu.model.patterns import PATTERNS, interleave, pattern_table, undo_logits
from musicgen_edu.training.optimizers import make_optimizers

SMALL = Terms(dim=16, layers=1, batch=3, checks=(2, 4), warmup=2)


def random_sizes(count: int = 4) -> list[tuple[int, int, int]]:
    """K, T and V at random."""
    draw = torch.Generator().manual_seed(5)
    return [
        tuple(int(torch.randint(a, b, (), generator=draw)) for a, b in ((1, 5), (2, 9), (2, 12))) for _ in range(count)
    ]


@pytest.mark.parametrize("name", PATTERNS)
def test_cell_nats_are_those_of_the_whole_model(name):
    for K, T, V in random_sizes():
        codes = torch.randint(V, (2, K, T))
        step = pattern_table(name, K, T)
        model = new_model(CodeData(V, None, codes), SMALL, seed=1)
        logits = undo_logits(model(interleave(codes, step, V)[:, :, :-1]), step)  # [B, K, T, V]
        nats = F.cross_entropy(logits.flatten(0, 2), codes.flatten(), reduction="none").view(codes.shape)
        torch.testing.assert_close(cell_nats(model, codes, step), nats)
        loss, per_codebook = codebook_loss(logits, codes, torch.ones(K, T, dtype=torch.bool))
        torch.testing.assert_close(window_nats(model, codes, step).float(), per_codebook)
        torch.testing.assert_close(nats.mean(), loss)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_model_that_knows_nothing_pays_k_log_v(name):
    for K, T, V in random_sizes():
        codes = torch.randint(V, (3, K, T))
        model = new_model(CodeData(V, None, codes), SMALL, seed=0)
        torch.nn.init.zeros_(model.heads.weight)
        nats = window_nats(model, codes, pattern_table(name, K, T), batch=2)
        assert float(nats.sum()) == pytest.approx(K * math.log(V), rel=1e-6)


def test_every_pattern_gets_the_same():
    source, T, drawn, results = StickySource(K=3, V=5), 6, {}, {}
    data = synthetic_data(source, T, clips=8)
    for name in PATTERNS:
        seen = drawn.setdefault(name, [])

        def draw(clips, generator, seen=seen):
            seen.append(data.draw(clips, generator))
            return seen[-1]

        results[name] = train_pattern(replace(data, draw=draw), name, SMALL, seed=3)[1]
    for name in PATTERNS:
        assert all(torch.equal(a, b) for a, b in zip(drawn[name], drawn["delay"], strict=True))
        assert results[name]["parameters"] == results["delay"]["parameters"]
        assert results[name]["cells"] == SMALL.batch * 3 * T
        assert [c["codes"] for c in results[name]["checks"]] == [n * SMALL.batch * 3 * T for n in SMALL.checks]
    assert not torch.equal(drawn["delay"][0], drawn["delay"][1])
    other = synthetic_data(source, T, clips=8)
    assert torch.equal(data.validation, other.validation)


def test_a_seed_fixes_a_run_and_a_short_run_is_the_beginning_of_a_long_one():
    data = synthetic_data(StickySource(K=2, V=4), 5, clips=8)
    nats = {}
    for checks, seed in (((2, 4), 0), ((2,), 0), ((2,), 1)):
        torch.rand(3)  # whatever was drawn before
        result = train_pattern(data, "delay", replace(SMALL, checks=checks), seed)[1]
        nats[checks, seed] = [c["nats"] for c in result["checks"]]
    assert nats[(2,), 0] == nats[(2, 4), 0][:1]
    assert nats[(2,), 1] != nats[(2,), 0]


def test_what_is_validated_is_the_average_of_the_weights():
    data, found, losses = synthetic_data(StickySource(K=2, V=4), 5, clips=8), {}, {}
    for decay in (0.0, 0.9):
        terms, told = replace(SMALL, average=decay, learning_rate=3e-2), []
        model, measured = train_pattern(data, "delay", terms, report=lambda i, one, told=told: told.append(one["loss"]))
        found[decay], losses[decay] = measured["checks"], told
        nats = window_nats(model, data.validation, pattern_table("delay", 2, 5))
        assert measured["checks"][-1]["nats"] == nats.tolist()  # and it is the result
    assert losses[0.0] == losses[0.9]  # the average is not trained
    assert found[0.0][-1]["nats"] != found[0.9][-1]["nats"]


@pytest.mark.parametrize("muon", [False, True])
def test_every_parameter_has_one_optimizer(muon):
    model = new_model(CodeData(5, None, torch.zeros(1, 2, 3)), SMALL, seed=0)
    parts = [g["params"] for o in make_optimizers(model, 0.1, muon).values() for g in o.param_groups]
    assert len(parts) == 1 + muon
    assert sorted(id(p) for part in parts for p in part) == sorted(id(p) for p in model.parameters())


def test_windows_come_from_the_clips_and_validation_is_apart():
    train, validation = torch.arange(40).view(2, 2, 10).short(), 100 + torch.arange(60).view(3, 2, 10).short()
    data = window_data(train, validation, 4, 200)
    batch = data.draw(50, torch.Generator().manual_seed(0))
    assert batch.shape == (50, 2, 4)
    assert (batch.diff(dim=2) == 1).all()  # neighbours in time
    assert (batch[:, 1] - batch[:, 0] == 10).all()  # of one clip
    assert batch.max() < 40
    assert set((batch[:, 0, 0] % 10).tolist()) == set(range(7))  # every place
    assert data.validation.min() >= 100
    assert len(data.validation) == 3
    with pytest.raises(ValueError, match="a window of 11 frames does not fit into clips of 10"):
        window_data(train, validation, 11, 200)
