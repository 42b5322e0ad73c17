"""Checkpoints: finding a folder, and filling our models from its files with every key and shape checked.

A checkpoint is a folder with `config.json`, `model.safetensors` (or several with an index), tokenizer files and a
generation configuration, as on the hub. A model is built without memory, on the `meta` device; then each weight is
read, brought to its number format and device, and put in its place: there is never a second copy of the model.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files import asset
from ..model.embedding import sinusoidal_positions
from ..model.encodec import EncodecConfig, EncodecModel
from ..model.lm import LMConfig, MusicgenLM
from . import hub
from .published import CheckpointError, codec_config, lm_config, published_names, read_codec_config, read_config
from .weights import SafetensorsFile, StateReader, open_weights, renamed, where_weights_are

__all__ = ["SafetensorsFile", "StateReader"]  # they live in `weight_files`

WEIGHT_NORM = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
POSITIONS = "decoder.model.decoder.embed_positions.weights"
CODEBOOK_STATISTICS = re.compile(r"audio_encoder\.quantizer\.layers\.\d+\.codebook\.(inited|cluster_size|embed_avg)")


def fold_weight_norm(g: Tensor, v: Tensor) -> Tensor:
    """w = g * v / |v|, the norm taken over all dimensions but the first.

    For a convolution the first dimension is the output channels, for a transposed one the input channels.
    """
    return g * v / v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))


@dataclass
class Checkpoint:
    """Where the three parts of a MusicGen are read from.

    Attributes:
        lm, codec, text: their tensors, under the names of the published format; they may be the same reader.
        lm_config, codec_config: their sizes.
        text_config: of a T5, as `transformers` writes it.
        tokenizer: the folder with the tokenizer's files.
    """

    lm: StateReader
    codec: StateReader
    text: StateReader
    lm_config: LMConfig
    codec_config: EncodecConfig
    text_config: dict
    tokenizer: Path

    def check(self) -> None:
        """Raise a `CheckpointError` unless language model and codec belong together."""
        lm, codec = self.lm_config, self.codec_config
        if (lm.num_codebooks, lm.codebook_size) != (codec.num_codebooks, codec.codebook_size):
            raise CheckpointError(
                f"{self.lm.where}: the language model has {lm.num_codebooks} codebooks of {lm.codebook_size}, the "
                f"codec {codec.num_codebooks} of {codec.codebook_size}; the stereo models, which have twice as many, "
                "are not supported yet"
            )


def open_published(folder: Path) -> Checkpoint:
    """A folder in the published format."""
    config = read_config(folder)
    state = StateReader(open_weights(folder), where_weights_are(folder))
    sizes = lm_config(config), codec_config(config["audio_encoder"])
    return Checkpoint(state, state, state, *sizes, config["text_encoder"], folder)


def load_lm(
    model: MusicgenLM,
    state: StateReader,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> None:
    """Fill a model (built on the `meta` device) with the weights of a published checkpoint."""
    config, weights = model.config, {}
    for name, parameter in model.state_dict().items():
        sources, expected = published_names(name, config.num_codebooks), list(parameter.shape)
        one = expected[1:] if name == "embedding.tables" else [expected[0] // len(sources), *expected[1:]]
        weights[name] = torch.empty(expected, dtype=dtype, device=device)
        for place, source in zip(weights[name].view(len(sources), *one), sources, strict=True):
            part = state.read(source)
            _check_size(state, source, part, one)
            place.copy_(part)
    model.load_state_dict(weights, assign=True)
    model.reset_buffers(dtype)
    if POSITIONS in state:  # some files carry the table of positions: it must be the one that we compute
        table = state.read(POSITIONS).float()
        computed = sinusoidal_positions(len(table), config.dim)
        if table.shape != computed.shape or not torch.allclose(table, computed, atol=1e-2):
            raise CheckpointError(f"{state.where}: {POSITIONS} is not the sinusoidal table of width {config.dim}")


def load_codec(
    model: EncodecModel,
    state: StateReader,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> None:
    """Fill an EnCodec (built on the `meta` device) from the keys under `audio_encoder.`, folding weight norm."""
    weights = {}
    for name, parameter in model.state_dict().items():
        if re.fullmatch(r"quantizer\.layers\.\d+\.(inited|cluster_size|embed_avg)", name):
            continue
        source = "audio_encoder." + re.sub(r"^(quantizer\.layers\.\d+)\.", r"\1.codebook.", name)
        weights[name] = _read_folded(state, source)
        _check_size(state, source, weights[name], list(parameter.shape))
        weights[name] = weights[name].to(device, dtype)
    V, D = model.config.codebook_size, model.config.hidden_size
    sizes = {"inited": [1], "cluster_size": [V], "embed_avg": [V, D]}
    for name in state.tensors:  # statistics of training: checked, then dropped
        match = CODEBOOK_STATISTICS.fullmatch(name)
        if match:
            _check_size(state, name, state.read(name), sizes[match[1]])
    for k in range(model.config.num_codebooks):
        embed = weights[f"quantizer.layers.{k}.embed"]
        weights[f"quantizer.layers.{k}.embed_avg"] = embed.clone()
        weights[f"quantizer.layers.{k}.cluster_size"] = torch.ones(V, dtype=dtype, device=device)
        weights[f"quantizer.layers.{k}.inited"] = torch.ones(1, dtype=dtype, device=device)
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


def load_text_model(
    config: dict,
    state: StateReader,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """A `T5EncoderModel` with the weights under `text_encoder.`.

    In float16 the second half of each feed-forward layer stays in float32, as in `transformers`: its sums can exceed
    the largest float16, 65504.
    """
    from transformers import T5Config, T5EncoderModel

    with torch.device("meta"):
        model = T5EncoderModel(T5Config.from_dict(config))
    weights, table = {}, None
    shared = ("shared.weight", "encoder.embed_tokens.weight")  # one table under two names; a file may have either
    for name, parameter in model.state_dict().items():
        source = "text_encoder." + name
        if name in shared:
            if source not in state:
                source = "text_encoder." + shared[1 - shared.index(name)]
            if table is not None:  # read once: the second name means the same memory
                state.used.add(source)
                weights[name] = table
                continue
        tensor = state.read(source)
        _check_size(state, source, tensor, list(parameter.shape))
        wide = dtype == torch.float16 and name.endswith(".wo.weight")
        weights[name] = tensor.to(device, torch.float32 if wide else dtype)
        table = weights[name] if name in shared else table
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
    state = codec_reader(folder, prefix)
    with torch.device("meta"):
        model = EncodecModel(config)
    load_codec(model, state)
    state.check_all_used()
    return model.eval().to(device or "cpu")


def codec_reader(folder: Path, prefix: str) -> StateReader:
    """The codec's tensors of a folder under `audio_encoder.`; `prefix` is what their names begin with there."""
    tensors = open_weights(folder)
    names = {"audio_encoder." + name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
    return StateReader(renamed(tensors, names), where_weights_are(folder))


def find(name: str | os.PathLike, revision: str | None = None, progress: bool = True) -> Path:
    """The folder of a checkpoint: "tiny" is the one that comes with the package, else a folder, else a hub name.

    Args:
        name: which checkpoint.
        revision: of a hub name: a branch, tag or commit; None is the newest.
        progress: show a bar while something is fetched.

    Raises:
        CheckpointError: there is no such thing, or it cannot be fetched; the message says what to do.
    """
    if revision is not None and (name == "tiny" or Path(name).is_dir()):
        raise CheckpointError(f"only models of the hub have revisions, and {name} is none: leave revision out")
    if name == "tiny":
        if (asset("tiny") / "config.json").is_file():
            return asset("tiny")
        raise CheckpointError("the tiny model is not installed: assets/tiny is missing, `make tiny` trains it")
    if Path(name).is_dir():
        return Path(name)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)) is None or str(name).startswith("."):
        raise CheckpointError(f"{name} is neither 'tiny' nor a folder nor a hub name such as facebook/musicgen-small")
    return hub.fetch(str(name), revision, progress)
