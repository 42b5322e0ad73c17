"""A run: its phases and learning rate, its state on disk, and that a stop at any moment costs nothing."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers import training_runs
from helpers.training_runs import SETTINGS, assert_close, batches, small_model
from musicgen_edu.errors import NotFinite
from musicgen_edu.training import runs
from musicgen_edu.training.lm import train_lm
from musicgen_edu.training.processes import Processes
from musicgen_edu.training.runs import learning_rate, progress_bar
from musicgen_edu.training.settings import LMTraining

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
HELPERS = Path(__file__).parents[1] / "helpers"


def test_phases_and_learning_rate():
    settings = LMTraining(phases=((256, 16, 3), (512, 8, 2)))
    assert [settings.sizes(step) for step in range(5)] == [[(256, 16)]] * 3 + [[(512, 8)]] * 2
    assert replace(settings, beginnings=(8, 99)).sizes(3) == [(512, 8), (8, 99)]
    with pytest.raises(ValueError, match="the run has 5 steps"):
        settings.sizes(5)
    rates = [learning_rate(step, 100, 1.0, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:51] == [1.0] * 42
    assert all(b < a for a, b in itertools.pairwise(rates[50:]))
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accumulation": 0}, "accumulation must be at least 1, not 0"),
        ({"ema_every": 41}, "ema_every must be 1 to the number of steps, 40, not 41"),
        ({"word_dropout": 1.5}, "word_dropout must be 0 to 1"),
        ({"condition_dropout": -0.1}, "condition_dropout must be 0 to 1"),
        ({"ema_decay": 1.0}, "decay must be at least 0 and less than 1"),
        ({"pattern": "zigzag"}, "unknown pattern 'zigzag'"),
    ],
)
def test_settings_that_make_no_sense_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        train_lm(small_model(), replace(SETTINGS, **change), batches)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_and_a_file_gets_lines(monkeypatch, capsys):
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        report = progress_bar(12)
        for step in range(9, 12):  # a run that goes on at step 9
            report(step, {"mel": 0.5})
    shown = terminal.getvalue()
    assert "12/12" in shown
    assert "mel=0.500" in shown
    report = progress_bar(12)
    for step in range(9, 12):
        report(step, {"mel": 0.5})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1
    assert printed[0].startswith("step 11  mel 0.5000")
    assert printed[0].endswith(", 0 s left")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    training_runs.main(folder)
    return torch.load(folder / "result.pt", weights_only=True)


def test_a_run_gives_the_numbers_that_it_always_gave(uninterrupted):
    """Recorded before all trainings had one loop: the recipe of the shipped model depends on it."""
    history = uninterrupted["history"]
    recorded = {0: (2.355345, 2.239888), 1: (2.200416, 2.181037), 20: (2.087195, 2.091450), 39: (2.127915, 2.104828)}
    for step, (loss, of_beginnings) in recorded.items():
        assert history[step]["loss"] == pytest.approx(loss, abs=1e-4), step
        assert history[step]["loss 1"] == pytest.approx(of_beginnings, abs=1e-4), step
    assert history[39]["validation loss"] == pytest.approx(2.109593, abs=1e-4)
    assert sum(p.double().abs().sum().item() for p in uninterrupted["weights"].values()) == pytest.approx(
        3240.8046, rel=1e-5
    )


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What became of processes that were killed, by name, and the folder with what they left.

    They are forked from a process of its own: a fork of this one, which by now is large and has threads, may take
    longer than it lives.
    """
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, HELPERS / "killed_runs.py", folder]
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1]) | {"folder": folder}


def test_a_run_killed_three_times_ends_with_the_weights_of_one_that_was_not(killed, uninterrupted, capsys):
    state = 0
    for stop in killed["training"]:
        assert stop["status"] == -signal.SIGKILL, stop
        assert stop["first"] == state, stop  # it went on where the state says
        state = stop["state"]
        assert stop["asked"] <= stop["last"] < SETTINGS.steps - 1, stop
        assert state in (stop["last"], stop["last"] + 1), stop  # each step is written after it is told
    training_runs.main(killed["folder"] / "training")  # the rest, in another process
    assert capsys.readouterr().out.startswith(f"step {state}\n")
    found = torch.load(killed["folder"] / "training" / "result.pt", weights_only=True)["weights"]
    assert_close(found, uninterrupted["weights"], atol=0)


@pytest.mark.parametrize(("muon", "stops"), [(False, [(4, 1), (5, 1), (6, 1)]), (True, [(7, 3)])])
def test_a_run_stopped_anywhere_goes_on_to_the_same_weights(tmp_path, muon, stops):
    """Between two averaged updates (every third), and between two writes of the state."""
    settings = replace(SETTINGS, phases=((9, 7, 8), (12, 5, 4)), muon=muon)
    whole = train_lm(small_model(), settings, lambda start: batches(start, settings))
    for stop, every in stops:

        def report(step, figures, stop=stop):
            if step == stop:
                raise KeyboardInterrupt

        path = tmp_path / f"{stop}.pt"
        with pytest.raises(KeyboardInterrupt):
            train_lm(small_model(), settings, lambda start: batches(start, settings), path, every, report)
        assert runs.load_run(path, small_model()) == stop - stop % every
        resumed = train_lm(small_model(), settings, lambda start: batches(start, settings), path)
        assert_close(resumed.state_dict(), whole.state_dict(), atol=0)


def test_a_state_is_never_half_written(killed):
    """What is on the disk is always a whole state, and what a killed process left is removed by the next."""
    assert killed["writing"]["caught"] >= 5  # in the middle of writing
    assert killed["writing"]["seen"] > 3
    assert [file.name for file in (killed["folder"] / "writing").iterdir()] == ["run.pt"]


def test_the_random_state_goes_on(tmp_path):
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    torch.manual_seed(3)
    runs.save_run(tmp_path / "run.pt", model, optimizer, 1)
    expected = torch.rand(3)
    runs.load_run(tmp_path / "run.pt", model, optimizer)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_random_state_of_the_gpu_goes_on(tmp_path):
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    torch.cuda.manual_seed(3)
    runs.save_run(tmp_path / "run.pt", model, optimizer, 1)
    expected = torch.rand(3, device="cuda")
    runs.load_run(tmp_path / "run.pt", model, optimizer)
    assert torch.equal(torch.rand(3, device="cuda"), expected)


def test_a_full_disk_is_named_and_the_state_before_stays(tmp_path, small_disk):
    path, small, large = small_disk / "run.pt", torch.nn.Linear(100, 100), torch.nn.Linear(600, 600)
    optimizer = torch.optim.AdamW(small.parameters())
    runs.save_run(path, small, optimizer, 5)
    with pytest.raises(OSError, match=r"the disk is full: run.pt needs 1\.4 MB in .* 1\.0 MB are free"):
        runs.save_run(path, large, torch.optim.AdamW(large.parameters()), 6)
    assert [file.name for file in small_disk.iterdir()] == ["run.pt"]
    assert runs.load_run(path, small, optimizer) == 5


def test_a_disk_that_fills_up_while_the_state_is_written(small_disk, monkeypatch):
    path, large = small_disk / "run.pt", torch.nn.Linear(600, 600)
    monkeypatch.setattr("musicgen_edu.files.check_room", lambda *_: None)  # there was room a moment ago
    with pytest.raises(OSError, match="the disk is full: run"):
        runs.save_run(path, large, torch.optim.AdamW(large.parameters()), 6)
    assert not list(small_disk.iterdir())


def test_two_processes_get_the_numbers_of_one(tmp_path, uninterrupted):
    options = "--cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0"
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        *options.split(),
        HELPERS / "training_runs.py",
        tmp_path,
    ]
    command += [HELPERS / "training_runs.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 0\n") == 1  # only the main process speaks
    found = torch.load(tmp_path / "result.pt", weights_only=True)
    assert len(found["history"]) == SETTINGS.steps
    for one, two in zip(uninterrupted["history"], found["history"], strict=True):
        assert two == pytest.approx(one, abs=1e-5)
    assert_close(found["weights"], uninterrupted["weights"], atol=1e-4)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["result.pt", "run.pt"]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("B", [1, 4, 7])
def test_every_row_belongs_to_one_process(count, B):
    rows = [list(range(B))[Processes(count, index).rows(B)] for index in range(count)]
    assert [row for part in rows for row in part] == list(range(B))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@pytest.fixture
def written(tmp_path):
    model = torch.nn.Linear(30, 30)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 30)).sum().backward()
    optimizer.step()
    runs.save_run(tmp_path / "run.pt", model, optimizer, 5)
    return tmp_path / "run.pt"


def load(path, sizes=(30, 30)):
    model = torch.nn.Linear(*sizes)
    return runs.load_run(path, model, torch.optim.AdamW(model.parameters()))


DAMAGES = {
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "the last byte": lambda whole: whole[:-1],
    "no archive": lambda whole: b"PK\x03\x04 and no more",
    "text": lambda whole: b"hello\n" * 100,
    "a page": lambda whole: b"<!DOCTYPE html><html></html>",
    "zeros": lambda whole: bytes(len(whole)),
} | {
    f"a bit at {place} of 9": lambda whole, place=place: (
        whole[: (i := len(whole) * place // 9)] + bytes([whole[i] ^ 16]) + whole[i + 1 :]
    )
    for place in range(1, 9)
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_one_sentence_that_says_what_to_do(written, damage):
    assert load(written) == 5
    written.write_bytes(DAMAGES[damage](written.read_bytes()))
    with pytest.raises(
        ValueError, match=r"run\.pt, the state of the run, is damaged: remove it to start anew"
    ) as error:
        load(written)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("state", [[1, 2], {}, {"model": {}}, None, 5, torch.ones(2)])
def test_another_file_of_torch_is_no_state(tmp_path, state):
    torch.save(state, tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"run\.pt, the state of the run, is damaged"):
        load(tmp_path / "run.pt")


@pytest.mark.parametrize("step", [-1, "5", 1.5, None, True])
def test_a_number_of_steps_that_is_none(written, step):
    state = torch.load(written, weights_only=True)
    torch.save(state | {"step": step}, written)
    with pytest.raises(ValueError, match=r"run\.pt, the state of the run, is damaged"):
        load(written)


def test_the_state_of_another_model_is_named(written):
    for sizes in ((30, 31), (2, 2)):
        with pytest.raises(ValueError, match=r"run\.pt is the state of another model or optimizer"):
            load(written, sizes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["model", "optimizer"])
def test_a_state_that_is_not_finite_is_neither_written_nor_read(written, value, where):
    before = written.read_bytes()
    model = torch.nn.Linear(30, 30)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 30)).sum().backward()
    optimizer.step()
    broken = model.weight.data if where == "model" else optimizer.state[model.weight]["exp_avg"]
    broken[3, 4] = value
    with pytest.raises(NotFinite, match=rf"of the {where}'s state .* holds NaN or infinite"):
        runs.save_run(written, model, optimizer, 6)
    assert written.read_bytes() == before
    torch.save(
        torch.load(written, weights_only=True) | {where: (model, optimizer)[where != "model"].state_dict()}, written
    )
    with pytest.raises(NotFinite, match=r"run\.pt cannot be gone on with \(remove it to start anew"):
        load(written)
