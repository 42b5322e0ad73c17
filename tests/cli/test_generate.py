"""`musicgen-edu generate`: what it writes, and that a failure leaves nothing half done."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import soundfile
import torch

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import MusicGen
from musicgen_edu.cli.main import build_parser, main
from musicgen_edu.cli.options import model_loader
from musicgen_edu.fast.int8 import Int8Matrix
from musicgen_edu.model.audio import read_audio


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save_musicgen(their_musicgen(), tmp_path_factory.mktemp("musicgen")))


def run(folder, out, *more):
    return main(
        ["generate", "a calm bell", "--model", folder, "--out", str(out), "--seconds", "0.5", "--top-k", "8", *more]
    )


def test_it_writes_a_sound_file_that_the_seed_repeats(folder, tmp_path, capsys):
    for name in ("a.wav", "b.wav", "c.flac"):
        assert run(folder, tmp_path / name, "--seed", "5") == 0
    assert "0.50 s at 800 Hz, seed 5" in capsys.readouterr().out
    samples, rate = soundfile.read(tmp_path / "a.wav")
    assert (len(samples), rate) == (400, 800)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    flac, _ = soundfile.read(tmp_path / "c.flac")
    assert abs(flac - samples).max() <= 1 / 32768  # the two formats round differently
    run(folder, tmp_path / "b.wav", "--seed", "6")
    assert (tmp_path / "a.wav").read_bytes() != (tmp_path / "b.wav").read_bytes()


def test_the_seed_that_was_drawn_is_printed_and_repeats_the_clip(folder, tmp_path, capsys):
    run(folder, tmp_path / "a.wav")
    seed = capsys.readouterr().out.split("seed ")[1].split(",")[0]
    run(folder, tmp_path / "b.wav", "--seed", seed)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_the_number_format_is_that_of_the_weights(folder, tmp_path, monkeypatch):
    loaded, load = [], MusicGen.from_pretrained
    monkeypatch.setattr(MusicGen, "from_pretrained", lambda *a, **k: loaded.append(load(*a, **k)) or loaded[-1])
    for dtype in ("float32", "bfloat16", "int8"):
        assert run(folder, tmp_path / f"{dtype}.wav", "--seed", "5", "--device", "cpu", "--dtype", dtype) == 0
    assert run(folder, tmp_path / "default.wav", "--seed", "5", "--device", "cpu") == 0
    assert (tmp_path / "default.wav").read_bytes() == (tmp_path / "float32.wav").read_bytes()
    assert [model.lm.embedding.tables.dtype for model in loaded] == [
        torch.float32,
        torch.bfloat16,
        torch.float32,
        torch.float32,
    ]
    packed = [any(isinstance(getattr(m, "matrix", None), Int8Matrix) for m in model.lm.modules()) for model in loaded]
    assert packed == [False, False, True, False]


def test_int8_elsewhere_than_on_the_cpu_is_refused_before_loading(monkeypatch):
    arguments = build_parser().parse_args(["generate", "a bell", "--dtype", "int8", "--device", "cuda"])
    monkeypatch.setattr("musicgen_edu.cli.options.chosen_device", lambda name: torch.device(name))
    monkeypatch.setattr("musicgen_edu.checkpoints.load.find", lambda *a: pytest.fail("the checkpoint was looked for"))
    with pytest.raises(ValueError, match="int8 weights are for the CPU, not for cuda: use bfloat16 there"):
        model_loader(arguments)(arguments.model)


def test_guidance_has_its_options(folder, tmp_path):
    def sound(*more):
        assert run(folder, tmp_path / "a.wav", "--seed", "5", *more) == 0
        return (tmp_path / "a.wav").read_bytes()

    plain = sound()
    assert sound("--negative-prompt", "") == plain
    assert sound("--negative-prompt", "a calm bell") == sound("--guidance", "1") != plain
    mixed = sound("--guidance-space", "probabilities", "--guidance", "0.5")
    assert mixed != sound("--guidance", "0.5")


def test_it_goes_on_from_a_recording(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "begin.wav", "--seed", "4") == 0
    longer = ("--seconds", "1", "--seed", "5", "--continue", str(tmp_path / "begin.wav"))
    assert run(folder, tmp_path / "whole.wav", *longer) == 0
    begin, rate = read_audio(tmp_path / "begin.wav", mono=False)
    model = MusicGen.from_pretrained(folder)
    options = {"top_k": 8, "seed": 5, "prompt_audio": begin, "prompt_sample_rate": rate}
    expected = model.generate(["a calm bell"], 1.0, **options)[0]
    whole, _ = read_audio(tmp_path / "whole.wav", mono=False)
    assert whole.shape == expected.shape
    assert (whole - expected.clamp(-1, 1).cpu()).abs().max() <= 1 / 32768
    assert run(folder, tmp_path / "no.wav", "--continue", str(tmp_path / "missing.wav")) == 2
    assert "no sound file at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--guidance-space", "probabilities"], "guidance_scale must be 0 to 1"),
        (["--seconds", "9000"], "seconds must be more than 0"),
        (["--top-k", "99"], "codebook size 16, not 99"),
        (["--device", "sofa"], "--device sofa cannot be used"),
        (["--model", "no/such/model"], "neither 'tiny' nor a folder nor a hub name"),
    ],
)
def test_a_mistake_is_one_sentence_and_the_old_file_stays(folder, tmp_path, capsys, arguments, message):
    out = tmp_path / "old.wav"
    out.write_bytes(b"precious")
    assert run(folder, out, *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert out.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(("name", "message"), [("a.mp3", ".wav or .flac"), ("missing/a.wav", "does not exist")])
def test_an_impossible_output_is_refused_before_the_work(folder, tmp_path, capsys, monkeypatch, name, message):
    monkeypatch.setattr(MusicGen, "from_pretrained", lambda *a: pytest.fail("the model was loaded"))
    assert run(folder, tmp_path / name) == 2
    assert message in capsys.readouterr().err


def test_a_stop_in_the_middle_leaves_nothing_behind(folder, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("soundfile.write", stop)
    assert run(folder, tmp_path / "a.wav") == 130
    assert list(tmp_path.iterdir()) == []


def test_the_steps_are_counted_on_a_terminal_and_nowhere_else(folder, tmp_path, capsys, monkeypatch):
    assert run(folder, tmp_path / "a.wav") == 0
    assert "step" not in capsys.readouterr().err
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    assert run(folder, tmp_path / "a.wav") == 0
    assert "28/28" in terminal.getvalue()  # 0.5 s of 50 frames, and the 3 steps of the delay


@pytest.mark.parametrize("rate,seconds", [(44100, 300), (44100, 0.5), (8000, 2**20), (1, 10)])
def test_a_recording_that_is_too_long_is_not_even_read(folder, tmp_path, capsys, monkeypatch, rate, seconds):
    """Nor is one whose header says so."""
    monkeypatch.setattr("musicgen_edu.model.audio.read_audio", lambda *a, **k: pytest.fail("the file was read"))
    written = min(seconds, 300)
    if written < seconds:
        monkeypatch.setattr("musicgen_edu.model.audio.sound_length", lambda path: (seconds * rate, rate))
    path = tmp_path / "song.wav"
    soundfile.write(path, np.zeros((round(written * rate), 2)), rate)
    assert run(folder, tmp_path / "a.wav", "--continue", str(path)) == 2
    told = capsys.readouterr().err
    assert re.search(r"--continue .*song.wav lasts [\de+.]+ s: it must be shorter than --seconds 0.5 and than", told)
    assert "frames" not in told
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize("name", ["x.raw", "x.RAW", "x.wav", "x.pcm", "x"])
def test_a_recording_that_is_no_sound_file_is_one_sentence(folder, tmp_path, capsys, name):
    (tmp_path / name).write_bytes(bytes(2000))
    assert run(folder, tmp_path / "a.wav", "--continue", str(tmp_path / name)) == 2
    told = capsys.readouterr().err.strip()
    assert "cannot be read as audio" in told
    assert "\n" not in told
