"""`config.json` with wrong types and values: one sentence that names file, field and value, before a tensor is read."""

from __future__ import annotations

import json
import math
import os
import shutil

import pytest
import torch

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import CheckpointError, MusicGen
from musicgen_edu.checkpoints import parts
from musicgen_edu.checkpoints.load import open_model
from musicgen_edu.checkpoints.published import DECODER_RULES, PUBLISHED_CODEC_RULES, TEXT_RULES
from musicgen_edu.checkpoints.weights import StateReader

RULES = {"decoder": DECODER_RULES, "audio_encoder": PUBLISHED_CODEC_RULES, "text_encoder": TEXT_RULES}
SPOILED = ["x", "3", "", None, [], [1], [[8]], {}, {"a": 1}, True, False, 0, -1, 10**9, 3.5, math.nan, math.inf, 1e300]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return save_musicgen(their_musicgen(), tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(folder, tmp_path):
    """A folder with the files of the model, of which a test may replace one."""
    for path in folder.iterdir():
        os.link(path, tmp_path / path.name)
    return tmp_path


def write(folder, config) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))


@pytest.mark.parametrize(("part", "field"), [(part, field) for part, rules in RULES.items() for field in rules])
def test_each_field_of_each_part_with_spoiled_values(copy, part, field, monkeypatch):
    empty = StateReader({}, str(copy / "model.safetensors"))
    monkeypatch.setattr(parts, "open_state", lambda folder: empty)  # settings come first: no tensor is looked at
    config, refused = json.loads((copy / "config.json").read_text()), 0
    for value in SPOILED:
        write(copy, {**config, part: {**config[part], field: value}})
        sentence = refusal(copy)
        if sentence is None:
            assert RULES[part][field].accepts(value)
            continue
        refused += 1
        assert str(copy) in sentence
        assert len(sentence.replace(str(copy), "")) < 260
        related = ("codebooks of", "multiple of the number", "target_bandwidths")  # what follows from such a value
        assert field in sentence or (RULES[part][field].accepts(value) and any(one in sentence for one in related))
    assert refused >= 14


def refusal(folder) -> str | None:
    """What is said of a folder that is refused by its settings."""
    try:
        open_model(folder)
    except CheckpointError as error:
        return str(error)
    return None


@pytest.mark.parametrize("value", SPOILED)
@pytest.mark.parametrize("part", ["decoder", "audio_encoder", "text_encoder", "model_type"])
def test_a_whole_part_spoiled(copy, part, value):
    write(copy, {**json.loads((copy / "config.json").read_text()), part: value})
    with pytest.raises(CheckpointError, match=r"config\.json|model\.safetensors") as caught:
        MusicGen.from_pretrained(copy)
    if part != "model_type" and value != {"a": 1} and value != {}:
        assert f"{part} must hold the settings of that part" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not readable as JSON"),
        ("[" * 100_000, "nested too deeply|not readable"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
        ("[]", "does not hold a configuration but a list"),
        ("null", "does not hold a configuration but a NoneType"),
        ("1" * 5000, "not readable as JSON"),
        ("\x00\xff", "not readable as JSON"),
    ],
)
def test_what_is_no_json(copy, text, message):
    write(copy, text)
    with pytest.raises(CheckpointError, match=message):
        MusicGen.from_pretrained(copy)


def test_a_file_of_settings_of_any_length_is_not_read_whole(copy, monkeypatch):
    monkeypatch.setattr("musicgen_edu.checkpoints.folder.LARGEST_JSON", 2 * 10**6)
    write(copy, " " * (2 * 10**6 + 1))
    with pytest.raises(CheckpointError, match="larger than 2 MB, which no settings are"):
        MusicGen.from_pretrained(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_what_stands_in_the_place_of_a_file(copy, name):
    (copy / name).unlink()
    (copy / name).symlink_to(copy / "nowhere")
    with pytest.raises(CheckpointError, match=f"is no checkpoint: it has no {name}"):
        MusicGen.from_pretrained(copy)
    (copy / name).unlink()
    (copy / name).symlink_to(copy / name)
    with pytest.raises(CheckpointError, match=f"{name} cannot be read: "):
        MusicGen.from_pretrained(copy)
    (copy / name).unlink()
    (copy / name).mkdir()
    with pytest.raises(CheckpointError, match=f"{name} is no file but a folder"):
        MusicGen.from_pretrained(copy)
    (copy / name).rmdir()
    os.mkfifo(copy / name)  # opened, it would wait for somebody who writes
    with pytest.raises(CheckpointError, match=f"{name} is no file but a device"):
        MusicGen.from_pretrained(copy)


def test_a_folder_without_its_tokenizer_does_not_load(copy, folder):
    for path in copy.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer, neither tokenizer\.json nor spiece\.model"):
        MusicGen.from_pretrained(copy)
    shutil.copy(folder / "tokenizer.json", copy)
    shutil.copy(folder / "tokenizer_config.json", copy)
    assert MusicGen.from_pretrained(copy).text.tokens("a calm bell")[:3] == ["a", "calm", "bell"]
