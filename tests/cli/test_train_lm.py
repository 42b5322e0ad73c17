"""`musicgen-edu train-lm`: a model that generates, a stop that costs nothing, mistakes in one sentence."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil

import numpy as np
import pytest
import soundfile
import torch
import transformers

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu.checkpoints import find
from musicgen_edu.checkpoints.own_format import read_model, read_with_pattern, write_model
from musicgen_edu.checkpoints.published import CheckpointError
from musicgen_edu.checkpoints.save import write_checkpoint
from musicgen_edu.cli.main import build_parser, main
from musicgen_edu.cli.train_lm import PATTERNS, model_config, training_settings
from musicgen_edu.errors import NotFinite
from musicgen_edu.model.generation import generate_codes
from musicgen_edu.model.patterns import PATTERNS as REAL_PATTERNS
from musicgen_edu.model.patterns import pattern_table
from musicgen_edu.musicgen import MusicGen
from musicgen_edu.training.lm_report import record
from musicgen_edu.training.text_to_codes import read_text_encoder

SMALL = shlex.split(
    "--steps 4 --batch 2 --seconds 0.4 --dim 16 --heads 2 --layers 1 --feed-forward 16 --float32 --device cpu "
    "--procedural-clips 6 --validation-clips 4 --validate-every 2"
)
EVERYTHING = shlex.split("--accumulate 2 --ema 0.9 --ema-every 2 --word-dropout 0.2 --max-words 250")


def train(out, *more):
    return main(["train-lm", "--out", str(out), *SMALL, *more])


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Six sound files of other rates and channels, and a table of captions."""
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    with (folder / "captions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "caption"])
        for i in range(6):
            soundfile.write(folder / f"{i}.flac", 0.1 * rng.standard_normal((24000 + 4000 * i, 2)), 48000)
            table.writerow([f"{i}.flac", f"a calm bell, number {i}"])
    return folder


@pytest.fixture(scope="module")
def trained(music, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "new" / "lm"
    assert train(out, "--data", str(music / "captions.csv"), *EVERYTHING) == 0
    return out


def test_what_it_writes_generates_in_both_libraries(trained):
    ours = MusicGen.from_pretrained(trained, device="cpu")
    audio = ours.generate(["a calm bell"], seconds=0.4, seed=1)
    assert audio.shape == (1, 1, 6400)
    assert ours.max_seconds == pytest.approx(0.4)  # as long as the clips it was trained on
    theirs = transformers.MusicgenForConditionalGeneration.from_pretrained(trained).eval()
    sequence = torch.randint(0, 1024, (1, 4, 9))
    states, mask = ours.text(["a calm bell"])
    with torch.no_grad():
        expected = theirs.decoder(
            sequence.flatten(0, 1),
            encoder_hidden_states=theirs.enc_to_dec_proj(states),
            encoder_attention_mask=mask.long(),
        ).logits.view(1, 4, 9, 1024)
        torch.testing.assert_close(ours.lm(sequence, states, mask), expected, atol=1e-4, rtol=0)
    shipped = read_text_encoder("tiny").model.state_dict()
    for name, tensor in ours.text.model.state_dict().items():
        assert torch.equal(tensor, shipped[name])  # it was frozen


def test_the_losses_on_held_out_clips_are_recorded(trained):
    lines = [json.loads(line) for line in (trained / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert set(lines[0]) == {"step", "loss", "k0", "k1", "k2", "k3"}
    assert lines[0]["loss"] == pytest.approx(np.log(1024), abs=0.5)


def test_a_run_that_goes_on_from_an_earlier_step_replaces_what_it_recorded(tmp_path):
    path = tmp_path / "validation.jsonl"
    for step, loss in ((2, 5.0), (4, 4.0), (6, 3.0), (4, 2.0)):
        record(path, {"step": step, "loss": loss})
    assert path.read_text() == '{"step": 2, "loss": 5.0}\n{"step": 4, "loss": 2.0}\n'


def test_the_same_command_again_goes_on_and_a_stop_costs_nothing(trained, music, tmp_path, monkeypatch, capsys):
    from musicgen_edu.training import runs

    def stop_at_2(steps):
        def report(step, losses):
            if step == 2:
                raise KeyboardInterrupt

        return report

    more = ("--data", str(music / "captions.csv"), *EVERYTHING, "--checkpoint-every", "1")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "progress_bar", stop_at_2)
        assert train(tmp_path, *more) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()
    assert train(tmp_path, *more) == 0
    for name in ("model.safetensors", "validation.jsonl", "config.json"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "codes", "config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json", "run.json",
        "run.pt", "tokenizer.json", "tokenizer_config.json", "validation.jsonl",
    ]  # fmt: skip


def test_procedural_music_needs_nothing_and_says_what_it_does(tmp_path, capsys):
    assert train(tmp_path / "lm") == 0
    shown = capsys.readouterr()
    assert "6 clips to train on, on cpu" in shown.out
    assert "step 3  loss" in shown.out
    assert "0 s left" in shown.out
    assert "held-out clips after 4 steps, nats a code:  loss" in shown.out
    assert "6 of 6 clips encoded" in shown.err


def test_a_table_of_musiccaps_is_recognised_and_what_is_missing_is_told(tmp_path, capsys):
    clips = tmp_path / "clips"
    clips.mkdir()
    with (tmp_path / "musiccaps.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["ytid", "start_s", "end_s", "aspect_list", "caption"])
        for i in range(12):
            table.writerow([f"id{i}", 30, 40, "['slow', 'bell']", f"a slow bell, number {i}"])
            if i != 7:
                noise = 0.1 * np.random.default_rng(i).standard_normal(8000)
                soundfile.write(clips / f"id{i}_30_40.wav", noise, 16000)
    (clips / "id3_30_40.wav").write_bytes(b"no sound")
    assert train(tmp_path / "lm", "--data", str(tmp_path / "musiccaps.csv"), "--clips", str(clips)) == 0
    shown = capsys.readouterr()
    assert "1 of 12 clips not in" in shown.err
    assert "id3_30_40.wav" in shown.err
    assert "M weights, 7 clips to train on" in shown.out  # 65 % of the ten that are left, 6.5, rounded up
    assert MusicGen.from_pretrained(tmp_path / "lm", device="cpu").lm.config.layers == 1


def test_other_patterns_are_not_passed_off_as_published(tmp_path, capsys):
    assert train(tmp_path, "--pattern", "flattening") == 0
    assert "a model of the pattern flattening after 4 steps, in our own format" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match="expected model_type musicgen, found musicgen_edu"):
        MusicGen.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="a model of the pattern flattening, and MusicGen generates in the delay"):
        read_model(tmp_path)
    model, pattern = read_with_pattern(tmp_path, "cpu")
    assert pattern == "flattening"
    state = torch.load(tmp_path / "run.pt", weights_only=True)["model"]
    assert all(torch.equal(tensor, state[f"lm.{name}"]) for name, tensor in model.lm.state_dict().items())
    table = pattern_table(pattern, 4, 5)
    assert generate_codes(model.lm, 5, [1], model.condition(["a calm bell"]), table=table).shape == (1, 4, 5)


def test_other_options_in_the_same_folder_are_refused_but_more_steps_are_not(tmp_path, capsys):
    assert train(tmp_path) == 0
    capsys.readouterr()
    assert train(tmp_path, "--pattern", "parallel") == 2
    assert "holds a run with pattern delay, not parallel: give the same options" in capsys.readouterr().err
    assert train(tmp_path, "--steps", "5") == 0
    assert json.loads((tmp_path / "run.json").read_text())["steps"] == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "nowhere.csv"], "no table at nowhere.csv"),
        (["--data", "FOLDER"], "FOLDER is a folder: give the table of its captions"),
        (["--data", "table.csv"], "lacks the column caption"),
        (["--codec", "nothing"], "nothing is neither 'tiny' nor a folder nor a hub name"),
        (["--text", "FOLDER"], "FOLDER cannot be used as text encoder"),
        (["--text", "bert"], "bert is no T5 but a model of the kind bert"),
        (["--steps", "0"], "--steps must be at least 1, not 0"),
        (["--accumulate", "0"], "--accumulate must be at least 1"),
        (["--max-words", "0"], "--max-words must be at least 1"),
        (["--ema", "1"], "--ema must be at least 0 and less than 1"),
        (["--ema-every", "5"], "--ema-every must be at most --steps, 4, not 5"),
        (["--hold", "1"], "--hold must be at least 0 and less than 1"),
        (["--word-dropout", "1.5"], "--word-dropout must be 0 to 1, not 1.5"),
        (["--condition-dropout", "nan"], "--condition-dropout must be 0 to 1"),
        (["--learning-rate", "nan"], "--learning-rate must be more than 0"),
        (["--seconds", "inf"], "--seconds must be more than 0, not inf"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--seed", str(2**64)], "--seed must be less than 2**63"),
        (["--learning-rate", "1e308"], "--learning-rate must be at most 1e9"),
        (["--weight-decay", "inf"], "--weight-decay must be at least 0, not inf"),
        (["--dim", "15"], "--dim must be even and a multiple of --heads 2, not 15"),
        (["--device", "abacus"], "--device abacus cannot be used"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_trained(tmp_path, capsys, monkeypatch, more, message):
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "table.csv").write_text("file,text\na.wav,calm\n")
    monkeypatch.chdir(tmp_path)
    assert train("out", *more) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "out" / "run.pt").exists()


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_when_there_is_room(small_disk, tmp_path, capsys):
    larger = ("--dim", "64", "--feed-forward", "64", "--checkpoint-every", "1")
    assert train(small_disk / "lm", *larger) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the disk is full: run.pt needs" in error
    assert str(small_disk / "lm") in error
    assert (small_disk / "lm" / "codes" / "train" / "codes-00000.safetensors").exists()
    (tmp_path / "lm").mkdir()
    for path in (small_disk / "lm").rglob("*"):
        target = tmp_path / "lm" / path.relative_to(small_disk / "lm")
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    assert train(tmp_path / "lm", *larger) == 0
    assert "clips encoded" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ("", (192, 3, 6, 640)),
        ("--size small", (1024, 16, 24, 4096)),
        ("--size medium --layers 2", (1536, 24, 2, 6144)),
        ("--dim 768 --heads 12", (768, 12, 6, 640)),
    ],
)
def test_sizes_and_settings_are_what_the_options_say(options, sizes, tiny_codec):
    arguments = build_parser().parse_args(
        ["train-lm", "--out", "out", *options.split(), *EVERYTHING, "--batch", "3", "--steps", "9", "--seconds", "10"]
    )
    config = model_config(arguments, tiny_codec, 768)
    assert (config.dim, config.num_heads, config.layers, config.feed_forward) == sizes
    assert config.text_layers == (0 if config.dim == 768 else 1)  # as the published format has it
    assert (config.max_steps, config.text_dim, config.codebook_size) == (503, 768, 1024)
    settings = training_settings(arguments, 500)
    assert settings.phases == ((500, 6, 9),)
    assert (settings.accumulation, settings.ema_decay, settings.ema_every) == (2, 0.9, 2)
    assert (settings.word_dropout, settings.max_words, settings.pattern) == (0.2, 250, "delay")
    assert settings.bfloat16
    arguments.float32 = True
    assert not training_settings(arguments, 500).bfloat16


@pytest.fixture(scope="module")
def tiny_codec():
    from musicgen_edu.checkpoints.load import read_codec

    return read_codec("tiny")


def test_the_patterns_of_the_command_line_are_those_there_are():
    assert set(PATTERNS) == set(REAL_PATTERNS)


def test_a_t5_alone_is_a_text_encoder_too(tmp_path):
    shipped = read_text_encoder("tiny")
    shipped.model.save_pretrained(tmp_path / "t5")
    shipped.tokenizer.save_pretrained(tmp_path / "t5")
    for other in (read_text_encoder(tmp_path / "t5"), read_text_encoder(find("tiny"))):
        for a, b in zip(shipped(["a calm bell", ""]), other(["a calm bell", ""]), strict=True):
            assert torch.equal(a, b)


def test_the_text_encoder_of_a_musicgen_in_shards(tmp_path):
    theirs = their_musicgen()
    whole, shards = save_musicgen(theirs, tmp_path / "whole"), save_musicgen(theirs, tmp_path / "shards")
    (shards / "model.safetensors").unlink()
    theirs.save_pretrained(shards, max_shard_size="60KB")
    parts = sorted(shards.glob("model-*.safetensors"))
    assert len(parts) > 1
    for a, b in zip(read_text_encoder(whole)(["a calm bell"]), read_text_encoder(shards)(["a calm bell"]), strict=True):
        assert torch.equal(a, b)
    parts[-1].unlink()
    with pytest.raises(CheckpointError, match=f"lacks {parts[-1].name}, one of {len(parts)} shards"):
        read_text_encoder(shards)


@pytest.mark.parametrize("pattern", ["delay", "parallel"])
def test_a_loss_that_is_not_finite_ends_in_one_sentence_and_leaves_nothing_broken(tmp_path, capsys, pattern):
    assert (
        train(tmp_path, "--learning-rate", "1e6", "--warmup", "1", "--pattern", pattern, "--checkpoint-every", "1") == 2
    )
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"training stopped in step \d of 4: .*; a smaller learning rate", error)
    record = tmp_path / "validation.jsonl"
    for line in record.read_text().splitlines() if record.exists() else ():
        json.loads(line, parse_constant=int)
    assert not (tmp_path / "config.json").exists()
    assert not (tmp_path / "model.safetensors").exists()


def test_a_broken_model_is_not_written_over_a_good_one(trained, tmp_path):
    model = MusicGen.from_pretrained(trained, device="cpu")
    before = {path.name: path.read_bytes() for path in trained.iterdir() if path.is_file()}
    model.lm.heads.weight[5, 3] = torch.inf
    parts = (model.text.model, model.text.tokenizer, model.lm, model.codec)
    with pytest.raises(NotFinite, match=f"nothing was written to {trained}: as float32, the weight decoder.lm_heads.0"):
        write_checkpoint(trained, *parts)
    with pytest.raises(NotFinite, match=r"the weight lm\.heads\.weight holds NaN or infinite"):
        write_model(trained, *parts)
    model.lm.heads.weight[5, 3] = 1e6  # finite, but not in the format asked for
    with pytest.raises(NotFinite, match=r"as float16, the weight decoder\.lm_heads\.0"):
        write_checkpoint(trained, *parts, dtype=torch.float16)
    assert {path.name: path.read_bytes() for path in trained.iterdir() if path.is_file()} == before


def test_a_damaged_state_is_one_sentence(trained, music, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "lm")
    whole = (tmp_path / "lm" / "run.pt").read_bytes()
    (tmp_path / "lm" / "run.pt").write_bytes(whole[: len(whole) // 2])
    assert train(tmp_path / "lm", "--data", str(music / "captions.csv"), *EVERYTHING, "--steps", "6") == 2
    error = capsys.readouterr().err.splitlines()
    assert "run.pt, the state of the run, is damaged: remove it to start anew" in error[-1]
