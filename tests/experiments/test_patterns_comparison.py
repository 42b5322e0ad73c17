"""The pattern comparison: units that are done once, a run that goes on when stopped, and what is made of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from musicgen_edu.experiments.pages import MARK
from musicgen_edu.experiments.patterns import comparison as pattern_comparison
from musicgen_edu.experiments.patterns import units as pattern_units
from musicgen_edu.experiments.patterns.comparison import (
    compare,
    gather,
    load_clips,
    load_comparison,
    quick_comparison,
    summarize,
)
from musicgen_edu.experiments.patterns.report import comparison_report
from musicgen_edu.experiments.patterns.synthetic_codes import StickySource
from musicgen_edu.experiments.patterns.training import CodeData, Terms, generate, synthetic_data, train_pattern
from musicgen_edu.experiments.patterns.units import Experiment, do_unit, sound_distance, unigram_nats, unit_name, units
from musicgen_edu.figures.training import behind_delay, learning_curves
from musicgen_edu.files import asset
from musicgen_edu.model.patterns import PATTERNS

SMALL = Terms(dim=16, layers=1, batch=3, checks=(2, 4), warmup=2)
TINY = {"toy": Experiment("toy", 5, SMALL, ("parallel", "partial delay", "delay"), (0, 1))}


def toy_data(experiment: Experiment, folder) -> CodeData:
    return synthetic_data(StickySource(V=8), experiment.frames, clips=4)


@pytest.fixture
def tiny_units(monkeypatch):
    """Units of a toy experiment; counts how often each is trained."""
    trained = Counter()

    def run_unit(experiment, pattern, seed, data, folder):
        trained[pattern, seed] += 1
        model, measured = train_pattern(data, pattern, experiment.terms, seed)
        terms = json.loads(json.dumps(vars(experiment.terms)))
        made = generate(model, pattern, experiment.frames, [0, 1]).short()
        return measured | {"pattern": pattern, "seed": seed, "terms": terms, "steps_per_second": 50.0}, made

    monkeypatch.setattr(pattern_units, "run_unit", run_unit)
    monkeypatch.setattr(pattern_comparison, "EXPERIMENTS", TINY)
    monkeypatch.setattr(pattern_comparison, "data_for", toy_data)
    return trained


def test_a_stopped_comparison_goes_on_and_does_nothing_twice(tiny_units, tmp_path):
    names = list(units(TINY))
    assert names[:4] == ["toy-parallel-0", "toy-partial-delay-0", "toy-delay-0", "toy-parallel-1"]
    for name in names[:4]:
        assert do_unit(name, tmp_path, TINY, toy_data)
    so_far = gather(tmp_path)["toy"]["patterns"]
    assert [p["seeds"] for p in so_far.values()] == [[0]] * 3  # only whole comparisons count
    stopped = (tmp_path / "toy-delay-0.json").read_bytes()
    assert [do_unit(name, tmp_path, TINY, toy_data) for name in names] == [False] * 4 + [True] * 2
    assert set(tiny_units.values()) == {1}
    assert (tmp_path / "toy-delay-0.json").read_bytes() == stopped
    both = gather(tmp_path)["toy"]["patterns"]
    assert both["delay"]["seeds"] == [0, 1]
    assert both["delay"]["nats"][-1]["deviation"] > 0
    for drawing in (learning_curves, behind_delay):
        assert "toy" in drawing({"toy": {"patterns": both}}).description


def test_a_unit_that_fails_leaves_nothing_and_can_be_done_again(tiny_units, tmp_path):
    def broken(experiment, folder):
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        do_unit("toy-delay-0", tmp_path, TINY, broken)
    assert not list(tmp_path.iterdir())
    assert do_unit("toy-delay-0", tmp_path, TINY, toy_data)


def test_units_on_other_terms_are_refused(tiny_units, tmp_path):
    do_unit("toy-delay-0", tmp_path, TINY, toy_data)
    other = {"toy": replace(TINY["toy"], terms=replace(SMALL, dim=32))}
    with pytest.raises(ValueError, match="made on other terms"):
        do_unit("toy-delay-0", tmp_path, other, toy_data)
    with pytest.raises(ValueError, match="no unit 'toy-delay-7'"):
        do_unit("toy-delay-7", tmp_path, TINY, toy_data)


def test_a_unit_measures_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(pattern_units, "GENERATED", 2)
    experiment = Experiment("synthetic", 6, SMALL)
    data = synthetic_data(pattern_units.SOURCE, 6, clips=4)
    result, made = pattern_units.run_unit(experiment, "delay", 0, data, tmp_path)
    assert made.shape == (2, 4, 6)
    assert result["steps_per_second"] == 50 * (6 + 3) / 6
    assert result["sample"] == pytest.approx(float(pattern_units.SOURCE.nats(made.long()).sum()) / 12)
    assert result["generation"] > 0


def test_unigram_nats_are_counts():
    train = torch.tensor([[[0, 0, 0, 1], [2, 2, 2, 2]]])
    nats = unigram_nats(train, torch.tensor([[[0, 1], [2, 0]]]), 3)
    expected = [-(math.log(4 / 7) + math.log(2 / 7)) / 2, -(math.log(5 / 7) + math.log(1 / 7)) / 2]
    assert nats.tolist() == pytest.approx(expected)


def test_the_summary_by_hand():
    def result(pattern, seed, nats):
        checks = [{"codes": 10, "nats": nats, "cpu": 1.0, "wall": 2.0}]
        return {"pattern": pattern, "seed": seed, "parameters": 7, "checks": checks}

    results = [
        result("delay", 0, [1, 2]),
        result("parallel", 0, [2, 2]),
        result("delay", 1, [3, 2]),
        result("parallel", 1, [4, 4]),
    ]
    summary = summarize(results)
    assert summary["delay"]["nats"] == [{"mean": 4, "deviation": pytest.approx(math.sqrt(2))}]
    assert summary["parallel"]["per_codebook"] == [3, 3]
    assert summary["parallel"]["behind_delay"] == [{"mean": 2, "deviation": pytest.approx(math.sqrt(2))}]
    assert summary["parallel"]["seeds"] == [0, 1]
    assert summarize(results[:1])["delay"]["nats"][0]["deviation"] is None


def test_the_distance_in_sound():
    reference = torch.randn(400, 7)
    assert sound_distance(reference, reference) == 0
    moved = reference + 2 * reference.std(0)
    assert sound_distance(moved, reference) == pytest.approx(4, rel=1e-5)
    wider = reference.mean(0) + 3 * (reference - reference.mean(0))
    assert sound_distance(wider, reference) == pytest.approx(4, rel=1e-5)


def test_a_quick_comparison_finds_the_order_that_theory_fixes():
    results = {r["pattern"]: r for r in quick_comparison()}
    nats = {name: sum(r["checks"][-1]["nats"]) for name, r in results.items()}
    assert nats["parallel"] > nats["coarse-first"] + 0.2
    assert nats["coarse-first"] > max(nats["delay"], nats["flattening"]) + 0.7
    for name, r in results.items():
        assert r["exact"] - 0.1 < nats[name] < 0.75 * 4 * math.log(8)  # 0.1: the validation set is a sample
        assert r["checks"][0]["nats"] != r["checks"][-1]["nats"]


def test_a_fifth_pattern_needs_one_line(monkeypatch):
    monkeypatch.setitem(PATTERNS, "two delays", lambda k, t, K, T: t + 2 * k)
    data = synthetic_data(StickySource(V=4), 5, clips=4)
    summary = summarize(compare(data, ["delay", "two delays"], SMALL, seeds=(0, 1)))
    assert summary["two delays"]["parameters"] == summary["delay"]["parameters"]
    assert learning_curves({"own": {"patterns": summary}}).source.startswith("data:image/png")


def test_what_is_stored_agrees_with_itself():
    comparison = load_comparison()
    page = asset("measurements", "pattern_comparison.md").read_text()
    assert page.split(MARK)[1].strip() == comparison_report(comparison).strip()
    for name, experiment in comparison.items():
        summaries = experiment["patterns"].values()
        assert tuple(experiment["patterns"]) == pattern_units.EXPERIMENTS[name].patterns
        assert len({(s["parameters"], tuple(s["codes"]), tuple(s["seeds"])) for s in summaries}) == 1  # equal terms
        for summary in summaries:
            assert sum(summary["per_codebook"]) == pytest.approx(summary["nats"][-1]["mean"])


def test_the_stored_clips_are_codes_of_the_shipped_codec():
    clips = load_clips()
    assert set(clips) == {*pattern_units.FOUR, "real"}
    for codes in clips.values():
        assert codes.shape == (4, 128)
        assert codes.min() >= 0
        assert codes.max() < 1024


def test_names_of_units():
    assert unit_name("music", "partial delay", 2) == "music-partial-delay-2"
    assert (
        len(units())
        == len(set(units()))
        == sum(len(e.patterns) * len(e.seeds) for e in pattern_units.EXPERIMENTS.values())
    )
