"""A model in our own format, for what the published one has no place for: biases, no final norm, another pattern.

A folder with the tokenizer's files, `config.json` and `model.safetensors`. Text encoder and codec stand in both as in
the published format; the language model stands under its own names, after `lm.`, with the fields of `LMConfig` and
its pattern.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from pathlib import Path

import torch

from ..device import choose_device
from ..files import room_for
from ..model.encodec import EncodecModel
from ..model.lm import LMConfig, MusicgenLM
from ..model.patterns import PATTERNS
from ..model.text import TextEncoder, load_tokenizer
from ..musicgen import MusicGen
from . import load as checkpoints
from . import published
from .published import CheckpointError
from .save import codec_tensors, write_json

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
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").unlink(missing_ok=True)
    text = {name: t for name, t in text_model.state_dict().items() if name != "encoder.embed_tokens.weight"}
    tensors = {f"text_encoder.{name}": tensor for name, tensor in text.items()} | codec_tensors(codec)
    tensors |= {f"lm.{name}": tensor for name, tensor in lm.state_dict().items()}
    tensors = {name: tensor.detach().float().cpu().contiguous().clone() for name, tensor in tensors.items()}
    path = folder / "model.safetensors"
    with room_for(path, sum(tensor.nbytes for tensor in tensors.values())) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
        temporary.chmod(0o644)  # safetensors lets nobody but the owner read
    tokenizer.save_pretrained(folder)
    config = {
        "model_type": MODEL_TYPE,
        "text_encoder": {"model_type": "t5", **text_model.config.to_diff_dict()},
        "audio_encoder": published.codec_dict(codec.config),
        "lm": asdict(lm.config),
        "pattern": pattern,
    }
    write_json(folder / "config.json", config)


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
    config = read_config(folder)
    path = folder / "model.safetensors"
    state = checkpoints.StateReader(checkpoints.SafetensorsFile(path), str(path))
    with torch.device("meta"):
        lm = MusicgenLM(LMConfig(**config["lm"]))
        codec = EncodecModel(published.codec_config(config["audio_encoder"]))
    _load_lm(lm, state)
    checkpoints.load_codec(codec, state)
    text_model = checkpoints.load_text_model(config["text_encoder"], state)
    state.check_all_used()
    model = MusicGen(TextEncoder(text_model, load_tokenizer(folder)), lm, codec)
    return model.requires_grad_(False).eval().to(choose_device(device)), config["pattern"]


def _load_lm(lm: MusicgenLM, state: checkpoints.StateReader) -> None:
    weights = {}
    for name, parameter in lm.state_dict().items():
        weights[name] = state.read(f"lm.{name}")
        if weights[name].shape != parameter.shape:
            raise CheckpointError(
                f"{state.where}: lm.{name} has shape {list(weights[name].shape)}, expected {list(parameter.shape)}"
            )
    lm.load_state_dict(weights, assign=True)
    lm.reset_buffers()


def read_config(folder: Path) -> dict:
    """`config.json` of a model in our format.

    Raises:
        CheckpointError: there is none, or it is of another format.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no complete model: it has no config.json") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not readable as JSON: {error}") from error
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != MODEL_TYPE:
        raise CheckpointError(
            f"{path} does not describe a model of ours: expected model_type {MODEL_TYPE}, found {found}"
        )
    lm, names = config.get("lm"), {field.name for field in fields(LMConfig)}
    if not isinstance(lm, dict) or set(lm) != names or not {"text_encoder", "audio_encoder"} <= set(config):
        raise CheckpointError(f"{path} must hold text_encoder, audio_encoder and lm with {', '.join(sorted(names))}")
    if config.get("pattern") not in PATTERNS:
        raise CheckpointError(f"{path}: pattern must be one of {', '.join(PATTERNS)}, not {config.get('pattern')}")
    return config
