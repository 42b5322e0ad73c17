"""The published checkpoint format: finding a folder, reading it, checking every key and shape, and writing one.

A checkpoint is a folder with `config.json`, `model.safetensors`, tokenizer files and a generation configuration, as
on the hub. `published_names` says for each tensor of ours which tensors of the file it is made of; reading joins
them, writing cuts them apart again.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .embedding import sinusoidal_positions
from .encodec import EncodecConfig, EncodecModel
from .lm import LMConfig, MusicgenLM

LAYER_NAMES = {  # ours: theirs
    "self_norm": ["self_attn_layer_norm"],
    "self_attention.qkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "self_attention.out": ["self_attn.out_proj"],
    "cross_norm": ["encoder_attn_layer_norm"],
    "cross_attention.q": ["encoder_attn.q_proj"],
    "cross_attention.kv": ["encoder_attn.k_proj", "encoder_attn.v_proj"],
    "cross_attention.out": ["encoder_attn.out_proj"],
    "feed_forward_norm": ["final_layer_norm"],
    "up": ["fc1"],
    "down": ["fc2"],
}
WEIGHT_NORM = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
POSITIONS = "decoder.model.decoder.embed_positions.weights"
CODEBOOK_STATISTICS = re.compile(r"audio_encoder\.quantizer\.layers\.\d+\.codebook\.(inited|cluster_size|embed_avg)")


class CheckpointError(ValueError):
    """A folder is no checkpoint, or one of its tensors is missing, left over or of the wrong shape."""


class StateReader:
    """The tensors of a checkpoint, read one at a time; it remembers which were used.

    Args:
        tensors: names to something with a `shape` that `read` can turn into a tensor.
        where: what to call the checkpoint in errors.
    """

    def __init__(self, tensors: Mapping[str, Any], where: str):
        self.tensors, self.where = tensors, where
        self.used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def read(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise CheckpointError(f"{self.where} lacks the key {name}")
        self.used.add(name)
        return self.tensors[name]

    def check_all_used(self) -> None:
        left = sorted(set(self.tensors) - self.used)
        if left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            raise CheckpointError(f"{self.where} has the unexpected key {left[0]}{more}")


class SafetensorsFile(Mapping):
    """A safetensors file as a mapping from names to tensors, each read when it is asked for."""

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        try:
            self.file = safe_open(path, framework="pt")
        except FileNotFoundError as error:
            raise CheckpointError(f"{path.parent} is no checkpoint: it has no {path.name}") from error
        except SafetensorError as error:
            raise CheckpointError(f"{path} is damaged or incomplete ({error}); download or copy it again") from error
        self.names = list(self.file.keys())

    def __getitem__(self, name: str) -> Tensor:
        return self.file.get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def fold_weight_norm(g: Tensor, v: Tensor) -> Tensor:
    """w = g * v / |v|, the norm taken over all dimensions but the first.

    For a convolution the first dimension is the output channels, for a transposed one the input channels.
    """
    return g * v / v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))


def published_names(name: str, num_codebooks: int) -> list[str]:
    """The tensors of the published file that a tensor of `MusicgenLM` is made of, in order."""
    if name == "embedding.tables":
        return [f"decoder.model.decoder.embed_tokens.{k}.weight" for k in range(num_codebooks)]
    stem, kind = name.rsplit(".", 1)
    if stem == "heads":
        return [f"decoder.lm_heads.{k}.{kind}" for k in range(num_codebooks)]
    if stem == "text_projection.0":
        return [f"enc_to_dec_proj.{kind}"]
    if stem == "decoder.norm":
        return [f"decoder.model.decoder.layer_norm.{kind}"]
    match = re.fullmatch(r"decoder\.layers\.(\d+)\.(.+)", stem)
    if match is None:
        raise CheckpointError(f"the published format has no place for {name}")
    return [f"decoder.model.decoder.layers.{match[1]}.{theirs}.{kind}" for theirs in LAYER_NAMES[match[2]]]


def load_lm(model: MusicgenLM, state: StateReader, dtype: torch.dtype = torch.float32) -> None:
    """Fill a model (built on the `meta` device) with the weights of a published checkpoint."""
    config, weights = model.config, {}
    for name, parameter in model.state_dict().items():
        parts = [state.read(source) for source in published_names(name, config.num_codebooks)]
        expected = list(parameter.shape)
        for source, part in zip(published_names(name, config.num_codebooks), parts, strict=True):
            one = expected[1:] if name == "embedding.tables" else [expected[0] // len(parts), *expected[1:]]
            _check_size(state, source, part, one)
        joined = torch.stack(parts) if name == "embedding.tables" else torch.cat(parts)
        weights[name] = joined.to(dtype)
    model.load_state_dict(weights, assign=True)
    model.reset_buffers(dtype)
    if POSITIONS in state:  # some files carry the table of positions: it must be the one that we compute
        table = state.read(POSITIONS).float()
        computed = sinusoidal_positions(len(table), config.dim)
        if table.shape != computed.shape or not torch.allclose(table, computed, atol=1e-2):
            raise CheckpointError(f"{state.where}: {POSITIONS} is not the sinusoidal table of width {config.dim}")


def load_codec(model: EncodecModel, state: StateReader, dtype: torch.dtype = torch.float32) -> None:
    """Fill an EnCodec (built on the `meta` device) from the keys under `audio_encoder.`, folding weight norm."""
    weights = {}
    for name, parameter in model.state_dict().items():
        if re.fullmatch(r"quantizer\.layers\.\d+\.(inited|cluster_size|embed_avg)", name):
            continue
        source = "audio_encoder." + re.sub(r"^(quantizer\.layers\.\d+)\.", r"\1.codebook.", name)
        weights[name] = _read_folded(state, source)
        _check_size(state, source, weights[name], list(parameter.shape))
        weights[name] = weights[name].to(dtype)
    V, D = model.config.codebook_size, model.config.hidden_size
    sizes = {"inited": [1], "cluster_size": [V], "embed_avg": [V, D]}
    for name in state.tensors:  # statistics of training: checked, then dropped
        match = CODEBOOK_STATISTICS.fullmatch(name)
        if match:
            _check_size(state, name, state.read(name), sizes[match[1]])
    for k in range(model.config.num_codebooks):
        embed = weights[f"quantizer.layers.{k}.embed"]
        weights[f"quantizer.layers.{k}.embed_avg"] = embed.clone()
        weights[f"quantizer.layers.{k}.cluster_size"] = torch.ones(V, dtype=dtype)
        weights[f"quantizer.layers.{k}.inited"] = torch.ones(1, dtype=dtype)
    model.load_state_dict(weights, assign=True)


def _read_folded(state: StateReader, name: str) -> Tensor:
    """A tensor by name, or put together from the two of its weight norm, old or new names."""
    if name not in state:
        stem = name.removesuffix("weight")
        for g, v in WEIGHT_NORM:
            if name.endswith(".weight") and stem + g in state:
                g_value, v_value = state.read(stem + g).float(), state.read(stem + v).float()
                _check_size(state, stem + g, g_value, [v_value.shape[0], *[1] * (v_value.dim() - 1)])
                return fold_weight_norm(g_value, v_value)
    return state.read(name)


def _check_size(state: StateReader, name: str, tensor: Tensor, expected: list[int]) -> None:
    if list(tensor.shape) != expected:
        raise CheckpointError(f"{state.where}: {name} has shape {list(tensor.shape)}, expected {expected}")


def load_text_model(config: dict, state: StateReader, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A `T5EncoderModel` with the weights under `text_encoder.`."""
    from transformers import T5Config, T5EncoderModel

    with torch.device("meta"):
        model = T5EncoderModel(T5Config.from_dict(config))
    weights = {}
    shared = ("shared.weight", "encoder.embed_tokens.weight")  # one table under two names; a file may have either
    for name, parameter in model.state_dict().items():
        source = "text_encoder." + name
        if name in shared and source not in state:
            source = "text_encoder." + shared[1 - shared.index(name)]
        weights[name] = state.read(source)
        _check_size(state, source, weights[name], list(parameter.shape))
        weights[name] = weights[name].to(dtype)
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    return model.eval()


def read_config(folder: Path) -> dict:
    """`config.json` of a MusicGen folder, as a dictionary."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no checkpoint: it has no config.json") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not readable as JSON: {error}") from error
    missing = [part for part in ("text_encoder", "audio_encoder", "decoder") if part not in config]
    if config.get("model_type") != "musicgen" or missing:
        found = config.get("model_type", "none")
        raise CheckpointError(f"{path} does not describe a MusicGen: expected model_type musicgen, found {found}")
    return config


CODEC_DEFAULTS = {  # what a published config.json may leave out, and what transformers then assumes
    "sampling_rate": 24000,
    "audio_channels": 1,
    "num_filters": 32,
    "upsampling_ratios": [8, 5, 4, 2],
    "hidden_size": 128,
    "codebook_size": 1024,
    "num_residual_layers": 1,
    "num_lstm_layers": 2,
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "dilation_growth_rate": 2,
    "compress": 2,
    "use_causal_conv": True,
    "use_conv_shortcut": True,
    "pad_mode": "reflect",
    "trim_right_ratio": 1.0,
}


def codec_config(config: dict) -> EncodecConfig:
    """Our configuration from the `audio_encoder` part of a published `config.json`."""
    values = {name: config.get(name, default) for name, default in CODEC_DEFAULTS.items()}
    values["upsampling_ratios"] = tuple(values["upsampling_ratios"])
    frame_rate = math.ceil(values["sampling_rate"] / math.prod(values["upsampling_ratios"]))
    bits = math.ceil(math.log2(values["codebook_size"]))
    bandwidth = config.get("target_bandwidths", [1.5, 3.0, 6.0, 12.0, 24.0])[-1]
    if (
        config.get("normalize")
        or config.get("chunk_length_s")
        or config.get("norm_type", "weight_norm") != "weight_norm"
    ):
        raise CheckpointError(
            "this codec normalizes, chunks or uses another norm than weight norm: not MusicGen's EnCodec"
        )
    return EncodecConfig(**values, num_codebooks=int(1000 * bandwidth // (frame_rate * bits)))


def lm_config(config: dict) -> LMConfig:
    """Our configuration from a whole published `config.json`."""
    decoder = config["decoder"]
    dim, text_dim = decoder.get("hidden_size", 1024), config["text_encoder"].get("d_model", 512)
    if decoder.get("activation_function", "gelu") != "gelu" or decoder.get("scale_embedding", False):
        raise CheckpointError("this decoder scales its embeddings or does not use GELU: it is not MusicGen's")
    return LMConfig(
        dim=dim,
        heads=decoder.get("num_attention_heads", 16),
        layers=decoder.get("num_hidden_layers", 24),
        feed_forward=decoder.get("ffn_dim", 4096),
        num_codebooks=decoder.get("num_codebooks", 4),
        codebook_size=decoder.get("vocab_size", 2048),
        text_dim=text_dim,
        max_steps=decoder.get("max_position_embeddings", 2048),
        text_layers=0 if text_dim == dim else 1,  # without a change of width there is no projection
    )


def find(name: str | os.PathLike) -> Path:
    """The folder of a checkpoint: "tiny" is the one that comes with the package, else a folder, else a hub name."""
    if name == "tiny":
        for base in (Path(__file__).parent, Path(__file__).parents[1]):
            if (base / "assets" / "tiny" / "config.json").is_file():
                return base / "assets" / "tiny"
        raise CheckpointError("the tiny model is not installed: assets/tiny is missing, `make tiny` trains it")
    if Path(name).is_dir():
        return Path(name)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)) is None or str(name).startswith("."):
        raise CheckpointError(f"{name} is neither 'tiny' nor a folder nor a hub name such as facebook/musicgen-small")
    return _download(str(name))


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.model"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{name} is not a local folder and could not be fetched from the hub: {reason}"
        ) from error
