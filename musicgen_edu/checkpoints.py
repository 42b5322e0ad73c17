"""Checkpoints: finding a folder, and filling our models from its file with every key and shape checked.

A checkpoint is a folder with `config.json`, `model.safetensors`, tokenizer files and a generation configuration, as
on the hub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .embedding import sinusoidal_positions
from .encodec import EncodecModel
from .lm import MusicgenLM
from .published import CheckpointError, published_names, read_codec_config

WEIGHT_NORM = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
POSITIONS = "decoder.model.decoder.embed_positions.weights"
CODEBOOK_STATISTICS = re.compile(r"audio_encoder\.quantizer\.layers\.\d+\.codebook\.(inited|cluster_size|embed_avg)")


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


def read_codec(name: str | os.PathLike = "tiny", device: str | torch.device | None = None) -> EncodecModel:
    """The codec of a folder or hub name, be it that of a codec alone or of a whole MusicGen; "tiny" is the shipped one.

    Args:
        name: see `find`.
        device: None is the CPU.

    Raises:
        CheckpointError: the folder is no checkpoint, or a tensor is missing, left over or of the wrong shape.
    """
    folder = find(name)
    config, prefix = read_codec_config(folder)
    file = SafetensorsFile(folder / "model.safetensors")
    names = [tensor for tensor in file if tensor.startswith(prefix)]
    tensors = {"audio_encoder." + tensor.removeprefix(prefix): file[tensor] for tensor in names}
    state = StateReader(tensors, str(folder / "model.safetensors"))
    with torch.device("meta"):
        model = EncodecModel(config)
    load_codec(model, state)
    state.check_all_used()
    return model.eval().to(device or "cpu")


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
