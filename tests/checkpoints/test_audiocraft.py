"""audiocraft's own files, made here from a model in the published format: the same model comes out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import T5Config, T5ForConditionalGeneration

from helpers.judges import SMALL_CODEC, SMALL_TEXT, save_musicgen, their_codec, their_musicgen
from musicgen_edu import CheckpointError, MusicGen
from musicgen_edu.checkpoints import hub
from musicgen_edu.checks.published.audiocraft_form import audiocraft_weights

LM_SETTINGS = "transformer_lm:\n  num_heads: 4\n  dim: 32\nsample_rate: 800\n"
CODEC_SETTINGS = """
sample_rate: 800
encodec: {causal: false, renormalize: false}
seanet: {causal: '${encodec.causal}', pad_mode: reflect, dilation_base: 2, decoder: {trim_right_ratio: 1.0}}
"""


def audiocraft_lm(tensors: dict) -> dict:
    """The published names back to audiocraft's, written apart from the map that is tested."""
    base, state = "decoder.model.decoder.", {}
    for k in range(4):
        state[f"emb.{k}.weight"] = tensors[f"{base}embed_tokens.{k}.weight"]
        state[f"linears.{k}.weight"] = tensors[f"decoder.lm_heads.{k}.weight"]
    for i in range(2):
        theirs, ours = f"{base}layers.{i}.", f"transformer.layers.{i}."
        for here, there in (("self_attn", "self_attn"), ("cross_attention", "encoder_attn")):
            thirds = [tensors[f"{theirs}{there}.{letter}_proj.weight"] for letter in "qkv"]
            state[f"{ours}{here}.in_proj_weight"] = torch.cat(thirds)
            state[f"{ours}{here}.out_proj.weight"] = tensors[f"{theirs}{there}.out_proj.weight"]
        norms = {"norm1": "self_attn_layer_norm", "norm_cross": "encoder_attn_layer_norm", "norm2": "final_layer_norm"}
        for here, there in norms.items():
            for kind in ("weight", "bias"):
                state[f"{ours}{here}.{kind}"] = tensors[f"{theirs}{there}.{kind}"]
        for n in (1, 2):
            state[f"{ours}linear{n}.weight"] = tensors[f"{theirs}fc{n}.weight"]
    for kind in ("weight", "bias"):
        state[f"out_norm.{kind}"] = tensors[f"{base}layer_norm.{kind}"]
        state[f"condition_provider.conditioners.description.output_proj.{kind}"] = tensors[f"enc_to_dec_proj.{kind}"]
    return state


def audiocraft_codec(tensors: dict) -> dict:
    state = {}
    for name, tensor in tensors.items():
        part, *rest = name.removeprefix("audio_encoder.").split(".")
        if not name.startswith("audio_encoder."):
            continue
        name = ".".join(rest).replace("parametrizations.weight.original0", "weight_g")
        name = name.replace("parametrizations.weight.original1", "weight_v")
        if part == "quantizer":
            state[f"quantizer.vq.{name.replace('.codebook.', '._codebook.')}"] = tensor
            continue
        transposed = part == "decoder" and tensor_of_a_transposed_convolution(name)
        wrapped = ".convtr.convtr." if transposed else ".conv.conv."
        state[f"{part}.{name.replace('layers.', 'model.', 1).replace('.conv.', wrapped)}"] = tensor
    return state


def tensor_of_a_transposed_convolution(name: str) -> bool:
    """Layers 3, 6 and 9 of a decoder with three ratios: 0 conv, 1 LSTM, then ELU, transposed convolution, block."""
    return name.split(".")[1] in {"3", "6", "9"} and "block" not in name


def write(folder: Path, lm: dict | None = None, codec: dict | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for name, package in (("state_dict.bin", lm), ("compression_state_dict.bin", codec)):
        if package is not None:
            torch.save(package, folder / name)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    torch.manual_seed(0)
    return save_musicgen(their_musicgen(), tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def packages(published):
    tensors = load_file(published / "model.safetensors")
    lm = {"best_state": audiocraft_lm(tensors), "xp.cfg": LM_SETTINGS, "version": "1.3.0", "exported": True}
    return lm, {"best_state": audiocraft_codec(tensors), "xp.cfg": CODEC_SETTINGS, "exported": True}


@pytest.fixture(scope="module")
def audiocraft(packages, tmp_path_factory):
    return write(tmp_path_factory.mktemp("audiocraft"), *packages)


@pytest.fixture(scope="module")
def expected(published):
    return MusicGen.from_pretrained(published, device="cpu")


def test_audiocrafts_files_are_the_published_model(audiocraft, published, expected):
    model = MusicGen.from_pretrained(audiocraft, device="cpu", text=published)
    assert model.lm.config == replace(expected.lm.config, max_steps=2048)  # the files do not say how far positions go
    assert model.codec.config == expected.codec.config
    sequence = torch.randint(16, (2, 4, 9))
    states, mask = expected.text(["a calm bell", "piano"])
    assert torch.equal(model.lm(sequence, states, mask), expected.lm(sequence, states, mask))
    for seed in (1, 2):
        options = {"seconds": 0.4, "top_k": 8, "seed": seed}
        assert torch.equal(model.generate(["a calm bell"], **options), expected.generate(["a calm bell"], **options))
    audio = torch.randn(1, 1, 160)
    assert torch.equal(model.codec.encode(audio), expected.codec.encode(audio))


def test_the_form_that_assignment_09_hands_out_is_audiocrafts(published):
    tensors = load_file(published / "model.safetensors")
    handed_out, expected = audiocraft_weights(tensors), audiocraft_lm(tensors)
    assert handed_out.keys() == expected.keys()
    assert all(torch.equal(handed_out[key], expected[key]) for key in expected)


def test_half_precision_files_load(audiocraft, published, packages, tmp_path):
    """The published `state_dict.bin` is in float16."""
    lm = {**packages[0], "best_state": {name: tensor.half() for name, tensor in packages[0]["best_state"].items()}}
    model = MusicGen.from_pretrained(write(tmp_path / "half", lm, packages[1]), device="cpu", text=published)
    whole = MusicGen.from_pretrained(audiocraft, device="cpu", text=published)
    assert model.lm.heads.weight.dtype == torch.float32
    torch.testing.assert_close(model.lm.heads.weight, whole.lm.heads.weight, atol=1e-3, rtol=1e-3)


def test_codec_and_t5_come_from_the_hub_by_their_names(packages, published, expected, tmp_path, monkeypatch):
    codec = their_codec(target_bandwidths=SMALL_CODEC["target_bandwidths"])
    codec.save_pretrained(tmp_path / "codec")
    text = T5ForConditionalGeneration(T5Config(**SMALL_TEXT))
    text.save_pretrained(tmp_path / "t5")
    for path in published.glob("tokenizer*"):
        (tmp_path / "t5" / path.name).write_bytes(path.read_bytes())
    asked, names = [], {"facebook/encodec_32khz": "codec", "google-t5/t5-base": "t5"}
    monkeypatch.setattr(hub, "fetch", lambda name, *rest: (asked.append(name), tmp_path / names[name])[1])
    named = {"pretrained": "facebook/encodec_32khz", "exported": True, "version": "1.3.0"}
    model = MusicGen.from_pretrained(write(tmp_path / "named", packages[0], named), device="cpu", progress=False)
    assert asked == list(names)
    codes = torch.randint(16, (1, 4, 7))
    torch.testing.assert_close(model.codec.decode(codes), codec.decode(codes[None], [None])[0], atol=1e-5, rtol=0)
    assert torch.equal(model.text.model.shared.weight, text.shared.weight)
    assert torch.equal(model.lm.heads.weight, expected.lm.heads.weight)


class Evil:
    """A pickle that runs a command when it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("which", [0, 1])
def test_a_pickle_with_code_in_it_is_refused(packages, published, tmp_path, which):
    files = list(packages)
    files[which] = {**files[which], "history": Evil(tmp_path / "ran")}
    folder = write(tmp_path / "evil", *files)
    with pytest.raises(CheckpointError, match="may run code when it is read: it was not loaded") as caught:
        MusicGen.from_pretrained(folder, text=published)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def changed(package: dict, **changes) -> dict:
    """A package with tensors exchanged (a tensor), added, or removed (None)."""
    state = {**package["best_state"], **{name.replace("__", "."): value for name, value in changes.items()}}
    return {**package, "best_state": {name: value for name, value in state.items() if value is not None}}


FAULTS = {
    "lacks a key": (
        lambda lm, codec: (changed(lm, out_norm__bias=None), codec),
        "lacks the key decoder.model.decoder.l",
    ),
    "one key more": (lambda lm, codec: (changed(lm, extra=torch.ones(1)), codec), "unexpected key extra"),
    "shape": (
        lambda lm, codec: (changed(lm, out_norm__bias=torch.ones(3)), codec),
        r"has shape \[3\], expected \[32\]",
    ),
    "melody": (
        lambda lm, codec: (
            changed(lm, condition_provider__conditioners__self_wav__output_proj__bias=torch.ones(1)),
            codec,
        ),
        "melody model .* not supported yet",
    ),
    "no tensors": (lambda lm, codec: ({"best_state": 3}, codec), "no tensors under best_state"),
    "no dictionary": (lambda lm, codec: (torch.ones(3), codec), "must hold a dictionary, not Tensor"),
    "no YAML": (lambda lm, codec: ({**lm, "xp.cfg": "a: [1"}, codec), "xp.cfg is not readable as YAML"),
    "no codec": (lambda lm, codec: (lm, None), "has no compression_state_dict.bin: audiocraft's models need both"),
    "no rate": (lambda lm, codec: (lm, {**codec, "xp.cfg": ""}), "have no sample_rate"),
    "no SEANet": (lambda lm, codec: (lm, {**codec, "best_state": {}}), "no weights of a SEANet"),
    "codec key": (lambda lm, codec: (lm, changed(codec, surplus=torch.ones(1))), "unexpected key surplus"),
}


def lm_says(text, message):
    return lambda lm, codec: ({**lm, "xp.cfg": text}, codec), message


def codec_says(name, value, message):
    return lambda lm, codec: (lm, {**codec, "xp.cfg": f"{CODEC_SETTINGS}\n{name}: {value}\n"}), message


def lm_has(tensor, message, name="emb__1__weight"):
    return lambda lm, codec: (changed(lm, **{name: tensor}), codec), message


JOINED = "transformer__layers__0__self_attn__in_proj_weight"
LAUGHS = "a0: &a0 {x: 1, y: 2}\n" + "".join(f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n" for i in range(1, 60))
STRANGE = {
    "aliases that unfold to 2^60": lm_says(LAUGHS, "xp.cfg has aliases"),
    "an alias of itself": lm_says("a: &a {b: *a}", "xp.cfg has aliases"),
    "a list that holds itself": lm_says("a: &a [*a]", "xp.cfg has aliases"),
    "merged names": lm_says("a: &a {x: 1}\nb: {<<: *a}", "xp.cfg has aliases"),
    "settings nested without end": lm_says("[" * 20_000, "xp.cfg is not readable as YAML"),
    "settings of any length": lm_says("# " * 600_000, "must be a text in YAML of at most 1000000"),
    "settings that are a list": lm_says("- 1", "must hold names and values, not a list"),
    "settings that are a number": (lambda lm, codec: ({**lm, "xp.cfg": 5}, codec), "must be a text in YAML"),
    "settings in bytes": (lambda lm, codec: ({**lm, "xp.cfg": b"a: 1"}, codec), "must be a text in YAML"),
    "a day that does not exist": lm_says("a: 2020-99-99", "xp.cfg is not readable as YAML"),
    "an object of Python": lm_says("a: !!python/object/apply:os.getcwd []", "xp.cfg is not readable as YAML"),
    "a list as a name": lm_says("? [1]\n: 2", "xp.cfg is not readable as YAML"),
    **{f"{heads} heads": lm_says(f"transformer_lm: {{num_heads: {heads}}}", "num_heads must be a whole number")
       for heads in ("x", "0", "true", "4.0", "[4]", "-4", ".nan", "1000000")},
    "heads that do not fit": lm_says("transformer_lm: {num_heads: 5}", "multiple of the number of heads, 5, not 32"),
    **{f"rate {rate}": codec_says("sample_rate", rate, "sampling_rate must be a whole number")
       for rate in ("x", "true", "800.5", "-1", ".inf", "10000000000", "[800]")},
    "causal: maybe": codec_says("seanet", "{causal: maybe}", "use_causal_conv must be True or False, not 'maybe'"),
    "padding of numbers": codec_says("seanet", "{pad_mode: 3}", "pad_mode must be 'reflect'"),
    "trimming of nan": codec_says("seanet", "{decoder: {trim_right_ratio: .nan}}", "trim_right_ratio must be a number"),
    "dilation by a word": codec_says("seanet", "{dilation_base: two}", "dilation_growth_rate must be a whole number"),
    "integers": lm_has(torch.ones(17, 32, dtype=torch.int8), "embed_tokens.1.weight is of the type int8"),
    "bools": lm_has(torch.ones(17, 32) > 0, "is of the type bool"),
    "complex numbers": lm_has(torch.ones(17, 32) * 1j, "is of the type complex64"),
    "eight bits": lm_has(torch.ones(17, 32).to(torch.float8_e4m3fn), "is of the type float8_e4m3fn"),
    "NaN": lm_has(torch.full((17, 32), torch.nan), r"embed_tokens.1.weight holds NaN, infinite numbers"),
    "infinity": lm_has(torch.full((17, 32), torch.inf), "holds NaN, infinite numbers"),
    "too large for float32": lm_has(torch.full((17, 32), 1e300, dtype=torch.float64), "such as float32 cannot hold"),
    "one number said to be many": lm_has(torch.ones(1, 1).expand(10**6, 10**6), "no tensors under best_state"),
    "zeros left out": lm_has(torch.ones(17, 32).to_sparse(), "no tensors under best_state"),
    "no memory": lm_has(torch.ones(17, 32, device="meta"), "no tensors under best_state"),
    "a single number": lm_has(torch.tensor(1.0), "has shape .*, expected 2 dimensions", "emb__0__weight"),
    "no thirds": lm_has(torch.ones(95, 32), "cannot be cut into thirds", JOINED),
    "thirds of nothing": lm_has(torch.tensor(1.0), "into thirds", JOINED),
    "flat convolutions": (
        lambda lm, codec: (lm, changed(codec, encoder__model__0__conv__conv__weight_v=torch.ones(4))),
        r"encoder.layers.0.conv.weight_v has shape \[4\], expected 3 dimensions",
    ),
    "convolutions without length": (
        lambda lm, codec: (lm, changed(codec, encoder__model__0__conv__conv__weight_v=torch.zeros(4, 1, 7))),
        "encoder.layers.0.conv.weight_v holds NaN",
    ),
}  # fmt: skip
FAULTS |= STRANGE


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_file_is_named(packages, published, tmp_path, fault):
    change, message = FAULTS[fault]
    with pytest.raises(CheckpointError, match=message) as caught:
        MusicGen.from_pretrained(write(tmp_path / "bad", *change(*packages)), text=published)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_is_named(packages, published, tmp_path):
    folder = write(tmp_path / "short", *packages)
    data = (folder / "state_dict.bin").read_bytes()
    (folder / "state_dict.bin").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="damaged or incomplete"):
        MusicGen.from_pretrained(folder, text=published)
