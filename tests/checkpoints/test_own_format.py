"""The format of our own, for models that the published one cannot say: whole again, or refused by name."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu.checkpoints.own_format import read_model, write_model
from musicgen_edu.errors import CheckpointError
from musicgen_edu.model.lm import CONFIGS, MusicgenLM
from musicgen_edu.musicgen import MusicGen


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Codec and text encoder of a published model, and a language model of the student project's kind."""
    torch.manual_seed(0)
    folder = save_musicgen(their_musicgen(), tmp_path_factory.mktemp("published"))
    whole = MusicGen.from_pretrained(folder, device="cpu")
    sizes = {"dim": 16, "num_heads": 2, "layers": 1, "feed_forward": 32, "codebook_size": 16, "max_steps": 100}
    text_dim = whole.text.model.config.d_model
    whole.lm = MusicgenLM(replace(CONFIGS["MusicGen-1"], text_dim=text_dim, **sizes)).eval()
    return whole


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "model"
    write_model(folder, model.text.model, model.text.tokenizer, model.lm, model.codec)
    return folder


def test_a_model_in_our_own_format_is_the_same_model(model, written):
    found = read_model(written, "cpu")
    assert found.lm.config == model.lm.config
    assert (found.lm.config.bias, found.lm.config.final_norm, found.lm.config.special_tokens) == (True, False, 2)
    for name, tensor in model.lm.state_dict().items():
        assert torch.equal(found.lm.state_dict()[name], tensor)
    audio = [one.generate(["calm bell"], 0.5, seed=1, top_k=0) for one in (model, found)]
    assert torch.equal(*audio)
    assert not list(written.parent.rglob("*.part"))


def rename(folder):
    (folder / "config.json").rename(folder / "other.json")


def other_type(folder):
    (folder / "config.json").write_text('{"model_type": "musicgen"}')


def other_sizes(folder):
    config = json.loads((folder / "config.json").read_text())
    config["lm"]["feed_forward"] += 1
    (folder / "config.json").write_text(json.dumps(config))


def no_sizes(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["lm"]["bias"]
    (folder / "config.json").write_text(json.dumps(config))


def other_pattern(folder):
    config = json.loads((folder / "config.json").read_text())
    config["pattern"] = "zigzag"
    (folder / "config.json").write_text(json.dumps(config))


def one_layer_more(folder):
    config = json.loads((folder / "config.json").read_text())
    config["lm"]["layers"] += 1
    (folder / "config.json").write_text(json.dumps(config))


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (other_pattern, "pattern must be one of parallel, delay, .*, not zigzag"),
        (rename, "is no checkpoint: it has no config.json"),
        (other_type, "expected model_type musicgen_edu, found musicgen"),
        (other_sizes, r"lm\.decoder\.layers\.0\.up\.weight has shape \[32, 16\], expected \[33, 16\]"),
        (no_sizes, "must hold text_encoder, audio_encoder and lm with bias, codebook_size"),
        (one_layer_more, r"lacks the key lm\.decoder\.layers\.1"),
        (cut, "is damaged or incomplete"),
    ],
)
def test_a_broken_model_is_named(written, tmp_path, break_it, message):
    shutil.copytree(written, tmp_path / "model")
    break_it(tmp_path / "model")
    with pytest.raises(CheckpointError, match=message):
        read_model(tmp_path / "model", "cpu")


@pytest.mark.parametrize("value", ["x", "3", None, [], {}, True, 0.5, -1, 10**9, math.nan])
@pytest.mark.parametrize("field", ["dim", "layers", "num_codebooks", "max_steps", "text_layers"])
def test_sizes_that_are_none_are_named(written, tmp_path, field, value):
    config = json.loads((written / "config.json").read_text())
    config["lm"][field] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=rf"config\.json, lm: {field} must be a whole number from"):
        read_model(tmp_path, "cpu")


def test_what_killed_processes_left_is_cleared_by_the_next(model, tmp_path):
    for name in ("model.safetensors", "config.json"):
        (tmp_path / f".{name}.4194399.part").write_bytes(b"half")  # a number that no process has
    write_model(tmp_path, model.text.model, model.text.tokenizer, model.lm, model.codec)
    assert not list(tmp_path.glob(".*"))
