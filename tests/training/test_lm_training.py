"""Training a language model: parts add up to the whole, padding is nothing, a stop costs nothing, two are one."""

from __future__ import annotations

import copy
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.training_runs import SETTINGS, V, batches, random_batch, small_model
from musicgen_edu.model.lm import codebook_loss
from musicgen_edu.model.patterns import PATTERNS, holds_code, num_steps, pattern_table
from musicgen_edu.training import runs
from musicgen_edu.training.averaging import averaged_weights
from musicgen_edu.training.layout import Batch, make_update, pattern_columns, pattern_sequence
from musicgen_edu.training.lm import add_gradient, draw_update, pattern_loss, train_lm, update_weights
from musicgen_edu.training.optimizers import make_optimizers
from musicgen_edu.training.processes import ALONE, Processes
from musicgen_edu.training.validation import Validation, validation_nats

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
SCRIPT = Path(__file__).parents[1] / "helpers" / "training_runs.py"
KEPT = torch.zeros(7, dtype=torch.bool)
PLAIN = replace(SETTINGS, condition_dropout=0.0, input_noise=0.0, word_dropout=0.0)


def gradients(model):
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def assert_close(found, expected, atol=1e-6):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=atol, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


# What is trained on


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("K", "T"), [(4, 9), (4, 2), (1, 5), (3, 1)])
def test_the_columns_that_count_are_those_that_a_longer_clip_has_too(pattern, K, T):
    columns, S = pattern_columns(pattern, K, T), num_steps(pattern_table(pattern, K, T))
    cells, longer = holds_code(pattern_table(pattern, K, T)), holds_code(pattern_table(pattern, K, 3 * T + 1))
    if pattern == "coarse-first" and K > 1:  # its order depends on the length
        assert columns == S + 1
        return
    assert torch.equal(cells[:, :columns], longer[:, :columns])
    assert columns == S + 1 or not torch.equal(cells[:, columns], longer[:, columns])  # and not one fewer


def test_targets_of_each_pattern():
    targets = {
        name: pattern_sequence(torch.zeros(1, 4, 9).long(), name, V)[1][:, 1:].sum(1).tolist() for name in PATTERNS
    }
    assert targets["delay"] == [9, 8, 7, 6]
    assert targets["partial delay"] == [9, 8, 8, 8]
    for name in ("parallel", "flattening", "coarse-first", "partial flattening"):
        assert targets[name] == [9] * 4


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_padded_row_costs_what_it_costs_alone_and_padding_is_nothing(pattern):
    model = small_model().eval()
    codes, captions, lengths = random_batch(3, 7, 11)
    assert len(set(lengths.tolist())) > 3
    with torch.no_grad():
        loss, per_codebook = pattern_loss(model, codes, captions, KEPT, pattern, lengths=lengths)
        sums, counts = torch.zeros(4), torch.zeros(4)
        for i, length in enumerate(lengths.tolist()):
            cells = pattern_sequence(codes[i : i + 1, :, :length], pattern, V)[1][:, 1:].sum(1)
            alone = pattern_loss(model, codes[i : i + 1, :, :length], captions[i : i + 1], KEPT[:1], pattern)[1]
            sums, counts = sums + alone * cells, counts + cells
        torch.testing.assert_close(per_codebook, sums / counts, atol=1e-6, rtol=0)
        torch.testing.assert_close(loss, per_codebook.mean())
        behind = torch.arange(11) >= lengths[:, None, None]
        other = torch.where(behind, torch.randint(0, V, codes.shape), codes)
        assert not torch.equal(other, codes)
        assert torch.equal(pattern_loss(model, other, captions, KEPT, pattern, lengths=lengths)[1], per_codebook)


def test_whole_rows_need_no_lengths():
    model, (codes, captions, _) = small_model().eval(), random_batch(4, 7, 9)
    whole = torch.full((7,), 9)
    with torch.no_grad():
        assert (
            pattern_loss(model, codes, captions, KEPT)[0]
            == pattern_loss(model, codes, captions, KEPT, lengths=whole)[0]
        )


@pytest.mark.parametrize("lengths", [[0, 3], [3, 10], [3]])
def test_lengths_that_make_no_sense_are_refused(lengths):
    codes, captions, _ = random_batch(5, 2, 9)
    with pytest.raises(ValueError, match="lengths"):
        pattern_loss(small_model(), codes, captions, KEPT[:2], lengths=torch.tensor(lengths))


def test_clips_too_short_for_the_pattern_are_refused():
    with pytest.raises(ValueError, match=r"at least one valid position, but the counts are \[4, 2, 1, 0\]"):
        make_update(Batch(torch.zeros(2, 4, 3).long(), ["a", "b"], torch.tensor([1, 3])), "delay", V)


# Parts of a batch


@pytest.mark.parametrize("accumulation", [1, 2, 3, 5, 7, 20])
@pytest.mark.parametrize("pattern", ["delay", "flattening"])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(accumulation, pattern):
    batch = random_batch(6, 7, 12, shortest=4)
    settings = replace(PLAIN, accumulation=accumulation, pattern=pattern)
    whole, parts = small_model(), small_model()
    loss, per_codebook = pattern_loss(whole, batch.codes, batch.captions, KEPT, pattern, lengths=batch.lengths)
    loss.backward()
    update = make_update(batch, pattern, V)
    nats = add_gradient(parts, update, settings, ALONE)
    assert_close(gradients(parts), gradients(whole))
    torch.testing.assert_close(nats, per_codebook, atol=1e-6, rtol=0)
    assert [len(part.captions) for part in update.micro_batches(3)] == [2, 2, 3]


def test_the_mean_of_the_parts_means_is_not_the_mean_of_the_whole():
    """What the counts of the whole are there for: this is the mistake that they prevent."""
    batch, model = random_batch(6, 7, 12, shortest=4), small_model()
    update = make_update(batch, "delay", V)
    whole = pattern_loss(model, batch.codes, batch.captions, KEPT, lengths=batch.lengths)[0]
    means = [
        codebook_loss(model(part.captions, part.given, part.dropped), part.targets, part.valid)[0]
        for part in update.micro_batches(3)
    ]
    assert abs(torch.stack(means).mean() - whole) > 1e-4


def test_accumulation_changes_nothing_but_the_last_digits_of_a_run():
    settings = replace(SETTINGS, phases=((9, 7, 6),), ema_every=1)
    runs_of = {
        n: train_lm(small_model(), replace(settings, accumulation=n), lambda start: batches(start, settings))
        for n in (1, 4)
    }
    assert_close(runs_of[4].state_dict(), runs_of[1].state_dict(), atol=1e-4)  # Adam divides by small numbers


# Random choices


def test_random_choices_depend_on_seed_step_and_batch_only():
    batch = random_batch(8, 40, 9)
    first = draw_update(batch, SETTINGS, 3, 0, V)
    torch.manual_seed(999)
    torch.rand(5)
    again = draw_update(batch, replace(SETTINGS, accumulation=5), 3, 0, V)
    assert first.captions == again.captions
    assert torch.equal(first.dropped, again.dropped)
    assert torch.equal(first.given, again.given)
    for other in (draw_update(batch, SETTINGS, 4, 0, V), draw_update(batch, SETTINGS, 3, 1, V),
                  draw_update(batch, replace(SETTINGS, seed=12), 3, 0, V)):  # fmt: skip
        assert first.captions != other.captions
        assert not torch.equal(first.dropped, other.dropped)
        assert not torch.equal(first.given, other.given)
        assert torch.equal(first.targets, other.targets)  # they are never touched


def test_shares_of_dropped_captions_and_words():
    batch = random_batch(9, 3000, 4)
    update = draw_update(batch, SETTINGS, 0, 0, V)
    assert update.dropped.float().mean().item() == pytest.approx(0.3, abs=0.03)
    words = [len(caption.split()) for caption in update.captions]
    assert max(words) == 3  # of four: max_words comes first
    assert sum(words) / 9000 == pytest.approx(0.7, abs=0.02)
    still = draw_update(batch, PLAIN, 0, 0, V)
    assert not still.dropped.any()
    assert still.captions == [" ".join(caption.split()[:3]) for caption in batch.captions]


def test_noise_in_a_padded_batch_keeps_to_codes():
    batch = random_batch(10, 50, 9)
    clean = make_update(batch, "delay", V)
    noisy = make_update(batch, "delay", V, noise=0.9)
    assert torch.equal(clean.given == V, noisy.given == V)
    assert (clean.given != noisy.given).any()


# The text encoder


def test_an_empty_caption_is_a_dropped_one():
    model, (codes, captions, _) = small_model().eval(), random_batch(11, 7, 9)
    with torch.no_grad():
        empty = pattern_loss(model, codes, ["", " ", *captions[2:]], KEPT)[1]
        dropped = pattern_loss(model, codes, captions, torch.arange(7) < 2)[1]
        assert torch.equal(empty, dropped)
        assert not torch.equal(empty, pattern_loss(model, codes, captions, KEPT)[1])


def test_a_frozen_text_encoder_is_used_and_left_alone():
    model = small_model(frozen=True, dropout=0.5)
    before = {name: tensor.clone() for name, tensor in model.text_model.state_dict().items()}
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"lm"}
    assert {name.split(".")[0] for name in model.state_dict()} == {"lm"}
    owned = {id(p) for group in make_optimizers(model, SETTINGS)[0].param_groups for p in group["params"]}
    assert owned == {id(parameter) for parameter in model.lm.parameters()}
    model.train()
    assert not model.text_model.training
    train_lm(model, replace(SETTINGS, phases=((9, 7, 3),)), batches)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.text_model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.text_model.parameters())
    assert copy.deepcopy(model).text_model is model.text_model
    assert copy.deepcopy(small_model()).text_model is not small_model().text_model
    assert next(model.to(torch.float64).text_model.parameters()).dtype == torch.float64  # it moves along


def test_a_text_encoder_that_is_trained_learns():
    model = small_model()
    before = model.text_model.shared.weight.clone()
    train_lm(model, replace(SETTINGS, phases=((9, 7, 3),)), batches)
    assert not torch.equal(model.text_model.shared.weight, before)


# Averages and validation


def test_the_averaged_weights_are_the_result():
    settings = replace(SETTINGS, phases=((9, 7, 7),), ema_every=2)
    model = small_model().train()
    optimizers = [make_optimizers(model, settings)[0]]
    averaged = averaged_weights(model, settings.ema_decay, 2)
    for step, found in enumerate(batches(0, settings)):
        update_weights(model, optimizers, found, settings, step, ALONE)
        averaged.update_parameters(model)
    result = train_lm(small_model(), settings, lambda start: batches(start, settings))
    assert averaged.updates == 3
    assert_close(result.state_dict(), averaged.module.state_dict(), atol=0)
    assert not torch.equal(result.lm.heads.weight, model.lm.heads.weight)


@pytest.mark.parametrize("pattern", ["delay", "coarse-first"])
def test_validation_is_the_loss_over_all_batches_together(pattern):
    model, (codes, captions, lengths) = small_model(dropout=0.5).train(), random_batch(12, 7, 9)
    parts = [Batch(codes[i : i + 3], captions[i : i + 3], lengths[i : i + 3]) for i in (0, 3, 6)]
    found = validation_nats(model, parts, pattern)
    assert model.training
    assert found.dtype == torch.float64
    expected = pattern_loss(model.eval(), codes, captions, KEPT, pattern, lengths=lengths)[1]
    torch.testing.assert_close(found.float(), expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="nothing to validate on"):
        validation_nats(model, [])


def test_validation_comes_at_intervals_and_at_the_end_and_changes_nothing():
    history, settings = {}, replace(SETTINGS, phases=((9, 7, 8),))
    watched = train_lm(
        small_model(), settings, batches, report=history.__setitem__, validation=Validation([random_batch(1, 3, 8)], 3)
    )
    assert [step for step, figures in history.items() if "validation loss" in figures] == [2, 5, 7]
    assert set(history[7]) == {
        *("loss", "k0", "k1", "k2", "k3", "loss 1"),
        *("validation loss", "validation k0", "validation k1", "validation k2", "validation k3"),
    }
    assert history[7]["loss"] == pytest.approx(sum(history[7][f"k{k}"] for k in range(4)) / 4)
    assert history[7]["validation loss"] == pytest.approx(
        validation_nats(watched, [random_batch(1, 3, 8)]).mean().item(), abs=1e-6
    )  # of the averaged weights
    assert_close(train_lm(small_model(), settings, batches).state_dict(), watched.state_dict(), atol=0)


# A run that is stopped


def run_script(folder: Path, *killed: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, SCRIPT, folder, *killed], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = run_script(folder)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "result.pt", weights_only=True)


def test_a_run_killed_three_times_ends_with_the_weights_of_one_that_was_not(tmp_path, uninterrupted):
    first, chance = 0, random.Random()
    stops = [
        (str(chance.randint(*around)), f"{chance.uniform(0, 0.03):.4f}") for around in ((2, 8), (14, 20), (26, 32))
    ]
    for stop in stops:
        done = run_script(tmp_path, *stop)
        assert done.returncode == -signal.SIGKILL, (stops, done.stderr)
        assert done.stdout.startswith(f"step {first}\n"), stops  # it went on where the state says
        first = torch.load(tmp_path / "run.pt", weights_only=True)["step"]
        assert int(stop[0]) <= first <= int(stop[0]) + 5, stops  # 10 ms a step: it was killed soon after
    done = run_script(tmp_path)
    assert done.stdout.startswith(f"step {first}\n"), stops
    found = torch.load(tmp_path / "result.pt", weights_only=True)["weights"]
    for name, tensor in uninterrupted["weights"].items():
        assert torch.equal(found[name], tensor), (name, stops)


def test_a_run_stopped_anywhere_between_two_averaged_updates_goes_on(tmp_path):
    settings = replace(SETTINGS, phases=((9, 7, 12),))
    whole = train_lm(small_model(), settings, batches)
    for stop in (4, 5, 6):

        def report(step, figures, stop=stop):
            if step == stop:
                raise KeyboardInterrupt

        path = tmp_path / f"{stop}.pt"
        with pytest.raises(KeyboardInterrupt):
            train_lm(small_model(), settings, batches, path, 1, report)
        assert_close(train_lm(small_model(), settings, batches, path).state_dict(), whole.state_dict(), atol=0)


def kill_while_writing(folder: str) -> None:
    """Kill processes that write their state all the time, 25 and until 5 were caught at it; load what each left."""
    path, model = Path(folder) / "run.pt", torch.nn.Linear(400, 400)
    optimizer = torch.optim.AdamW(model.parameters())
    runs.save_run(path, model, optimizer, 0)
    kills, caught, seen = 0, 0, set()
    while (kills < 25 or caught < 5) and kills < 500:
        child = os.fork()
        if child == 0:
            step = 0
            while True:
                step += 1
                runs.save_run(path, model, optimizer, step)
        time.sleep(random.uniform(0.005, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        seen.add(runs.load_run(path, model, optimizer))
        caught += len(list(path.parent.glob(".run.pt.*.part")))
    runs.save_run(path, model, optimizer, 7)
    print(json.dumps({"caught": caught, "seen": len(seen)}))


def test_a_state_is_never_half_written(tmp_path):
    """What is on the disk is always a whole state, and what a killed process left is removed by the next.

    In a process of its own: a fork of this one, which by now is large and has threads, may take longer than it lives.
    """
    code = "import sys, test_lm_training as t; t.kill_while_writing(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(
        command, cwd=Path(__file__).parent, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:]
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["caught"] >= 5  # in the middle of writing
    assert told["seen"] > 3
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


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


# Several processes


def test_two_processes_get_the_numbers_of_one(tmp_path, uninterrupted):
    options = "--cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0"
    command = [sys.executable, "-m", "accelerate.commands.launch", *options.split(), SCRIPT, tmp_path]
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
