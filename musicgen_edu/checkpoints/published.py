"""The published MusicGen format: the names of its tensors, and its `config.json`, read and written.

`published_names` says for each tensor of ours which tensors of the file it is made of: reading joins them, writing
cuts them apart again.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..model.settings import EncodecConfig, LMConfig
from .folder import CONFIG, read_json

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


def published_codec_name(name: str) -> str:
    """The published name of a tensor of `EncodecModel`; weight norm puts two tensors in the place of one."""
    return "audio_encoder." + re.sub(r"^(quantizer\.layers\.\d+)\.", r"\1.codebook.", name)


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a MusicGen folder.

    Raises:
        CheckpointError: there is none, or it describes another model.
    """
    config = read_json(folder / CONFIG)
    missing = [part for part in ("text_encoder", "audio_encoder", "decoder") if not isinstance(config.get(part), dict)]
    if config.get("model_type") != "musicgen" or missing:
        found = config.get("model_type", "none")
        raise CheckpointError(
            f"{folder / CONFIG} does not describe a MusicGen: expected model_type musicgen, found {found}"
        )
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


LM_FIELDS = {  # ours: theirs, and what transformers assumes where a published config.json leaves it out
    "dim": ("hidden_size", 1024),
    "num_heads": ("num_attention_heads", 16),
    "layers": ("num_hidden_layers", 24),
    "feed_forward": ("ffn_dim", 4096),
    "num_codebooks": ("num_codebooks", 4),
    "codebook_size": ("vocab_size", 2048),
    "max_steps": ("max_position_embeddings", 2048),
}


def lm_config(config: dict) -> LMConfig:
    """Our configuration from a whole published `config.json`."""
    decoder, text_dim = config["decoder"], config["text_encoder"].get("d_model", 512)
    if decoder.get("activation_function", "gelu") != "gelu" or decoder.get("scale_embedding", False):
        raise CheckpointError("this decoder scales its embeddings or does not use GELU: it is not MusicGen's")
    sizes = {ours: decoder.get(theirs, default) for ours, (theirs, default) in LM_FIELDS.items()}
    projections = 0 if text_dim == sizes["dim"] else 1  # none without a change of width
    return LMConfig(**sizes, text_dim=text_dim, text_layers=projections)


def codec_dict(config: EncodecConfig) -> dict:
    """The `audio_encoder` part of `config.json`."""
    unit = math.ceil(config.frame_rate) * math.ceil(math.log2(config.codebook_size))  # as `codec_config` counts
    bandwidth = config.num_codebooks * unit / 1000
    while int(1000 * bandwidth // unit) < config.num_codebooks:  # 1000 * (1001 / 1000) is less than 1001
        bandwidth = math.nextafter(bandwidth, math.inf)
    return {
        "model_type": "encodec",
        **{name: getattr(config, name) for name in CODEC_DEFAULTS},
        "upsampling_ratios": list(config.upsampling_ratios),
        "codebook_dim": config.hidden_size,
        "target_bandwidths": [bandwidth],
        "norm_type": "weight_norm",
        "normalize": False,
        "chunk_length_s": None,
        "overlap": None,
    }


def lm_dict(config: LMConfig) -> dict:
    """The `decoder` part of `config.json`."""
    return {
        "model_type": "musicgen_decoder",
        **{theirs: getattr(config, ours) for ours, (theirs, _) in LM_FIELDS.items()},
        "audio_channels": 1,
        "activation_function": "gelu",
        "scale_embedding": False,
        "dropout": 0.0,
        "bos_token_id": config.special,
        "pad_token_id": config.special,
        "tie_word_embeddings": False,
    }
