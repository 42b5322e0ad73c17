"""Checkpoints: finding a model, and filling ours from its files with every key and shape checked.

A checkpoint is a folder with `config.json`, `model.safetensors` (or several with an index), tokenizer files and a
generation configuration, as on the hub. A model is built without memory, on the `meta` device; then each weight is
read, brought to its number format and device, and put in its place: there is never a second copy of the model.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..model.embedding import sinusoidal_positions
from ..model.encodec import EncodecModel
from ..model.lm import MusicgenLM
from .audiocraft import LM_FILE, T5_BASE, open_audiocraft
from .folder import CONFIG
from .locate import find
from .parts import Checkpoint, open_codec, open_published
from .published import published_codec_name, published_names
from .weights import StateReader

WEIGHT_NORM = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
POSITIONS = "decoder.model.decoder.embed_positions.weights"
TABLE_OF_WORDS = ("shared.weight", "encoder.embed_tokens.weight")  # one table under two names: a file has one or both
CODEBOOK_STATISTICS = re.compile(r"audio_encoder\.quantizer\.layers\.\d+\.codebook\.(inited|cluster_size|embed_avg)")


def fold_weight_norm(g: Tensor, v: Tensor) -> Tensor:
    """w = g * v / |v|, the norm taken over all dimensions but the first.

    For a convolution the first dimension is the output channels, for a transposed one the input channels.
    """
    return g * v / v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))


def open_model(
    name: str | os.PathLike = "tiny",
    revision: str | None = None,
    progress: bool = True,
    text: str | os.PathLike = T5_BASE,
) -> Checkpoint:
    """A model by name, in the published format or with audiocraft's files: what `load_parts` reads.

    Args:
        name, revision, progress: see `find`.
        text: folder or hub name of a T5, or of a MusicGen that has one; for audiocraft's files only.

    Raises:
        CheckpointError: there is no such model, or language model and codec do not belong together.
    """
    folder = find(name, revision, progress)
    if (folder / CONFIG).is_file() or not (folder / LM_FILE).is_file():
        return open_published(folder)
    return open_audiocraft(folder, text, progress)


def load_parts(
    found: Checkpoint, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> tuple[nn.Module, MusicgenLM, EncodecModel]:
    """The text encoder, the language model and the codec of a checkpoint; the codec always in float32.

    Raises:
        CheckpointError: a tensor is missing, left over or of the wrong shape.
    """
    with torch.device("meta"):
        lm, codec = MusicgenLM(found.lm_config), EncodecModel(found.codec_config)
    load_lm(lm, found.lm, dtype, device)
    load_codec(codec, found.codec, device)
    text_model = load_text_model(found.text_config, found.text, dtype, device)
    for state in (found.lm, found.codec, found.text):
        state.check_all_used()
    return text_model, lm, codec


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
        parts = (state.read(source, one) for source in sources)
        first = next(parts)  # a size that is not that of the file is found before there is room for it
        weights[name] = torch.empty(expected, dtype=dtype, device=device)
        places = weights[name].view(len(sources), *one)
        for source, place, part in zip(sources, places, itertools.chain([first], parts), strict=True):
            place.copy_(part)  # a copy in the format of the model would stay with the allocator
            if dtype != part.dtype:
                state.check_finite(source, place)
    model.load_state_dict(weights, assign=True)
    model.reset_buffers(dtype)
    if POSITIONS in state:  # some files carry the table of positions: it must be the one that we compute
        table = state.read(POSITIONS).float()
        computed = sinusoidal_positions(max(1, len(table)) if table.dim() else 1, config.dim)
        if table.shape != computed.shape or not torch.allclose(table, computed, atol=1e-2):
            raise CheckpointError(f"{state.where}: {POSITIONS} is not the sinusoidal table of width {config.dim}")


def load_codec(model: EncodecModel, state: StateReader, device: torch.device | str = "cpu") -> None:
    """Fill an EnCodec (built on the `meta` device) from the keys under `audio_encoder.`, folding weight norm."""
    weights = {}
    for name, parameter in model.state_dict().items():
        if re.fullmatch(r"quantizer\.layers\.\d+\.(inited|cluster_size|embed_avg)", name):
            continue
        weights[name] = _read_folded(state, published_codec_name(name), parameter.shape).to(device)
    V, D = model.config.codebook_size, model.config.hidden_size
    sizes = {"inited": [1], "cluster_size": [V], "embed_avg": [V, D]}
    for name in state.tensors:  # statistics of training: checked, then dropped
        match = CODEBOOK_STATISTICS.fullmatch(name)
        if match:
            state.read(name, sizes[match[1]])
    for k in range(model.config.num_codebooks):
        embed = weights[f"quantizer.layers.{k}.embed"]
        weights[f"quantizer.layers.{k}.embed_avg"] = embed.clone()
        weights[f"quantizer.layers.{k}.cluster_size"] = torch.ones(V, device=device)
        weights[f"quantizer.layers.{k}.inited"] = torch.ones(1, device=device)
    model.load_state_dict(weights, assign=True)


def _read_folded(state: StateReader, name: str, shape: Sequence[int]) -> Tensor:
    """A tensor by name, or put together from the two of its weight norm, old or new names."""
    stem = name.removesuffix("weight")
    for g, v in WEIGHT_NORM:
        if name not in state and name.endswith(".weight") and stem + g in state:
            direction = state.read(stem + v, shape, torch.float32)
            length = state.read(stem + g, [shape[0], *[1] * (len(shape) - 1)], torch.float32)
            folded = fold_weight_norm(length, direction)
            state.check_finite(stem + v, folded)  # a direction of zeros has no norm
            return folded
    return state.read(name, shape, torch.float32)


def load_text_model(
    config: dict,
    state: StateReader,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """A `T5EncoderModel` of these settings (`published.text_config`) with the weights under `text_encoder.`.

    In float16 the second half of each feed-forward layer stays in float32, as in `transformers`: its sums can exceed
    the largest float16, 65504.
    """
    from transformers import T5Config, T5EncoderModel

    with torch.device("meta"):
        model = T5EncoderModel(T5Config(**config))
    weights, table = {}, None
    for name, parameter in model.state_dict().items():
        if name in TABLE_OF_WORDS:
            table = _read_table(state, parameter.shape, dtype).to(device) if table is None else table
            weights[name] = table
            continue
        wide = dtype == torch.float16 and name.endswith(".wo.weight")
        kind = torch.float32 if wide else dtype
        weights[name] = state.read("text_encoder." + name, parameter.shape, kind).to(device)
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    return model.eval()


def _read_table(state: StateReader, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """T5's table of words. Where a file has it under both of its names, the two must be the same."""
    names = [f"text_encoder.{name}" for name in TABLE_OF_WORDS]
    tables = [state.read(name, shape, dtype) for name in names if name in state] or [state.read(names[0])]
    if not torch.equal(tables[0], tables[-1]):
        raise CheckpointError(f"{state.where}: {' and '.join(names)} must be the same table, but they differ")
    return tables[0]


def read_codec(name: str | os.PathLike = "tiny", device: str | torch.device | None = None) -> EncodecModel:
    """The codec of a folder or hub name, be it that of a codec alone or of a whole MusicGen; "tiny" is the shipped one.

    Args:
        name: see `find`.
        device: None is the CPU.

    Raises:
        CheckpointError: the folder is no checkpoint, or a tensor is missing, left over or of the wrong shape.
    """
    state, config = open_codec(find(name))
    with torch.device("meta"):
        model = EncodecModel(config)
    load_codec(model, state)
    state.check_all_used()
    return model.eval().to(device or "cpu")
