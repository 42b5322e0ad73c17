"""A language model in the form of audiocraft's file, for assignment 09: Meta's own file may not be shipped."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...checkpoints.audiocraft import published_lm

TEXT = "condition_provider.conditioners.description.output_proj"
NORMS = {"norm1": "self_attn_layer_norm", "norm_cross": "encoder_attn_layer_norm", "norm2": "final_layer_norm"}


def audiocraft_keys(layers: int, K: int) -> list[str]:
    """Every key of a language model in audiocraft's file."""
    within = [f"{attention}.{part}" for attention in ("self_attn", "cross_attention") for part in
              ("in_proj_weight", "out_proj.weight")]  # fmt: skip
    within += ["linear1.weight", "linear2.weight"]
    within += [f"{norm}.{kind}" for norm in NORMS for kind in ("weight", "bias")]
    keys = [f"{stem}.{k}.weight" for stem in ("emb", "linears") for k in range(K)]
    keys += [f"transformer.layers.{i}.{one}" for i in range(layers) for one in within]
    return keys + [f"{stem}.{kind}" for stem in ("out_norm", TEXT) for kind in ("weight", "bias")]


def audiocraft_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a published model under audiocraft's keys, queries, keys and values in one matrix.

    Args:
        tensors: keys of a MusicGen in the published format to tensors; text encoder and codec are left out.

    Returns:
        what audiocraft keeps under `best_state`.
    """
    layers = {key.split(".")[4] for key in tensors if key.startswith("decoder.model.decoder.layers.")}
    K = sum(key.startswith("decoder.lm_heads.") for key in tensors)
    names = {key: list(published_lm({key: torch.zeros(3)})) for key in audiocraft_keys(len(layers), K)}
    return {key: torch.cat([tensors[one] for one in several]) for key, several in names.items()}
