"""The guidance report: its measures, its tasks, and that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from musicgen_edu.checkpoints import find
from musicgen_edu.data.captions import WORDS
from musicgen_edu.experiments.guidance import __main__ as command
from musicgen_edu.experiments.guidance import report
from musicgen_edu.experiments.guidance.measures import (
    Made,
    RealClips,
    adherence,
    bootstrap_interval,
    code_entropy,
    diversity,
    frechet_distance,
    share_interval,
)
from musicgen_edu.experiments.guidance.table import COLUMNS, markdown


def share(right: int, count: int) -> tuple[float, float, float]:
    """The interval of `right` of `count` independent trials."""
    return share_interval(np.arange(count) < right)


@pytest.mark.parametrize("trial", range(5))
def test_the_interval_of_a_share_covers_the_truth_as_often_as_it_says(trial):
    rng = np.random.default_rng(trial)
    truth, count = rng.uniform(0.02, 0.98), int(rng.integers(30, 200))
    known = [share(right, count) for right in range(count + 1)]
    intervals = [known[right] for right in rng.binomial(count, truth, 2000)]
    covered = np.mean([low <= truth <= high for _, low, high in intervals])
    assert 0.91 < covered < 0.99
    assert all(0 <= low <= value <= high <= 1 for value, low, high in intervals)


def test_the_interval_of_a_share_is_open_at_1_and_narrows():
    assert share(100, 100) == (1.0, pytest.approx(0.963, abs=1e-3), 1.0)
    assert share(0, 100) == (0.0, 0.0, pytest.approx(0.037, abs=1e-3))
    widths = [share(7 * n, 10 * n)[2] - share(7 * n, 10 * n)[1] for n in (1, 10, 100)]
    assert widths == sorted(widths, reverse=True)
    with pytest.raises(ValueError, match="at least one trial, not 0"):
        share(0, 0)


@pytest.mark.parametrize(("right", "rows", "columns"), [(1, 4, 1), (5, 4, 2), (57, 40, 2), (0, 9, 2), (30, 10, 3)])
def test_what_stands_in_a_row_counts_as_one_trial(right, rows, columns):
    """Wilson's formula with the share of all and the number of rows."""
    p, n, z = right / (rows * columns), rows, 1.959964
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    table = np.random.default_rng(0).permutation(np.arange(rows * columns) < right).reshape(rows, columns)
    assert share_interval(table) == pytest.approx((p, low, high), abs=1e-6)


def test_the_bootstrap_finds_the_standard_error_of_a_mean():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    value, low, high = bootstrap_interval(lambda i: values[i].mean(), 400)
    assert value == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.15)
    assert value - low == pytest.approx(high - value)


@pytest.mark.parametrize("trial", range(4))
def test_the_frechet_distance_of_gaussians(trial):
    rng = np.random.default_rng(trial)
    F = int(rng.integers(2, 9))
    points = rng.normal(size=(300, F)) @ rng.normal(size=(F, F))
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-4)
    shift = rng.normal(size=F)
    assert frechet_distance(points, points + shift) == pytest.approx(shift @ shift, rel=1e-3)
    # Scaled about its mean by s: |(1 - s)|^2 of the scatter.
    scaled = points.mean(0) + 3 * (points - points.mean(0))
    assert frechet_distance(points, scaled) == pytest.approx(4 * np.trace(np.cov(points, rowvar=False)), rel=1e-3)
    other = rng.normal(size=(200, F)) @ rng.normal(size=(F, F)) + 1
    rotation, _ = np.linalg.qr(rng.normal(size=(F, F)))
    assert frechet_distance(points, other) == pytest.approx(frechet_distance(other, points), rel=1e-6)
    assert frechet_distance(points @ rotation, other @ rotation) == pytest.approx(frechet_distance(points, other))


def test_the_entropy_of_codes():
    assert code_entropy(np.full((3, 5), 7), 64) == 0
    assert code_entropy(np.arange(64).repeat(3).reshape(3, 64), 64) == pytest.approx(6)
    assert code_entropy(np.array([0, 0, 1, 2]), 8) == pytest.approx(1.5)


def test_real_clips_are_their_own_nearest_and_a_projection_only_shortens():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 40)) @ rng.normal(size=(40, 40)) + 5
    real = RealClips(features, 8)
    assert np.abs(real.nearest(real.project(features))).max() < 1e-6
    strange = features[:10] + 50 * rng.normal(size=(10, 40))
    points = real.project(strange)
    by_hand = [min(np.linalg.norm(point - one) for one in real.points) for point in points]
    np.testing.assert_allclose(real.nearest(points), by_hand)
    whole = RealClips(features, 39)
    assert (real.nearest(points) <= whole.nearest(whole.project(strange)) + 1e-9).all()
    with pytest.raises(ValueError, match="components must be more than 1 and less than 40"):
        RealClips(features, 40)


def made(right, n=4, seeds=2, T=50, alike=False):
    audio = torch.randn(n, seeds, 4000)
    if alike:
        audio[:, 1] = audio[:, 0]
    return Made(torch.randint(0, 16, (n, seeds, 4, T)), audio, np.zeros((n, seeds, 5)), right)


def test_adherence_counts_captions_and_only_what_they_promise():
    nan = np.nan
    right = {
        "timbre": np.array([[1, 1], [1, 0], [0, 0], [1, 1]]),
        "tonic": np.array([[1, 0], [nan, nan], [nan, nan], [0, 0]]),
    }
    figures = adherence(made(right))
    assert figures["timbre"] == share_interval(right["timbre"])
    assert figures["tonic"] == share_interval(right["tonic"][[0, 3]])
    assert (figures["timbre"][0], figures["tonic"][0]) == (5 / 8, 1 / 4)
    assert figures["mean"][0] == pytest.approx((5 / 8 + 1 / 4) / 2)
    assert np.isfinite(figures["mean"]).all()  # some draws of four captions hold none that names a tonic


def test_two_equal_clips_are_not_apart():
    assert diversity(made({}, alike=True), 16000, 16)["apart"] == (0, 0, 0)
    apart, entropy = diversity(made({}), 16000, 16).values()
    assert apart[0] > 0.1
    assert 3.8 < entropy[0] < 4


def test_tasks_are_fixed_and_their_contrary_is_wrong_in_everything():
    tasks = report.tasks_of(40)
    assert report.tasks_of(7) == tasks[:7]
    assert len({task.text for task in tasks}) > 35
    for task in tasks:
        assert any(word in task.text for word in WORDS[task.piece.timbre])
        assert not any(word in task.contrary for word in WORDS[task.piece.timbre] if word not in ("pad", "saw"))
    rng = np.random.default_rng(0)
    for task in tasks:
        one, other = task.piece.attributes(), report.opposite(task.piece, rng).attributes()
        assert all(one[name] != other[name] for name in one)


def test_captions_that_say_nothing_of_drums():
    texts = report.silent_on_drums(30)
    assert len(texts) == 30
    assert not any("drum" in text or "percussion" in text or "beat" in text for text in texts)


class FakeBench:
    """Measures nothing, and is stopped after some jobs."""

    jobs, allowed = [], 1000

    def __init__(self, *arguments):
        pass

    def _figures(self, job):
        if len(self.jobs) >= self.allowed:
            raise KeyboardInterrupt
        self.jobs.append(job)
        return dict.fromkeys(COLUMNS, (0.5, 0.4, 0.6))

    def ceiling(self):
        return self._figures("ceiling")

    def measure(self, setting):
        return self._figures(setting)

    def drums(self, negative, texts):
        return self._figures(negative)["drums"]


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "Bench", FakeBench)
    monkeypatch.setattr(report.MusicGen, "from_pretrained", lambda *a, **k: None)
    monkeypatch.setattr(command, "ASSETS", tmp_path)
    monkeypatch.setattr(FakeBench, "jobs", [])
    return tmp_path


def test_a_stopped_run_goes_on_and_measures_nothing_twice(fake, monkeypatch, capsys):
    arguments = ["--run", str(fake / "run"), "--captions", "3", "--write"]
    monkeypatch.setattr(FakeBench, "allowed", 4)
    with pytest.raises(KeyboardInterrupt):
        command.main(arguments)
    assert not (fake / "guidance.json").exists()
    monkeypatch.setattr(FakeBench, "allowed", 1000)
    command.main([*arguments, "--most", "2"])
    assert len(FakeBench.jobs) == 6
    assert not (fake / "guidance.json").exists()
    command.main(arguments)
    assert FakeBench.jobs == ["ceiling", *report.SETTINGS, *report.DRUMS]
    assert [one["scale"] for one in json.loads((fake / "guidance.json").read_text())["settings"]][:3] == [0, 1, 1.5]
    assert (fake / "guidance.md").read_text() in capsys.readouterr().out
    command.main(arguments)  # nothing is left to do
    assert len(FakeBench.jobs) == 1 + len(report.SETTINGS) + len(report.DRUMS)


def test_results_of_another_model_or_another_set_are_not_gone_on_with(fake):
    arguments = ["--run", str(fake / "run"), "--most", "2"]
    command.main([*arguments, "--captions", "3"])
    command.main([*arguments, "--captions", "4"])
    assert FakeBench.jobs == ["ceiling", report.SETTINGS[0]] * 2


def test_a_setting_is_generated_and_judged(tmp_path, monkeypatch):
    """The whole way once, small: the shipped model, clips of 1.6 s."""
    from musicgen_edu import MusicGen

    monkeypatch.setattr(report, "FRAMES", 80)
    monkeypatch.setattr(report, "RealClips", lambda features: RealClips(features, 8))
    tasks = report.tasks_of(2)
    bench = report.Bench(MusicGen.from_pretrained("tiny", device="cpu"), tasks, tmp_path / "real.npz", clips=24)
    for setting in (report.Setting(1.5), report.Setting(1.5, negative="contrary")):
        figures = bench.measure(setting)
        assert set(figures) == set(COLUMNS)
        assert all(low <= value <= high for value, low, high in figures.values())
        assert figures["entropy"][0] > 2
    # The bench keeps what it knows of real clips, and knows them again.
    assert set(bench.ceiling()) == set(COLUMNS)
    monkeypatch.setattr(report, "features_of", lambda *a: pytest.fail("the features were computed again"))
    again = report.Bench(bench.model, tasks, tmp_path / "real.npz", clips=24)
    np.testing.assert_array_equal(again.real.points, bench.real.points)
    np.testing.assert_array_equal(again.same, bench.same)


def stored():
    path = find("tiny").parent / "measurements" / "guidance.json"
    return json.loads(path.read_text()), path


def test_the_stored_curves_are_complete_and_of_the_shipped_model():
    result, path = stored()
    weights = hashlib.sha256((find("tiny") / "model.safetensors").read_bytes()).hexdigest()
    assert result["weights"] == weights, "the shipped model has changed: run experiments.guidance --write again"
    assert report.left_to_do(result) == []
    assert path.with_suffix(".md").read_text() == markdown(result)
