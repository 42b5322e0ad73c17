"""A model in our own format, for what the published one has no place for: biases, no final norm, another pattern.

A folder with the tokenizer's files, `config.json` and `model.safetensors`. Text encoder and codec stand in both as in
the published format; the language model stands under its own names, after `lm.`, with the fields of `LMConfig` and
its pattern.
"""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from ..device import choose_device
from ..errors import CheckpointError
from ..model.encodec import EncodecModel
from ..model.limits import LM_RULES
from ..model.lm import MusicgenLM
from ..model.patterns import PATTERNS
from ..model.settings import LMConfig
from ..model.text import TextEncoder, load_tokenizer
from ..musicgen import MusicGen
from .folder import CONFIG, read_json
from .load import load_codec, load_text_model
from .published import check_settings, checked, codec_config, codec_dict, part_of, text_config
from .save import codec_tensors, text_dict, text_tensors, write_folder
from .weights import open_state

MODEL_TYPE = "musicgen_edu"


def write_model(
    folder: Path, text_model, tokenizer, lm: MusicgenLM, codec: EncodecModel, pattern: str = "delay"
) -> None:
    """Write a whole model in float32; `config.json` comes last, so a folder that has it is complete.

    Args:
        folder: made if it does not exist.
        text_model: a T5 encoder of `transformers`.
        tokenizer: its tokenizer.
        lm, codec: the other two parts.
        pattern: a key of `patterns.PATTERNS`, that of the training.

    Raises:
        OSError: the disk is full.
    """
    tensors = text_tensors(text_model) | codec_tensors(codec)
    tensors |= {f"lm.{name}": tensor for name, tensor in lm.state_dict().items()}
    config = {
        "model_type": MODEL_TYPE,
        "text_encoder": text_dict(text_model),
        "audio_encoder": codec_dict(codec.config),
        "lm": asdict(lm.config),
        "pattern": pattern,
    }
    write_folder(folder, tensors, {CONFIG: config}, tokenizer)


def read_model(folder: str | os.PathLike, device: str | torch.device | None = None) -> MusicGen:
    """Load what `write_model` wrote, ready to generate.

    Args:
        folder: of the model.
        device: None takes a GPU if there is one.

    Raises:
        CheckpointError: the folder is no such model, a tensor is missing, left over or of the wrong shape, or the
            pattern is not the delay, in which `MusicGen` generates.
    """
    model, pattern = read_with_pattern(folder, device)
    if pattern != "delay":
        raise CheckpointError(
            f"{folder} is a model of the pattern {pattern}, and MusicGen generates in the delay pattern: "
            "use read_with_pattern, and generate_codes with that pattern's table"
        )
    return model


def read_with_pattern(folder: str | os.PathLike, device: str | torch.device | None = None) -> tuple[MusicGen, str]:
    """The parts of a model of any pattern, and the pattern's name; see `read_model`.

    To hear one that is not delayed: `model.condition`, then `generate_codes(model.lm, ..., table=...)` with the
    pattern's table, then `model.codec.decode`.
    """
    folder = Path(folder)
    config, where = _read_config(folder), str(folder / CONFIG)
    check_settings(f"{where}, lm", config["lm"], LM_RULES)
    sizes = checked(LMConfig(**config["lm"]), f"{where}, lm")
    codec_sizes = codec_config(part_of(config, "audio_encoder", where), f"{where}, audio_encoder")
    text = text_config(part_of(config, "text_encoder", where), f"{where}, text_encoder")
    state = open_state(folder)
    with torch.device("meta"):
        lm, codec = MusicgenLM(sizes), EncodecModel(codec_sizes)
    weights = {
        name: state.read(f"lm.{name}", parameter.shape, torch.float32) for name, parameter in lm.state_dict().items()
    }
    lm.load_state_dict(weights, assign=True)
    lm.reset_buffers()
    load_codec(codec, state)
    text_model = load_text_model(text, state)
    state.check_all_used()
    model = MusicGen(TextEncoder(text_model, load_tokenizer(folder, text_model.config.vocab_size)), lm, codec)
    return model.requires_grad_(False).eval().to(choose_device(device)), config["pattern"]


def _read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model in our format, with all that it must hold."""
    path = folder / CONFIG
    config = read_json(path)
    if config.get("model_type") != MODEL_TYPE:
        found = config.get("model_type")
        raise CheckpointError(
            f"{path} does not describe a model of ours: expected model_type {MODEL_TYPE}, found {found}"
        )
    lm, names = config.get("lm"), {field.name for field in fields(LMConfig)}
    if not isinstance(lm, dict) or set(lm) != names or not {"text_encoder", "audio_encoder"} <= set(config):
        raise CheckpointError(f"{path} must hold text_encoder, audio_encoder and lm with {', '.join(sorted(names))}")
    if config.get("pattern") not in list(PATTERNS):
        raise CheckpointError(f"{path}: pattern must be one of {', '.join(PATTERNS)}, not {config.get('pattern')}")
    return config
