"""Loading from a folder: shards against their index, number formats, what is no model of ours."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from transformers import T5Config, T5EncoderModel

from helpers.judges import SMALL_TEXT, save_musicgen, state_reader, their_musicgen
from musicgen_edu import CheckpointError, MusicGen
from musicgen_edu.checkpoints.load import load_text_model, read_codec
from musicgen_edu.checkpoints.published import text_config


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return their_musicgen()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return save_musicgen(model, tmp_path_factory.mktemp("whole"))


def test_shards_are_checked_against_their_index(model, tmp_path):
    folder = save_musicgen(model, tmp_path)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    index = folder / "model.safetensors.index.json"
    text = index.read_text()
    content = json.loads(text)
    name, shard = next(iter(content["weight_map"].items()))
    other = next(place for place in content["weight_map"].values() if place != shard)
    content["weight_map"][name] = other
    index.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"{name}, model.safetensors.index.json says otherwise"):
        MusicGen.from_pretrained(folder)
    index.write_text(text)
    (folder / other).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {other}, one of"):
        MusicGen.from_pretrained(folder)


def test_a_folder_has_no_revisions(folder):
    for name in ("tiny", folder):
        with pytest.raises(CheckpointError, match="only models of the hub have revisions"):
            MusicGen.from_pretrained(name, revision="main")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_on_the_cpu(folder, dtype):
    whole = MusicGen.from_pretrained(folder, device="cpu")
    half = MusicGen.from_pretrained(folder, device="cpu", dtype=dtype)
    assert {tensor.dtype for tensor in half.lm.parameters()} == {dtype}
    assert {tensor.dtype for tensor in half.codec.parameters()} == {torch.float32}
    sequence = torch.randint(16, (1, 4, 12))
    logits = [model.lm(sequence, *model.text(["a calm bell"])).float() for model in (whole, half)]
    assert (logits[0] - logits[1]).norm() < 0.03 * logits[0].norm()
    audio = half.generate(["a calm bell"], seconds=0.3, top_k=8, seed=1)
    assert audio.dtype == torch.float32
    assert audio.isfinite().all()


@torch.no_grad()
def test_sums_of_t5_that_float16_cannot_hold():
    """In float16 one matrix of T5 stays in float32, as in transformers; without it the states here are infinite."""
    theirs = T5EncoderModel(T5Config(**SMALL_TEXT)).eval()
    matrix = theirs.encoder.block[0].layer[1].DenseReluDense.wo.weight
    matrix.normal_(std=15000.0).clamp_(-6e4, 6e4)  # each number fits into float16
    tokens, states = torch.arange(9)[None], {}
    for dtype in (torch.float32, torch.float16):
        settings = text_config(theirs.config.to_dict())
        ours = load_text_model(settings, state_reader(theirs.state_dict(), "text_encoder."), dtype)
        kinds = {name: tensor.dtype for name, tensor in ours.named_parameters()}
        assert {kinds.pop(name) for name in list(kinds) if name.endswith(".wo.weight")} == {torch.float32}
        assert set(kinds.values()) == {dtype}
        states[dtype] = ours(input_ids=tokens).last_hidden_state.float()
    inner = theirs.encoder.block[0].layer[1].DenseReluDense
    summed = []
    inner.wo.register_forward_hook(lambda module, given, result: summed.append(result.abs().max()))
    assert torch.equal(theirs(input_ids=tokens).last_hidden_state, states[torch.float32])
    assert summed[0] > torch.finfo(torch.float16).max
    torch.testing.assert_close(states[torch.float16], states[torch.float32], atol=0.02, rtol=0.02)


def test_other_number_formats_are_refused(folder):
    with pytest.raises(ValueError, match=r"dtype must be torch.float64, .* or int8, not torch.int16"):
        MusicGen.from_pretrained(folder, dtype=torch.int16)


def test_a_stereo_model_is_named_as_such(tmp_path):
    folder = save_musicgen(their_musicgen({"num_codebooks": 8, "audio_channels": 2}), tmp_path)
    with pytest.raises(CheckpointError, match="8 codebooks of 16, the codec 4 of 16; the stereo models"):
        MusicGen.from_pretrained(folder)


def test_finding_a_model_waits_for_neither_torch_nor_the_hub(tmp_path):
    code = (
        "import sys; from musicgen_edu.checkpoints import find; find('tiny'); find(sys.argv[1])\n"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)\n"
        "import musicgen_edu.checkpoints.hub; assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=60)


NO_NAMES = [None, 5, 3.5, [], {}, b"tiny", "", " ", "a\x00b", "a\nb", "x" * 5000, "no/such/model", "../..x", "/nowhere"]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("load", [MusicGen.from_pretrained, read_codec])
def test_what_is_no_name_of_a_model(load, name):
    with pytest.raises(
        CheckpointError, match=r"is neither 'tiny' nor a folder nor|is named by a text or a path, not"
    ) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
