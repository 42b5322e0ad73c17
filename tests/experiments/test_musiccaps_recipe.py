"""The student project's recipe, from a table and a folder of clips to sound; and the format that keeps its models."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu.checkpoints.load import read_codec
from musicgen_edu.checkpoints.own_format import read_model
from musicgen_edu.checkpoints.weights import SafetensorsFile
from musicgen_edu.experiments import musiccaps_recipe
from musicgen_edu.experiments.musiccaps_recipe import (
    FileClips,
    build_parser,
    main,
    model_config,
    training_settings,
    write_samples,
)
from musicgen_edu.model.audio import read_audio
from musicgen_edu.model.encodec import EncodecConfig
from musicgen_edu.model.lm import MusicgenLM, count_parameters, on_meta
from musicgen_edu.musicgen import MusicGen
from musicgen_edu.training.lm_data import cache_codes
from musicgen_edu.training.text_to_codes import TextToCodes, read_text_encoder
from musicgen_edu.training.validation import validation_nats

COLUMNS = (
    "ytid,start_s,end_s,audioset_positive_labels,aspect_list,caption,author_id,is_balanced_subset,is_audioset_eval"
)
WORDS = ("calm bell melody", "fast organ and drums", "slow piano in c minor", "fast bell in c major, no drums")
CLIPS, RATE = 16, 48000
SMALL = shlex.split(
    "--seconds 1 --dim 16 --heads 2 --layers 1 --feed-forward 32 --batch 3 --accumulate 2 --learning-rate 0.01 "
    "--warmup 3 --ema 0.8 --samples 2 --float32 --device cpu --validate-every 10 --checkpoint-every 10"
)


def write_clip(path, i):
    """One second of one of four tones in stereo, the right channel another than the left."""
    rng, time = np.random.default_rng(i), np.arange(RATE) / RATE
    left = 0.4 * np.sin(2 * np.pi * 220 * (1 + i % 4) * time) + 0.02 * rng.standard_normal(RATE)
    soundfile.write(path, np.stack([left, 0.5 * left[::-1]], 1), RATE)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A MusicCaps-shaped table and folder of clips, and a codec and a T5 in the published format."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("material")
    (folder / "clips").mkdir()
    names = ["{0}.wav", "{0}_30_31.flac", "[{0}]-[30-31].wav"]
    with open(folder / "musiccaps.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.split(","))
        for i in range(CLIPS):
            words = WORDS[i % 4]
            writer.writerow([f"-v_{i}", 30, 31, "/m/04rlf", str(words.split()), words, 1, "False", "True"])
            write_clip(folder / "clips" / names[i % 3].format(f"-v_{i}"), i)
    whole = their_musicgen(sampling_rate=32000, upsampling_ratios=[8, 5, 4, 4])
    save_musicgen(whole, folder / "whole")
    whole.audio_encoder.save_pretrained(folder / "codec")
    whole.text_encoder.save_pretrained(folder / "t5")
    for path in (folder / "whole").glob("tokenizer*"):
        shutil.copy(path, folder / "t5")
    return folder


def arguments(material, out, *more, **changed):
    paths = {"table": material / "musiccaps.csv", "clips": material / "clips", "codec": material / "codec"}
    paths |= {"text": material / "t5", "out": out} | changed
    return [*(word for name, path in paths.items() for word in (f"--{name}", str(path))), *SMALL, *more]


@pytest.fixture(scope="module")
def trained(material, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "new" / "recipe"
    assert main(arguments(material, out, "--steps", "60")) == 0
    return out


def coded(material, trained, name):
    """The codes of a part, as the recipe has kept them."""
    paths = json.loads((trained / "split.json").read_text())[name]
    captions = {}
    with open(material / "musiccaps.csv", newline="") as file:
        captions = {row["ytid"]: row["caption"] for row in csv.DictReader(file)}
    shard = trained / "codes" / name / "codes-00000.safetensors"
    kept, codes = json.loads(safe_open(shard, "pt").metadata()["captions"]), load_file(shard)["codes"]
    assert len(kept) == len(paths)
    for path, caption in zip(paths, kept, strict=True):
        (ytid,) = [ytid for ytid in captions if f"{ytid}]" in path or f"{ytid}_" in path or f"{ytid}." in path]
        assert captions[ytid] == caption
    return paths, codes.view(4, len(paths), 50).transpose(0, 1).long(), kept  # all are 50 frames long


def test_table_and_clips_become_codes(material, trained):
    codec, seen = read_codec(material / "codec"), []
    for name, count in (("train", 10), ("validation", 2), ("test", 4)):
        paths, codes, _ = coded(material, trained, name)
        assert len(paths) == count
        for path, kept in zip(paths, codes, strict=True):
            audio, rate = read_audio(path)
            assert (rate, audio.shape) == (48000, (1, 48000))
            sound = read_audio(path, 32000)[0]
            with torch.no_grad():
                assert torch.equal(codec.encode(sound[None])[0], kept)
        seen += paths
    assert len(set(seen)) == CLIPS
    assert len(codes.unique()) > 4


def test_each_part_is_used_for_what_it_is_called(material, trained, tmp_path, monkeypatch):
    parts = {name: coded(material, trained, name)[1] for name in ("train", "validation", "test")}
    assert len(torch.cat(list(parts.values())).unique(dim=0)) == CLIPS  # each clip is known by its codes

    def train_lm(model, settings, batches, checkpoint, every, report, validation, processes):
        for source, given in (("train", next(batches(3))), ("validation", validation.batches)):
            for batch in given:
                assert all((parts[source] == row).flatten(1).all(1).any() for row in batch.codes)
        raise KeyboardInterrupt

    monkeypatch.setattr(musiccaps_recipe, "train_lm", train_lm)
    assert main(arguments(material, tmp_path / "out", "--steps", "5")) == 130


def test_training_lowers_the_loss_on_the_clips_it_sees(material, trained):
    _, codes, captions = coded(material, trained, "train")
    model = read_model(trained / "model", "cpu")
    text = read_text_encoder(material / "t5")
    after = validation_nats(TextToCodes(text, model.lm, frozen=True), [(codes, captions)])
    before = validation_nats(TextToCodes(text, MusicgenLM(model.lm.config), frozen=True), [(codes, captions)])
    assert (after < 0.6 * before).all()
    steps = [json.loads(line) for line in (trained / "validation.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in steps] == [10, 20, 30, 40, 50, 60]


def test_samples_are_drawn_as_the_project_did(trained, tmp_path, monkeypatch):
    model, asked, real = read_model(trained / "model", "cpu"), [], MusicGen.generate
    captions = json.loads((trained / "samples" / "captions.json").read_text())
    assert sorted(captions) == ["0.wav", "1.wav"]

    def generate(self, prompts, seconds, **settings):
        asked.append((prompts, seconds, settings))
        return real(self, prompts, seconds, **settings)

    monkeypatch.setattr(MusicGen, "generate", generate)
    parsed = build_parser().parse_args(shlex.split(f"--table t --clips c --out {tmp_path}"))
    write_samples(parsed, model, list(captions.values()), 50)
    for i, (caption, (prompts, seconds, settings)) in enumerate(zip(captions.values(), asked, strict=True)):
        assert (prompts, seconds) == ([caption], 1.0)
        assert settings == {
            "guidance_scale": 0.2, "guidance_space": "probabilities", "temperature": 1.0, "top_p": 0.0, "seed": i,
            "top_k": 16,  # of 16 codes, where there are 2048 it is 250
        }  # fmt: skip
        sound, rate = soundfile.read(tmp_path / "samples" / f"{i}.wav", dtype="float32")
        assert (rate, sound.shape) == (32000, (32000,))
        assert 0.001 < np.abs(sound).max() < 1
        written = soundfile.read(trained / "samples" / f"{i}.wav", dtype="float32")[0]
        np.testing.assert_array_equal(written, sound)


def test_the_result_is_the_averaged_weights(trained):
    state = torch.load(trained / "run.pt", weights_only=True)
    model = read_model(trained / "model", "cpu").lm.state_dict()
    for name, tensor in model.items():
        assert torch.equal(tensor, state["averaged"][f"module.lm.{name}"])
    assert any(not torch.equal(tensor, state["model"][f"lm.{name}"]) for name, tensor in model.items())


def test_a_run_that_was_stopped_goes_on_to_the_same_model(material, tmp_path, monkeypatch, capsys):
    few = ("--steps", "5", "--checkpoint-every", "1", "--samples", "0")
    assert main(arguments(material, tmp_path / "whole", *few)) == 0
    real = musiccaps_recipe.run_report

    def stopping(path, steps):
        report = real(path, steps)

        def stop_at_the_third(step, figures):
            report(step, figures)
            if step == 2:
                raise KeyboardInterrupt

        return stop_at_the_third

    with monkeypatch.context() as patched:
        patched.setattr(musiccaps_recipe, "run_report", stopping)
        assert main(arguments(material, tmp_path / "stopped", *few)) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not (tmp_path / "stopped" / "model").exists()
    assert torch.load(tmp_path / "stopped" / "run.pt", weights_only=True)["step"] == 2
    assert main(arguments(material, tmp_path / "stopped", *few)) == 0
    weights = [SafetensorsFile(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "stopped")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    split = (tmp_path / "stopped" / "split.json").read_bytes()
    assert main(arguments(material, tmp_path / "stopped", *few, "--split-seed", "3")) == 2
    assert "holds a run with split_seed 0, not 3" in capsys.readouterr().err
    assert (tmp_path / "stopped" / "split.json").read_bytes() == split


def test_the_defaults_are_the_projects():
    codec = SimpleNamespace(
        config=EncodecConfig(
            sampling_rate=32000, upsampling_ratios=(8, 5, 4, 4), codebook_size=2048, num_codebooks=4, num_filters=64
        )
    )
    parsed = build_parser().parse_args(shlex.split("--table t --clips c --out o"))
    settings = training_settings(parsed, musiccaps_recipe.frames_of(parsed, codec))
    assert settings.phases[0][:2] == (500, 600)  # ten seconds; 20 batches of 30
    assert (settings.accumulation, settings.ema_decay, settings.ema_every) == (20, 0.99, 1)
    assert (settings.word_dropout, settings.max_words, settings.pattern) == (0.2, 250, "delay")
    assert (parsed.codec, parsed.gamma, parsed.top_k, parsed.temperature) == ("facebook/encodec_32khz", 0.2, 250, 1.0)
    for name, count in (("MusicGen-1", 119_171_072), ("MusicGen-2", 844_689_408)):
        parsed.config = name
        assert count_parameters(on_meta(model_config(parsed, codec, 512))) == count


def test_missing_clips_and_broken_audio_are_told_and_cost_nothing_else(material, tmp_path, capsys):
    clips = tmp_path / "clips"
    shutil.copytree(material / "clips", clips)
    (clips / "-v_0.wav").unlink()
    (clips / "-v_1_30_31.flac").write_bytes(b"fLaC of nothing")
    soundfile.write(clips / "[-v_2]-[30-31].wav", np.full((RATE, 2), np.nan), RATE, subtype="FLOAT")
    table = tmp_path / "t.csv"
    table.write_text((material / "musiccaps.csv").read_text() + "late,40,30,,['a'],rain,1,False,True\n")
    out = tmp_path / "out"
    assert main(arguments(material, out, "--steps", "1", "--samples", "1", clips=clips, table=table)) == 0
    said = capsys.readouterr().err
    for message in (
        "line 18 of", "late must start before it ends", "1 of 16 clips not in", "-v_0_30_31",
        "-v_1_30_31.flac cannot be read as audio", "[-v_2]-[30-31].wav contains NaN or infinite samples",
    ):  # fmt: skip
        assert message in said, message
    split = json.loads((out / "split.json").read_text())
    assert sum(len(split[name]) for name in ("train", "validation", "test")) == CLIPS - 2
    assert len(split["told"]) == 3
    codes = [load_file(path) for path in out.glob("codes/*/*.safetensors")]
    assert sum(len(shard["lengths"]) for shard in codes) == CLIPS - 3


def few_clips(material, tmp_path):
    for path in sorted((material / "clips").iterdir())[:3]:
        shutil.copy(path, tmp_path)
    return {"clips": tmp_path}


@pytest.mark.parametrize(
    ("more", "changed", "message"),
    [
        ((), few_clips, "the part validation has no clips: 3 clips are too few to split"),
        ((), {"clips": "nowhere"}, "no folder at nowhere"),
        ((), {"table": "nowhere.csv"}, "no table at nowhere.csv"),
        ((), {"codec": "nowhere"}, "nowhere is neither 'tiny' nor a folder"),
        (("--device", "abacus"), {}, "--device abacus cannot be used"),
        (("--heads", "3"), {}, "must be a multiple of the number of heads, 3, not 16"),
        (("--batch", "0"), {}, "argument --batch: must be at least 1, not 0"),
        (("--word-dropout", "2"), {}, "argument --word-dropout: must be at least 0 and at most 1, not 2"),
        (("--gamma", "3"), {}, "argument --gamma: must be at least 0 and at most 1, not 3"),
        (("--steps", "many"), {}, "argument --steps: invalid int value: 'many'"),
        (("--learning-rate", "nan"), {}, "argument --learning-rate: must be at least 0, not nan"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_model(material, tmp_path, capsys, more, changed, message):
    changed = changed(material, tmp_path) if callable(changed) else changed
    out = tmp_path / "out"
    try:
        status = main(arguments(material, out, "--steps", "1", *more, **changed))
    except SystemExit as left:  # so argparse ends
        status = left.code
    assert status == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not list(out.glob("*/*"))  # no codes were computed in vain


def test_aspects_and_the_filter_reach_the_training(material, tmp_path, capsys):
    table = tmp_path / "t.csv"
    poor = (material / "musiccaps.csv").read_text().replace("fast bell in c major", "low quality recording of a bell")
    table.write_text(poor)
    more = ("--steps", "1", "--samples", "0", "--good-recordings", "--aspects")
    assert main(arguments(material, tmp_path / "out", *more, table=table)) == 0
    paths = sorted((tmp_path / "out" / "codes").glob("*/*.safetensors"))
    texts = [text for path in paths for text in json.loads(safe_open(path, "pt").metadata()["captions"])]
    assert len(texts) == CLIPS * 3 // 4
    assert set(texts) == {", ".join(words.split()) for words in WORDS[:3]}


def test_the_codes_of_other_clips_are_not_taken_for_these(material, trained):
    with pytest.raises(ValueError, match="were made of other clips"):
        cache_codes(trained / "codes" / "train", FileClips([]), read_codec(material / "codec"), 50, tell=list)
