"""Files whose tensors are named otherwise, left over, of the wrong shape, or cut off."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import MusicGen
from musicgen_edu.model.embedding import sinusoidal_positions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return save_musicgen(their_musicgen(), tmp_path_factory.mktemp("musicgen"))


@pytest.fixture(scope="module")
def ours(folder):
    return MusicGen.from_pretrained(folder, device="cpu")


def copy_of(folder, tmp_path, change):
    """The folder with its tensors changed."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def fold(tensors, old=False):
    """Rename the weight norm of every convolution to its other pair of names."""
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    if old:
        names = {new: before for before, new in names.items()}
    for name in list(tensors):
        for before, after in names.items():
            if name.endswith("." + before):
                tensors[name.removesuffix(before) + after] = tensors.pop(name)


def test_old_and_new_names_of_weight_norm_load_alike(folder, ours, tmp_path):
    found = set()
    for old in (False, True):
        copy = copy_of(folder, tmp_path / str(old), lambda tensors, old=old: fold(tensors, old))
        found |= {
            name.rsplit(".", 1)[-1] for name in load_file(copy / "model.safetensors") if "encoder.layers.0.conv" in name
        }
        other = MusicGen.from_pretrained(copy, device="cpu")
        for (name, a), b in zip(ours.codec.state_dict().items(), other.codec.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, msg=name)
    assert {"weight_g", "weight_v", "original0", "original1"} <= found  # both were really tried


def test_known_buffers_are_checked_and_dropped(folder, ours, tmp_path):
    name = "decoder.model.decoder.embed_positions.weights"
    good = copy_of(folder, tmp_path / "good", lambda t: t.update({name: sinusoidal_positions(64, 32)}))
    model = MusicGen.from_pretrained(good, device="cpu")
    assert torch.equal(
        model.generate_codes(["a"], 0.3, top_k=8, seed=1), ours.generate_codes(["a"], 0.3, top_k=8, seed=1)
    )
    bad = copy_of(folder, tmp_path / "bad", lambda t: t.update({name: torch.rand(64, 32)}))
    with pytest.raises(ValueError, match=r"embed_positions\.weights is not the sinusoidal table"):
        MusicGen.from_pretrained(bad)


LM_KEY = "decoder.model.decoder.layers.1.self_attn.k_proj.weight"

POSITIONS = "decoder.model.decoder.embed_positions.weights"
TABLE = "text_encoder.encoder.embed_tokens.weight"
VECTORS = "audio_encoder.encoder.layers.0.conv.parametrizations.weight.original1"
CODEC_KEY = "audio_encoder.quantizer.layers.2.codebook.embed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(LM_KEY), f"lacks the key {LM_KEY}"),
        (lambda t: t.pop(CODEC_KEY), f"lacks the key {CODEC_KEY}"),
        (lambda t: t.pop("text_encoder.encoder.final_layer_norm.weight"), "lacks the key text_encoder.encoder.final"),
        (lambda t: t.update({LM_KEY: torch.zeros(3, 3)}), r"k_proj.weight has shape \[3, 3\], expected \[32, 32\]"),
        (lambda t: t.update({CODEC_KEY: torch.zeros(3, 3)}), r"embed has shape \[3, 3\], expected \[16, 12\]"),
        (lambda t: t.update({"decoder.extra": torch.zeros(1)}), "unexpected key decoder.extra"),
        (lambda t: t.update({CODEC_KEY + "_avg": torch.zeros(2)}), r"embed_avg has shape \[2\], expected \[16, 12\]"),
        (lambda t: t.update({CODEC_KEY + "_avg": torch.full((16, 12), math.nan)}), r"embed_avg holds NaN"),
        (lambda t: t.update({"audio_encoder.quantizer.layers.0.codebook.inited": torch.ones(1).int()}), "type I32"),
        (lambda t: t.update({POSITIONS: torch.zeros(64, 32)}), "is not the sinusoidal table"),
        (lambda t: t.update({POSITIONS: torch.tensor(1.0)}), "is not the sinusoidal table"),
        (lambda t: t.update({POSITIONS: torch.ones(2, 3, 4)}), "is not the sinusoidal table"),
        (lambda t: t.update({POSITIONS: torch.zeros(0, 32)}), "is not the sinusoidal table"),
        (lambda t: t.update({TABLE: torch.zeros(40, 24)}), f"{TABLE} must be the same table, but they differ"),
        (lambda t: t.update({TABLE: torch.zeros(40, 23)}), r"embed_tokens.weight has shape \[40, 23\]"),
        (lambda t: t.update({TABLE: torch.full((40, 24), math.nan)}), "embed_tokens.weight holds NaN"),
        *(
            (
                lambda t, d=d: t.update({LM_KEY: torch.ones(32, 32).to(d)}),
                f"{LM_KEY} is of the type {name}, expected F64",
            )
            for name, d in (
                ("I64", torch.int64),
                ("I8", torch.int8),
                ("U8", torch.uint8),
                ("BOOL", torch.bool),
                ("C64", torch.complex64),
                ("F8_E4M3", torch.float8_e4m3fn),
            )
        ),
        *(
            (lambda t, key=key, bad=bad: t[key].view(-1)[-1:].fill_(bad), f"{key} holds NaN")
            for key in (LM_KEY, CODEC_KEY, "text_encoder.shared.weight", "enc_to_dec_proj.bias")
            for bad in (math.nan, math.inf, -math.inf)
        ),
        (lambda t: t.update({LM_KEY: torch.full((32, 32), 1e39, dtype=torch.float64)}), "such as float32 cannot hold"),
        (lambda t: t[VECTORS].zero_(), f"{VECTORS} holds NaN"),
    ],
)
def test_a_mismatched_file_names_the_key(folder, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        MusicGen.from_pretrained(copy_of(folder, tmp_path, change))


def test_both_names_of_the_table_of_words_may_hold_it(folder, ours, tmp_path):
    copy = copy_of(folder, tmp_path, lambda t: t.update({TABLE: t["text_encoder.shared.weight"].clone()}))
    assert torch.equal(MusicGen.from_pretrained(copy).text(["a bell"])[0], ours.text(["a bell"])[0])
    copy = copy_of(folder, tmp_path / "other", lambda t: t.update({TABLE: t.pop("text_encoder.shared.weight")}))
    assert torch.equal(MusicGen.from_pretrained(copy).text(["a bell"])[0], ours.text(["a bell"])[0])


def test_large_numbers_that_are_finite_are_weights(folder, tmp_path):
    """Their sum is infinite; only that is not looked at."""
    huge = torch.full((32, 32), 3e38)
    copy = copy_of(folder, tmp_path, lambda t: t.update({LM_KEY: huge}))
    MusicGen.from_pretrained(copy)
    with pytest.raises(ValueError, match=f"{LM_KEY} holds NaN, infinite numbers or such as float16 cannot hold"):
        MusicGen.from_pretrained(copy, dtype=torch.float16)


def test_a_truncated_file_is_named(folder, tmp_path):
    copy = copy_of(folder, tmp_path, lambda tensors: None)
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="damaged or incomplete"):
        MusicGen.from_pretrained(copy)


def test_a_folder_that_is_no_checkpoint_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        MusicGen.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not readable as JSON"):
        MusicGen.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="found bert"):
        MusicGen.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ValueError, match=r"no model\.safetensors"):
        MusicGen.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="neither 'tiny' nor a folder nor a hub name"):
        MusicGen.from_pretrained(tmp_path / "missing" / "folder")
