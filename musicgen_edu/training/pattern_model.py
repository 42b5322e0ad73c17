"""A language model of any pattern on disk. The published format cannot name a pattern: there all models are delayed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from ..checkpoints import SafetensorsFile
from ..lm import LMConfig, MusicgenLM
from ..published import CheckpointError
from .export import write_json, write_tensors

SIZES, WEIGHTS = "lm.json", "lm.safetensors"


def write_pattern_model(folder: Path, lm: MusicgenLM, pattern: str, codec: str, text: str) -> None:
    """Write `lm.json` and `lm.safetensors`; there is no config.json, so nobody takes it for a published model.

    Args:
        folder: made if it does not exist.
        lm: the trained model.
        pattern: a key of `patterns.PATTERNS`.
        codec, text: names or folders of what it was trained with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, {name: tensor.contiguous() for name, tensor in lm.state_dict().items()})
    write_json(folder / SIZES, {"pattern": pattern, "codec": codec, "text": text, "sizes": asdict(lm.config)})


def read_pattern_model(folder: Path | str) -> tuple[MusicgenLM, dict]:
    """The model, in evaluation mode, and what `lm.json` says: "pattern", "codec", "text" and "sizes".

    To hear it: `read_text_encoder(text)` and `lm.project_text` make the condition, `generate_codes` with the table of
    the pattern the codes, and `read_codec(codec).decode` the sound.

    Raises:
        CheckpointError: the folder has no such model.
    """
    folder = Path(folder)
    try:
        description = json.loads((folder / SIZES).read_text())
        with torch.device("meta"):
            lm = MusicgenLM(LMConfig(**description["sizes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} has no readable {SIZES}: {error}") from error
    weights = dict(SafetensorsFile(folder / WEIGHTS))
    try:
        lm.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{folder / WEIGHTS} does not fit {SIZES}: {error}") from error
    lm.reset_buffers()
    return lm.eval(), description
