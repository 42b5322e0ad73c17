"""Numbers that are none any more, NaN and infinity: found before they are trained on, written or played."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..errors import NotFinite


def all_finite(tensor: Tensor) -> bool:
    """Whether no number of a tensor in floating point is NaN or infinite."""
    # A sum costs a fortieth of `isfinite`, and what is not finite stays so in it. Sums may also overflow: then look.
    return math.isfinite(tensor.sum()) or bool(tensor.isfinite().all())


def first_broken(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor that holds NaN or infinity, or None. Integers are always finite."""
    found = (name for name, tensor in tensors if tensor.is_floating_point() and not all_finite(tensor))
    return next(found, None)


def check_finite(tensors: Iterable[tuple[str, Tensor]], what: str = "the weight") -> None:
    """Raise `NotFinite` with the name of the first tensor that holds NaN or infinity."""
    name = first_broken(tensors)
    if name is not None:
        raise NotFinite(f"{what} {name} holds NaN or infinite numbers")


def broken_logits(model: object, states: Tensor | None) -> NotFinite:
    """The error for logits that are not finite, which says where to look.

    Args:
        model: what gave them. The weights are looked through if it is a module, or holds one as `model`.
        states: what it was told of the text, [B, L, D], or None.
    """
    module = getattr(model, "model", model)
    parameters = module.named_parameters() if isinstance(module, nn.Module) else ()
    name = first_broken(parameters)
    if name is not None:
        cause = f"its weight {name} holds NaN or infinite numbers: train it again, or get its files anew"
    elif states is not None and not bool(torch.isfinite(states).all()):
        cause = "what it is told of the text holds NaN or infinite numbers: look at the text encoder"
    else:
        cause = "no weight is broken, so they outgrow the number format: load the model in float32"
    return NotFinite(f"the model cannot be played, its logits are not finite: {cause}")
