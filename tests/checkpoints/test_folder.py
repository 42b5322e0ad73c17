"""What names and settings of a folder tell, and files that lie about what they hold."""

from __future__ import annotations

import json
import os
import struct

import pytest
import torch

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import CheckpointError, MusicGen


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return save_musicgen(their_musicgen(), tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(folder, tmp_path):
    for path in folder.iterdir():
        os.link(path, tmp_path / path.name)
    return tmp_path


ODD = ["../model.safetensors", "/etc/passwd", "", ".", "model.bin", "a/b.safetensors", 3, None, ["x"], {"a": "b"}, True]


@pytest.mark.parametrize("shard", ODD)
def test_an_index_that_names_odd_things(copy, shard):
    (copy / "model.safetensors").rename(copy / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": shard}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"index\.json names .*, which is no safetensors file beside it"):
        MusicGen.from_pretrained(copy)


@pytest.mark.parametrize(
    "index", ["", "[]", "3", "{}", '{"weight_map": {}}', '{"weight_map": []}', '{"weight_map": 3}']
)
def test_an_index_that_is_none(copy, index):
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(index)
    with pytest.raises(
        CheckpointError, match=r"index\.json (is no index|is not readable as JSON|does not hold a conf)"
    ):
        MusicGen.from_pretrained(copy)


def header_of(path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


KEY = "decoder.model.decoder.layer_norm.bias"
LIES = {
    "a length beyond the file": lambda header, data: struct.pack("<Q", 2**40) + b"{}",
    "a length below zero": lambda header, data: struct.pack("<q", -1) + b"{}",
    "a header of no JSON": lambda header, data: struct.pack("<Q", 4) + b"nope" + data,
    "a header that is a list": lambda header, data: written([], data),
    "a header nested without end": lambda header, data: struct.pack("<Q", 200_000) + b"[" * 200_000,
    "a shape larger than its bytes": lambda header, data: changed(header, data, shape=[10**6, 10**6]),
    "a shape below zero": lambda header, data: changed(header, data, shape=[-32]),
    "a shape of fractions": lambda header, data: changed(header, data, shape=[32.0]),
    "a shape that overflows": lambda header, data: changed(header, data, shape=[2**63, 2]),
    "bytes beyond the file": lambda header, data: changed(header, data, data_offsets=[2**40, 2**40 + 128]),
    "bytes backwards": lambda header, data: changed(header, data, data_offsets=[128, 0]),
    "the bytes of another": lambda header, data: changed(header, data, data_offsets=[0, 128]),
    "a type that is none": lambda header, data: changed(header, data, dtype="F1000"),
    "no type": lambda header, data: changed(header, data, dtype=None),
    "nothing": lambda header, data: b"",
    "three bytes": lambda header, data: b"abc",
    "a header alone": lambda header, data: written(header, b""),
}


def written(header, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def changed(header: dict, data: bytes, **changes) -> bytes:
    return written({**header, KEY: {**header[KEY], **changes}}, data)


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies(copy, lie):
    header, data = header_of(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors").write_bytes(LIES[lie](header, data))
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or incomplete") as caught:
        MusicGen.from_pretrained(copy)
    assert "\n" not in str(caught.value)
