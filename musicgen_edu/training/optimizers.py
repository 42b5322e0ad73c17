"""Which optimizer trains which weights of a language model."""

from __future__ import annotations

import torch
from torch import nn


def make_optimizers(model: nn.Module, weight_decay: float, muon: bool) -> dict[str, torch.optim.Optimizer]:
    """AdamW as "optimizer"; with `muon` also Muon as "muon", for the matrices of all layers but the heads.

    Muon's update is scaled to the size of AdamW's, so one learning rate serves both.

    Args:
        model: a language model, alone or with its text encoder.
        weight_decay: of both.
        muon: train matrices by Muon (Jordan 2024).
    """
    linear = {name: module.weight for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    matrices = [weight for name, weight in linear.items() if muon and name.rpartition(".")[2] != "heads"]
    taken = set(map(id, matrices))
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    optimizers = {"optimizer": torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=weight_decay)}
    if matrices:
        optimizers["muon"] = torch.optim.Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return optimizers
