"""`musicgen-edu train-codec`: a folder that two libraries load, a stop that costs nothing, mistakes in one sentence."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
import soundfile
import torch
import transformers

from musicgen_edu.checkpoints.load import read_codec
from musicgen_edu.checkpoints.published import CheckpointError, codec_config, codec_dict
from musicgen_edu.checkpoints.save import write_codec
from musicgen_edu.cli.main import build_parser, main
from musicgen_edu.cli.train_codec import training_settings
from musicgen_edu.model.encodec import EncodecConfig
from musicgen_edu.training.settings import WINDOWS

SMALL = shlex.split(
    "--steps 3 --batch 2 --segment-seconds 0.2 --filters 2 --hidden 8 --codebooks 2 --codebook-size 16 --float32 "
    "--device cpu"
)
ADVERSARIAL = shlex.split(
    "--adversarial --discriminator-windows 128 64 --discriminator-channels 2 --discriminator-start 1 --ema 0.9"
)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    soundfile.write(folder / "a.ogg", 0.1 * rng.standard_normal((22050, 2)), 22050)
    soundfile.write(folder / "b.wav", 0.1 * rng.standard_normal(8000), 16000)
    return folder


def train(out, *more):
    return main(["train-codec", "--out", str(out), *SMALL, *more])


@pytest.fixture(scope="module")
def trained(music, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "new" / "codec"
    assert train(out, "--data", str(music), *ADVERSARIAL) == 0
    return out


def test_what_it_writes_is_the_same_codec_in_both_libraries(trained):
    ours, theirs = read_codec(trained), transformers.EncodecModel.from_pretrained(trained).eval()
    assert (ours.config.num_filters, ours.config.num_codebooks, ours.config.sampling_rate) == (2, 2, 16000)
    audio = torch.randn(2, 1, 5000) * 0.2
    with torch.no_grad():
        expected = theirs.encode(audio)
        codes = ours.encode(audio)
        assert torch.equal(codes, expected.audio_codes[0])
        assert len(codes.unique()) > 4
        sound = theirs.decode(expected.audio_codes, expected.audio_scales).audio_values
    torch.testing.assert_close(ours.decode(codes), sound, atol=1e-5, rtol=0)
    features = transformers.AutoFeatureExtractor.from_pretrained(trained)
    assert features.sampling_rate == 16000


def test_the_same_command_again_goes_on_and_a_stop_costs_nothing(trained, music, tmp_path, monkeypatch, capsys):
    from musicgen_edu.training import runs

    def stop_at_2(steps):
        def report(step, losses):
            if step == 2:
                raise KeyboardInterrupt

        return report

    more = ("--data", str(music), *ADVERSARIAL, "--checkpoint-every", "1")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "progress_bar", stop_at_2)
        assert train(tmp_path, *more) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()
    assert train(tmp_path, *more) == 0
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json", "model.safetensors", "preprocessor_config.json", "run.json", "run.pt",
    ]  # fmt: skip


def test_procedural_music_needs_no_folder_and_says_what_it_does(tmp_path, capsys):
    assert train(tmp_path / "codec") == 0
    shown = capsys.readouterr().out
    assert "50 frames/s, 0.4 kbit/s, on cpu" in shown
    assert "step 2" in shown
    assert "0 s left" in shown
    assert read_codec(tmp_path / "codec").config.hop_length == 320


def test_other_options_in_the_same_folder_are_refused_but_more_steps_are_not(tmp_path, capsys):
    assert train(tmp_path) == 0
    capsys.readouterr()
    assert train(tmp_path, "--seed", "5") == 2
    assert "holds a run with seed 0, not 5: give the same options, or another --out" in capsys.readouterr().err
    assert train(tmp_path, "--steps", "2") == 2
    assert train(tmp_path, "--checkpoint-every", "7") == 0, "it changes no number of the run"
    assert train(tmp_path, "--steps", "4") == 0
    assert json.loads((tmp_path / "run.json").read_text())["steps"] == 4
    (tmp_path / "run.json").unlink()
    assert train(tmp_path) == 2
    assert "remove it to start anew" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "nowhere"], "no folder at nowhere"),
        (["--data", "EMPTY"], "holds no sound files"),
        (["--sample-rate", "32000"], "procedural music comes at 16000 Hz"),
        (["--steps", "0"], "--steps must be at least 1, not 0"),
        (["--ratios", "4", "0"], "--ratios must be at least 1"),
        (["--codebook-size", "1"], "--codebook-size must be at least 2"),
        (["--segment-seconds", "0.01"], "--segment-seconds must be more than 0.064"),
        (["--segment-seconds", "11"], "segments of 0.02 to 10.24 s"),
        (["--ema", "1"], "--ema must be at least 0 and less than 1"),
        (["--learning-rate", "-1"], "--learning-rate must be more than 0"),
        (["--device", "abacus"], "--device abacus cannot be used"),
        (["--adversarial", "--shares", "0", "0", "0", "0"], "weights must be 0 or more"),
        (["--adversarial", "--shares", "nan", "1", "1", "1"], "--shares must be at least 0"),
        (["--mel-weight", "nan"], "--mel-weight must be at least 0, not nan"),
        (["--waveform-weight", "inf"], "--waveform-weight must be at least 0, not inf"),
        (["--segment-seconds", "inf"], "--segment-seconds must be more than 0, not inf"),
        (["--learning-rate", "1e30"], "--learning-rate must be at most 1e9, not 1e+30"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_trained(tmp_path, capsys, monkeypatch, more, message):
    (tmp_path / "EMPTY").mkdir()
    monkeypatch.chdir(tmp_path)
    assert train("out", *more) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("more", "start"),
    [("--steps 2", 0), ("--steps 300", 100), ("--steps 9000", 1000), ("--steps 9000 --discriminator-start 0", 0)],
)
def test_the_discriminator_waits_until_the_codec_knows_something(more, start):
    arguments = build_parser().parse_args(["train-codec", "--out", "out", "--adversarial", *more.split()])
    settings = training_settings(arguments)
    assert settings.adversarial.start == start
    assert settings.adversarial.windows == WINDOWS
    assert settings.adversarial.shares == {"waveform": 0.1, "mel": 1.0, "adversarial": 3.0, "features": 3.0}


@pytest.mark.parametrize(("more", "expected"), [([], True), (["--float32"], False)])
def test_the_number_format_is_the_one_that_was_asked_for(more, expected):
    arguments = build_parser().parse_args(["train-codec", "--out", "out", *more])
    assert training_settings(arguments).bfloat16 is expected


@pytest.mark.parametrize("codebooks", [1, 3, 4, 7, 13])
@pytest.mark.parametrize("ratios", [(5, 4, 4, 4), (5, 4, 4, 3), (7, 11)])
@pytest.mark.parametrize("size", [1024, 1000, 32])  # 3 * 5 bits * 67 Hz: 1000 * (1005 / 1000) < 1005
def test_every_number_of_codebooks_survives_the_published_configuration(codebooks, ratios, size):
    """The file states a bit rate, from which both libraries compute the number of codebooks, rounding on the way."""
    config = EncodecConfig(16000, upsampling_ratios=ratios, num_codebooks=codebooks, codebook_size=size)
    assert codec_config(codec_dict(config)) == config
    fields = {name: value for name, value in codec_dict(config).items() if name != "model_type"}
    assert transformers.EncodecConfig(**fields).num_quantizers == codebooks


def test_a_codec_is_read_from_a_whole_musicgen_too(trained, tmp_path):
    shipped = read_codec("tiny")
    assert (shipped.config.num_codebooks, shipped.config.codebook_size) == (4, 1024)
    write_codec(tmp_path / "alone", shipped)
    audio = torch.randn(1, 1, 4000) * 0.1
    assert torch.equal(read_codec(tmp_path / "alone").encode(audio), shipped.encode(audio))
    (tmp_path / "alone" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"it has no config\.json"):
        read_codec(tmp_path / "alone")
