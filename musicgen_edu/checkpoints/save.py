"""Writing a model, or a codec alone, as a folder in the published format, which `transformers` loads too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..files import replace_when_complete, room_for
from ..model.encodec import EncodecModel
from ..model.finite import check_finite
from ..model.lm import MusicgenLM
from .folder import CONFIG, WEIGHTS
from .published import codec_dict, lm_dict, published_codec_name, published_names


def lm_tensors(model: MusicgenLM) -> dict[str, Tensor]:
    """The language model's weights under their published names."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        sources = published_names(name, model.config.num_codebooks)
        parts = tensor.unbind(0) if name == "embedding.tables" else tensor.chunk(len(sources))
        tensors.update(zip(sources, parts, strict=True))
    return tensors


def codec_tensors(model: EncodecModel) -> dict[str, Tensor]:
    """The codec's weights under their published names, each convolution as the two tensors of its weight norm."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        target = published_codec_name(name)
        if name.endswith(".conv.weight"):
            norm = tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.dim() - 1))
            tensors[target.removesuffix("weight") + "weight_g"] = norm
            tensors[target.removesuffix("weight") + "weight_v"] = tensor
        else:
            tensors[target] = tensor
    return tensors


def text_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The text encoder's weights under their published names; its table of words, which has two names, once."""
    state = model.state_dict()
    return {f"text_encoder.{name}": tensor for name, tensor in state.items() if name != "encoder.embed_tokens.weight"}


def text_dict(model: nn.Module) -> dict[str, Any]:
    """The `text_encoder` part of `config.json`."""
    return {"model_type": "t5", **model.config.to_diff_dict()}


def write_checkpoint(
    folder: Path, text_model, tokenizer, lm: MusicgenLM, codec: EncodecModel, dtype: torch.dtype = torch.float32
) -> None:
    """Write `config.json`, `model.safetensors`, tokenizer, generation and feature extractor configurations.

    Args:
        folder: made if it does not exist.
        text_model: a T5 encoder of `transformers`.
        tokenizer: its tokenizer.
        lm, codec: the trained parts.
        dtype: number format in the file; `config.json` asks for float32 computation whatever it is.

    Raises:
        OSError: the disk is full.
    """
    tensors = text_tensors(text_model) | lm_tensors(lm) | codec_tensors(codec)
    special = lm.config.special
    generation = {
        "bos_token_id": special,
        "pad_token_id": special,
        "decoder_start_token_id": special,
        "do_sample": True,
        "guidance_scale": 3.0,
        "top_k": 250,
        "max_length": lm.config.max_steps,
    }
    config = {
        "architectures": ["MusicgenForConditionalGeneration"],
        "model_type": "musicgen",
        "dtype": "float32",
        "is_encoder_decoder": True,
        "text_encoder": text_dict(text_model),
        "audio_encoder": codec_dict(codec.config),
        "decoder": lm_dict(lm.config),
    }
    features = {**codec_features(codec), "processor_class": "MusicgenProcessor"}
    settings = {"generation_config.json": generation, "preprocessor_config.json": features, CONFIG: config}
    write_folder(folder, tensors, settings, tokenizer, dtype)


def write_codec(folder: Path, codec: EncodecModel) -> None:
    """Write a codec alone: `config.json`, `model.safetensors` and the feature extractor's configuration.

    `musicgen_edu.checkpoints.load.read_codec` reads it back, and so does `transformers.EncodecModel.from_pretrained`.
    """
    tensors = {name.removeprefix("audio_encoder."): tensor for name, tensor in codec_tensors(codec).items()}
    config = {"architectures": ["EncodecModel"], "dtype": "float32", **codec_dict(codec.config)}
    write_folder(folder, tensors, {"preprocessor_config.json": codec_features(codec), CONFIG: config})


def codec_features(codec: EncodecModel) -> dict:
    """What `preprocessor_config.json` says of the codec's input."""
    return {
        "feature_extractor_type": "EncodecFeatureExtractor",
        "feature_size": codec.config.audio_channels,
        "sampling_rate": codec.config.sampling_rate,
        "padding_value": 0.0,
        "return_attention_mask": True,
    }


def write_folder(
    folder: Path,
    tensors: dict[str, Tensor],
    settings: dict[str, dict],
    tokenizer=None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a folder of weights, files of settings and a tokenizer.

    The old `config.json` goes first and the new one, which must be the last of `settings`, comes last: a folder that
    has it is complete.

    Raises:
        NotFinite: a weight is NaN or infinite, or becomes so in `dtype`; the folder is as it was.
        OSError: the disk is full.
    """
    from safetensors.torch import save_file

    ready = {name: tensor.detach().to("cpu", dtype, copy=True).contiguous() for name, tensor in tensors.items()}
    check_finite(ready.items(), f"nothing was written to {folder}: as {str(dtype).removeprefix('torch.')}, the weight")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    with room_for(folder / WEIGHTS, sum(tensor.nbytes for tensor in ready.values())) as temporary:
        save_file(ready, temporary, metadata={"format": "pt"})
        temporary.chmod(0o644)  # safetensors lets nobody but the owner read
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    for name, content in settings.items():
        write_json(folder / name, content)


def write_json(path: Path, content: dict) -> None:
    """Write a file of settings, whole or not at all."""
    with replace_when_complete(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
