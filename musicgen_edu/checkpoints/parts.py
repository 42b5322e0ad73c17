"""The three parts of a MusicGen in a published folder: their sizes, and where their tensors are read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..model.settings import EncodecConfig, LMConfig
from .folder import CONFIG, read_json
from .published import codec_config, lm_config, read_config, text_config
from .weights import StateReader, open_state


@dataclass
class Checkpoint:
    """Where the three parts of a MusicGen are read from.

    Attributes:
        lm, codec, text: their tensors, under the names of the published format; they may be the same reader.
        lm_config, codec_config: their sizes.
        text_config: of a T5, the settings that its encoder needs (`published.TEXT_RULES`).
        tokenizer: the folder with the tokenizer's files.
    """

    lm: StateReader
    codec: StateReader
    text: StateReader
    lm_config: LMConfig
    codec_config: EncodecConfig
    text_config: dict[str, Any]
    tokenizer: Path

    def __post_init__(self):
        lm, codec = self.lm_config, self.codec_config
        if (lm.num_codebooks, lm.codebook_size) != (codec.num_codebooks, codec.codebook_size):
            raise CheckpointError(
                f"{self.lm.where}: the language model has {lm.num_codebooks} codebooks of {lm.codebook_size}, the "
                f"codec {codec.num_codebooks} of {codec.codebook_size}; the stereo models, which have twice as many, "
                "are not supported yet"
            )


def open_published(folder: Path) -> Checkpoint:
    """A folder in the published format; all settings are looked at before a tensor is."""
    config, where = read_config(folder), str(folder / CONFIG)
    sizes = lm_config(config, where), codec_config(config["audio_encoder"], f"{where}, audio_encoder")
    text, state = text_config(config["text_encoder"], f"{where}, text_encoder"), open_state(folder)
    return Checkpoint(state, state, state, *sizes, text, folder)


def open_codec(folder: Path) -> tuple[StateReader, EncodecConfig]:
    """The codec in the folder of a codec or of a MusicGen: its tensors under `audio_encoder.`, and its sizes."""
    config, where = read_json(folder / CONFIG), str(folder / CONFIG)
    if config.get("model_type") == "encodec":
        sizes = codec_config(config, where)
        return open_state(folder, under="audio_encoder."), sizes
    sizes = codec_config(read_config(folder)["audio_encoder"], f"{where}, audio_encoder")
    return open_state(folder, "audio_encoder."), sizes


def open_text(folder: Path) -> tuple[StateReader, dict[str, Any]]:
    """The text encoder in the folder of a T5 or of a MusicGen: its tensors under `text_encoder.`, its configuration."""
    config, where = read_json(folder / CONFIG), str(folder / CONFIG)
    if config.get("model_type") == "t5":
        settings = text_config(config, where)
        return open_state(folder, "encoder.", "shared.", under="text_encoder."), settings
    if config.get("model_type") == "musicgen":
        settings = text_config(read_config(folder)["text_encoder"], f"{where}, text_encoder")
        return open_state(folder, "text_encoder."), settings
    raise CheckpointError(f"{folder} is neither a T5 nor a MusicGen: its model_type is {config.get('model_type')}")
