"""Which optimizer trains which weights of a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from .lm import LMTraining, TextToCodes


def make_optimizers(model: TextToCodes, settings: LMTraining) -> tuple[torch.optim.Optimizer, dict]:
    """AdamW, and what else is needed by name: with `muon`, Muon for the matrices of all layers but the heads."""
    matrices = []
    if settings.muon:
        linear = (
            module for module in model.modules() if isinstance(module, nn.Linear) and module is not model.lm.heads
        )
        matrices = [module.weight for module in linear]
    others = {}
    if matrices:
        others["muon"] = torch.optim.Muon(
            matrices, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw"
        )  # its update then has the size of AdamW's, so one rate serves both
    taken = set(map(id, matrices))
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    return torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=settings.weight_decay), others
