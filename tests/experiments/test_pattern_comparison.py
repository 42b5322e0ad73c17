"""The pattern comparison: equal terms, exact values for the synthetic source, and a run that goes on when stopped."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from musicgen_edu.analysis.pattern_likelihood import best_nats
from musicgen_edu.experiments.patterns import comparison as pattern_comparison
from musicgen_edu.experiments.patterns import units as pattern_units
from musicgen_edu.experiments.patterns.comparison import (
    MARK,
    compare,
    gather,
    load_clips,
    load_comparison,
    quick_comparison,
    summarize,
)
from musicgen_edu.experiments.patterns.report import comparison_report
from musicgen_edu.experiments.patterns.synthetic_codes import StickySource, exact_nats
from musicgen_edu.experiments.patterns.training import (
    CodeData,
    Terms,
    cell_nats,
    generate,
    new_model,
    synthetic_data,
    train_pattern,
    window_data,
    window_nats,
)
from musicgen_edu.experiments.patterns.units import Experiment, do_unit, sound_distance, unigram_nats, unit_name, units
from musicgen_edu.figures.training import behind_delay, learning_curves
from musicgen_edu.files import asset
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


# ---- the synthetic source ---------------------------------------------------------------------------------------


def joint_of(source: StickySource, T: int) -> torch.Tensor:
    """The probability of every case, from the source's own nats: K*T axes of V entries, code (k, t) is axis k*T + t."""
    cells = source.K * T
    cases = torch.cartesian_prod(*[torch.arange(source.V)] * cells).view(-1, source.K, T)
    return (-source.nats(cases).sum((1, 2))).exp().view([source.V] * cells)


@pytest.mark.parametrize("K,T,V", [(2, 3, 3), (3, 3, 2), (4, 3, 2), (4, 2, 3), (1, 4, 3)])
@pytest.mark.parametrize("name", PATTERNS)
def test_the_exact_value_is_that_of_enumeration(name, K, T, V):
    source = StickySource(K, V, stay=0.7, copy=0.6)
    joint, step = joint_of(source, T), pattern_table(name, K, T)
    assert float(joint.sum()) == pytest.approx(1)
    torch.testing.assert_close(exact_nats(source, step), best_nats(joint, step))


def test_the_exact_value_is_that_of_simulation():
    source, T = StickySource(V=11), 20
    nats = source.nats(source.draw(4000, T, torch.Generator().manual_seed(1))).sum(1).mean(1)  # nats a frame, by clip
    exact = float(exact_nats(source, pattern_table("flattening", 4, T)).sum()) / T
    assert abs(nats.mean() - exact) < 4 * nats.std() / math.sqrt(len(nats))


def test_the_source_copies_and_stays_as_often_as_it_says():
    source = StickySource(V=9, stay=0.6, copy=0.9)
    codes = source.draw(500, 200, torch.Generator().manual_seed(2))
    assert codes.min() == 0
    assert codes.max() == 8
    assert (codes[:, 0, 1:] == codes[:, 0, :-1]).double().mean() == pytest.approx(0.6, abs=0.01)
    for k in (1, 2, 3):
        told = source.permutations[k][codes[:, k - 1]]
        assert (codes[:, k] == told).double().mean() == pytest.approx(0.9, abs=0.01)
        errors = torch.bincount(((codes[:, k] - told) % 9).flatten(), minlength=9)[1:]
        assert errors.max() < 1.2 * errors.min()  # evenly


def test_a_pattern_loses_exactly_what_theory_says():
    source, T = StickySource(), 64
    exact = {name: float(exact_nats(source, pattern_table(name, 4, T)).sum()) / T for name in PATTERNS}
    assert exact["delay"] == pytest.approx(exact["flattening"])
    assert exact["coarse-first"] == pytest.approx(exact["partial delay"]) == exact["partial flattening"]
    assert exact["flattening"] + 1 < exact["coarse-first"] < exact["parallel"] - 1


def test_bad_sources_and_tables():
    with pytest.raises(ValueError, match="stay must lie between 0 and 1"):
        StickySource(stay=1.0)
    with pytest.raises(ValueError, match="V >= 2"):
        StickySource(V=1)
    with pytest.raises(ValueError, match="none of which comes before the one above it"):
        exact_nats(StickySource(K=2), torch.tensor([[1, 2], [0, 1]]))


# ---- equal terms ------------------------------------------------------------------------------------------------


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


# ---- units, and what is made of them ----------------------------------------------------------------------------

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


# ---- what comes out ---------------------------------------------------------------------------------------------


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
