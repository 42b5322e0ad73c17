"""A language model in the form of audiocraft's file, for assignment 09: Meta's own file may not be shipped."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ._keys import audiocraft_keys, mapped


def audiocraft_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a published model under audiocraft's keys, queries, keys and values in one matrix.

    Args:
        tensors: keys of a MusicGen in the published format to tensors; text encoder and codec are left out.

    Returns:
        what audiocraft keeps under `best_state`.
    """
    layers = {key.split(".")[4] for key in tensors if key.startswith("decoder.model.decoder.layers.")}
    K = sum(key.startswith("decoder.lm_heads.") for key in tensors)
    return {key: torch.cat([tensors[one] for one in mapped(key)]) for key in audiocraft_keys(len(layers), K)}
