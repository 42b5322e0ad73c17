"""The published MusicGen format: the names of its tensors, and its `config.json`, read and written.

`published_names` says for each tensor of ours which tensors of the file it is made of: reading joins them, writing
cuts them apart again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import CheckpointError
from ..model.limits import CODEC_RULES, LM_RULES, Rule, fault_of, number, one_of, several, whole
from ..model.settings import EncodecConfig, LMConfig
from ..model.values import shown
from .folder import CONFIG, read_json

Config = TypeVar("Config", EncodecConfig, LMConfig)
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
    if config.get("model_type") != "musicgen":
        found = shown(config.get("model_type", "none")).strip("'")
        raise CheckpointError(
            f"{folder / CONFIG} does not describe a MusicGen: expected model_type musicgen, found {found}"
        )
    for part in ("text_encoder", "audio_encoder", "decoder"):
        part_of(config, part, str(folder / CONFIG))
    return config


def part_of(config: dict, part: str, where: str) -> dict[str, Any]:
    """One of the dictionaries that a configuration consists of; `where` names the file in errors."""
    found = config.get(part)
    if not isinstance(found, dict):
        raise CheckpointError(f"{where}: {part} must hold the settings of that part, not {shown(found)}")
    return found


def check_settings(where: str, settings: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Raise a `CheckpointError` that names the file, the field, what it must hold, and what it holds."""
    fault = fault_of(settings, rules)
    if fault:
        raise CheckpointError(f"{where}: {fault[0]} {fault[1]}")


def checked(config: Config, where: str) -> Config:
    """The sizes of a model, if there can be such a model; else a `CheckpointError` that names the file and why not."""
    try:
        config.check()
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from error
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


PUBLISHED_CODEC_RULES = {
    **{name: CODEC_RULES[name] for name in CODEC_DEFAULTS},
    "target_bandwidths": several(number(0.001, 100000), 64),  # kbit/s
    "normalize": one_of(False, None),  # from here on: MusicGen's EnCodec is of one kind
    "chunk_length_s": one_of(None),
    "norm_type": one_of("weight_norm"),
}


def codec_config(config: dict, where: str = "audio_encoder") -> EncodecConfig:
    """Our configuration from the `audio_encoder` part of a published `config.json`; `where` names it in errors."""
    check_settings(where, config, PUBLISHED_CODEC_RULES)
    values = {name: config.get(name, default) for name, default in CODEC_DEFAULTS.items()}
    values["upsampling_ratios"] = tuple(values["upsampling_ratios"])
    frame_rate = math.ceil(values["sampling_rate"] / math.prod(values["upsampling_ratios"]))
    bits = math.ceil(math.log2(values["codebook_size"]))
    bandwidth = config.get("target_bandwidths", [1.5, 3.0, 6.0, 12.0, 24.0])[-1]
    num_codebooks = int(1000 * bandwidth // (frame_rate * bits))
    if num_codebooks < 1:
        raise CheckpointError(
            f"{where}: target_bandwidths must end in {frame_rate * bits / 1000:g} or more, the kbit/s of one codebook, "
            f"not in {bandwidth}"
        )
    return checked(EncodecConfig(**values, num_codebooks=num_codebooks), where)


LM_FIELDS = {  # ours: theirs, and what transformers assumes where a published config.json leaves it out
    "dim": ("hidden_size", 1024),
    "num_heads": ("num_attention_heads", 16),
    "layers": ("num_hidden_layers", 24),
    "feed_forward": ("ffn_dim", 4096),
    "num_codebooks": ("num_codebooks", 4),
    "codebook_size": ("vocab_size", 2048),
    "max_steps": ("max_position_embeddings", 2048),
}


DECODER_RULES = {
    **{theirs: LM_RULES[ours] for ours, (theirs, _) in LM_FIELDS.items()},
    "activation_function": one_of("gelu"),
    "scale_embedding": one_of(False),
    "audio_channels": one_of(1, 2),
}


def lm_config(config: dict, where: str = CONFIG) -> LMConfig:
    """Our configuration from a whole published `config.json`; `where` names it in errors."""
    decoder, text = part_of(config, "decoder", where), part_of(config, "text_encoder", where)
    check_settings(f"{where}, decoder", decoder, DECODER_RULES)
    check_settings(f"{where}, text_encoder", text, {"d_model": LM_RULES["text_dim"]})
    sizes = {ours: decoder.get(theirs, default) for ours, (theirs, default) in LM_FIELDS.items()}
    text_dim = text.get("d_model", 512)
    projections = 0 if text_dim == sizes["dim"] else 1  # none without a change of width
    return checked(LMConfig(**sizes, text_dim=text_dim, text_layers=projections), f"{where}, decoder")


TEXT_RULES = {  # of a T5's configuration what an encoder has; the rest is of no use to it
    "vocab_size": whole(1, 2**22),
    "d_model": LM_RULES["text_dim"],
    "d_kv": whole(1, 65536),
    "d_ff": whole(1, 2**20),
    "num_layers": whole(1, 1000),
    "num_heads": whole(1, 1024),
    "relative_attention_num_buckets": whole(4, 65536),
    "relative_attention_max_distance": whole(2, 2**20),
    "layer_norm_epsilon": number(1e-12, 1),
    "dropout_rate": number(0, 1),
    "feed_forward_proj": one_of(*(f"{gate}{name}" for gate in ("", "gated-") for name in ("relu", "gelu", "silu"))),
}


def text_config(config: dict, where: str = "text_encoder") -> dict[str, Any]:
    """The settings that a T5 encoder needs, from the `text_encoder` part; `where` names it in errors."""
    settings = {name: config[name] for name in TEXT_RULES if name in config}
    check_settings(where, settings, TEXT_RULES)
    buckets = settings.get("relative_attention_num_buckets", 32)
    if settings.get("relative_attention_max_distance", 128) <= buckets // 4:
        raise CheckpointError(f"{where}: relative_attention_max_distance must be more than {buckets // 4}")
    return settings


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
