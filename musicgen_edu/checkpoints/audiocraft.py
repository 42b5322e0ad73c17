"""audiocraft's own files, `state_dict.bin` and `compression_state_dict.bin`, under the names of the published format.

Both are pickles of tensors and a configuration in YAML; they are read with `weights_only=True`, which refuses a pickle
that holds code. Sizes are taken from the shapes of the tensors as far as shapes tell them. The text encoder is not in
these files: audiocraft fetches T5 by its name.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..model.settings import EncodecConfig, LMConfig
from .folder import open_file
from .locate import find
from .parts import Checkpoint, open_codec, open_text
from .published import checked
from .weights import LazyTensors, StateReader, renamed

LM_FILE, CODEC_FILE = "state_dict.bin", "compression_state_dict.bin"
T5_BASE = "google-t5/t5-base"
LONGEST_SETTINGS = 1_000_000  # characters; audiocraft's have some 20,000
LM_NAMES = [  # audiocraft's: the published ones; `{}` are the three thirds of a joined matrix
    (r"emb\.(\d+)\.weight", r"decoder.model.decoder.embed_tokens.\1.weight"),
    (r"linears\.(\d+)\.weight", r"decoder.lm_heads.\1.weight"),
    (r"out_norm\.(weight|bias)", r"decoder.model.decoder.layer_norm.\1"),
    (r"condition_provider\.conditioners\.description\.output_proj\.(weight|bias)", r"enc_to_dec_proj.\1"),
    (r"transformer\.layers\.(\d+)\.self_attn\.in_proj_weight", r"layers.\1.self_attn.{}_proj.weight"),
    (r"transformer\.layers\.(\d+)\.self_attn\.out_proj\.weight", r"layers.\1.self_attn.out_proj.weight"),
    (r"transformer\.layers\.(\d+)\.cross_attention\.in_proj_weight", r"layers.\1.encoder_attn.{}_proj.weight"),
    (r"transformer\.layers\.(\d+)\.cross_attention\.out_proj\.weight", r"layers.\1.encoder_attn.out_proj.weight"),
    (r"transformer\.layers\.(\d+)\.linear([12])\.weight", r"layers.\1.fc\2.weight"),
    (r"transformer\.layers\.(\d+)\.norm1\.(weight|bias)", r"layers.\1.self_attn_layer_norm.\2"),
    (r"transformer\.layers\.(\d+)\.norm_cross\.(weight|bias)", r"layers.\1.encoder_attn_layer_norm.\2"),
    (r"transformer\.layers\.(\d+)\.norm2\.(weight|bias)", r"layers.\1.final_layer_norm.\2"),
]
CODEC_NAMES = [
    (r"^(encoder|decoder)\.model\.", r"audio_encoder.\1.layers."),
    (r"\.(conv\.conv|convtr\.convtr)\.", ".conv."),
    (r"^quantizer\.vq\.layers\.(\d+)\._codebook\.", r"audio_encoder.quantizer.layers.\1.codebook."),
]


def open_audiocraft(folder: Path, text: str | os.PathLike, progress: bool) -> Checkpoint:
    """A folder with audiocraft's files.

    Args:
        folder: with `state_dict.bin` and `compression_state_dict.bin`.
        text: folder or hub name of a T5, or of a MusicGen that has one.
        progress: show a bar while the T5, or a codec that the files name, is fetched.
    """
    weights, settings = read_pickle(folder / LM_FILE)
    lm = StateReader(published_lm(weights), str(folder / LM_FILE))
    codec, codec_sizes = open_audiocraft_codec(folder, progress)
    tokenizer = find(text, progress=progress)
    text_state, text_config = open_text(tokenizer)
    return Checkpoint(lm, codec, text_state, lm_sizes(weights, settings, lm), codec_sizes, text_config, tokenizer)


def read_package(path: Path) -> dict[str, Any]:
    """What one of the two files holds, as a dictionary; code in it is refused."""
    try:
        with open_file(path) as file:
            package = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} has no {path.name}: audiocraft's models need both files") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and text, and may run code when it is read: it was not loaded; get the "
            "file from its authors, or use the safetensors of the same model"
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # what torch raises depends on which byte is wrong
        raise CheckpointError(f"{path} is damaged or incomplete; download or copy it again") from error
    if not isinstance(package, dict):
        raise CheckpointError(
            f"{path} is no file of audiocraft: it must hold a dictionary, not {type(package).__name__}"
        )
    return package


def read_pickle(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and settings of a file.

    Returns:
        the tensors of `best_state`; the YAML of `xp.cfg` as a flat dictionary, "seanet.causal" for example.
    """
    package = read_package(path)
    weights = package.get("best_state")
    if not isinstance(weights, Mapping) or not all(isinstance(n, str) and _is_whole(t) for n, t in weights.items()):
        raise CheckpointError(f"{path} is no file of audiocraft: it has no tensors under best_state")
    return dict(weights), flat(read_yaml(package.get("xp.cfg") or "", f"{path}: its xp.cfg"))


def _is_whole(tensor: Any) -> bool:
    """Whether that is a tensor of which each number is in the file: none of zeros left out, none said to repeat."""
    plain = isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"
    return plain and tensor.nbytes <= tensor.untyped_storage().nbytes()


def read_yaml(text: Any, where: str) -> dict[str, Any]:
    """Settings in YAML; `where` names them in errors.

    Aliases, by which a few lines can mean billions, are refused: audiocraft writes none.
    """
    import yaml

    if not isinstance(text, str) or len(text) > LONGEST_SETTINGS:
        raise CheckpointError(f"{where} must be a text in YAML of at most {LONGEST_SETTINGS} characters")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise CheckpointError(f"{where} has aliases (*), which audiocraft's settings do not have")
        settings = yaml.safe_load(text) or {}
    except CheckpointError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a ValueError for a day such as 2020-99-99
        raise CheckpointError(f"{where} is not readable as YAML") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{where} must hold names and values, not a {type(settings).__name__}")
    return settings


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with dotted names; a value such as ${sample_rate} is looked up, one of null left out."""
    found, open_ones = {}, [("", settings)]
    while open_ones:
        prefix, part = open_ones.pop()
        for name, value in part.items():
            if isinstance(value, Mapping):
                open_ones.append((f"{prefix}{name}.", value))
            else:
                found[f"{prefix}{name}"] = value
    for name, value in found.items():
        for _ in range(8):  # a reference may lead to a reference
            reference = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
            value = found.get(reference[1]) if reference else value
        found[name] = value
    return {name: value for name, value in found.items() if value is not None}


def published_lm(weights: Mapping[str, Tensor]) -> LazyTensors:
    """The language model's tensors under their published names; joined projections are cut into thirds.

    A key that the map does not know keeps its name and is reported as unexpected later.
    """
    makers = {}
    for name, tensor in weights.items():
        if ".self_wav." in name:
            raise CheckpointError("this is a melody model (it has a conditioner self_wav), which is not supported yet")
        published = _published_lm_name(name)
        if "{}" not in published:
            makers[published] = lambda tensor=tensor: tensor
            continue
        if tensor.dim() == 0 or tensor.shape[0] % 3:
            raise CheckpointError(f"{name} has shape {list(tensor.shape)}, which cannot be cut into thirds")
        for letter, part in zip("qkv", tensor.chunk(3) if len(tensor) else [tensor] * 3, strict=True):
            makers[published.format(letter)] = lambda part=part: part
    return LazyTensors(makers)


def _published_lm_name(name: str) -> str:
    for pattern, target in LM_NAMES:
        match = re.fullmatch(pattern, name)
        if match:
            published = match.expand(target)
            return f"decoder.model.decoder.{published}" if published.startswith("layers.") else published
    return name


def lm_sizes(weights: Mapping[str, Tensor], settings: Mapping[str, Any], state: StateReader) -> LMConfig:
    """Sizes of the language model. Shapes do not tell the heads: they are in the settings, else 64 wide as in all."""
    published = state.tensors
    width = state.sizes("decoder.model.decoder.embed_tokens.0.weight", 2)[1]  # of [V + 1, D]
    layers = {name.split(".")[2] for name in weights if name.startswith("transformer.layers.")}
    first = "decoder.model.decoder.layers.0.fc1.weight"
    config = LMConfig(
        dim=width,
        num_heads=settings.get("transformer_lm.num_heads", max(1, width // 64)),
        layers=len(layers),
        feed_forward=state.sizes(first, 2)[0],
        num_codebooks=sum(name.startswith("decoder.model.decoder.embed_tokens.") for name in published),
        codebook_size=state.sizes("decoder.lm_heads.0.weight", 2)[0],
        text_dim=state.sizes("enc_to_dec_proj.weight", 2)[1],
    )
    return checked(config, f"{state.where}, transformer_lm")


def open_audiocraft_codec(folder: Path, progress: bool) -> tuple[StateReader, EncodecConfig]:
    """The codec of a folder: its weights, or the published codec that the file names."""
    package = read_package(folder / CODEC_FILE)
    if "pretrained" in package:
        return open_codec(find(str(package["pretrained"]), progress=progress))
    weights, settings = read_pickle(folder / CODEC_FILE)
    names = {}
    for name in weights:
        published = name
        for pattern, target in CODEC_NAMES:
            published = re.sub(pattern, target, published)
        names[published] = name
    state = StateReader(renamed(weights, names), str(folder / CODEC_FILE))
    return state, codec_sizes(state, settings)


def codec_sizes(state: StateReader, settings: Mapping[str, Any]) -> EncodecConfig:
    """Sizes of the codec; sample rate, causality and padding are in the settings only."""
    if settings.get("encodec.renormalize") or not settings.get("sample_rate"):
        raise CheckpointError(
            f"{state.where}: its settings have no sample_rate, or renormalize: not MusicGen's EnCodec"
        )
    names = [name.removeprefix("audio_encoder.") for name in state.tensors]

    def shape(name: str, dimensions: int = 3) -> list[int]:
        return state.sizes(f"audio_encoder.{name}", dimensions)

    def count(pattern: str) -> int:
        return sum(re.fullmatch(pattern, name) is not None for name in names)

    convolutions = sorted(
        (int(match[1]), match[0])
        for match in map(re.compile(r"decoder\.layers\.(\d+)\.conv\.weight_v").fullmatch, names)
        if match
    )
    if len(convolutions) < 3:
        raise CheckpointError(f"{state.where} has no weights of a SEANet under audiocraft's names")
    first, *ups, last = (shape(name) for _, name in convolutions)
    filters, channels, kernel = shape("encoder.layers.0.conv.weight_v")
    block = shape("encoder.layers.1.block.1.conv.weight_v")
    config = EncodecConfig(
        sampling_rate=settings["sample_rate"],
        audio_channels=channels,
        num_filters=filters,
        upsampling_ratios=tuple(up[2] // 2 for up in ups),
        hidden_size=first[1],
        codebook_size=shape("quantizer.layers.0.codebook.embed", 2)[0],
        num_codebooks=count(r"quantizer\.layers\.\d+\.codebook\.embed"),
        num_residual_layers=count(r"encoder\.layers\.\d+\.block\.1\.conv\.weight_v") // len(ups),
        num_lstm_layers=count(r"encoder\.layers\.\d+\.lstm\.weight_ih_l\d+"),
        kernel_size=kernel,
        last_kernel_size=last[2],
        residual_kernel_size=block[2],
        dilation_growth_rate=settings.get("seanet.dilation_base", 2),
        compress=filters // max(1, block[0]),
        use_causal_conv=settings.get("seanet.causal", settings.get("encodec.causal", False)),
        use_conv_shortcut=any(".shortcut." in name for name in names),
        pad_mode=settings.get("seanet.pad_mode", "reflect"),
        trim_right_ratio=settings.get("seanet.decoder.trim_right_ratio", 1.0),
    )
    return checked(config, f"{state.where}, its settings and shapes")
