"""Validation: what a model pays for each codebook of music that it is not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .layout import Batch, make_update, pattern_loss
from .processes import ALONE, Processes
from .text_to_codes import TextToCodes


@dataclass(frozen=True)
class Validation:
    """Held-out batches, the same ones each time, and how many updates there are between two validations."""

    batches: Sequence[Batch]
    every: int = 250

    def due(self, step: int, steps: int) -> bool:
        """Whether to validate after this step; always after the last one."""
        return (step + 1) % self.every == 0 or step + 1 == steps


@torch.no_grad()
def validation_nats(
    model: TextToCodes, batches: Sequence[Batch], pattern: str = "delay", processes: Processes = ALONE
) -> Tensor:
    """Cross-entropy per codebook over all valid positions of all batches: float64 [K], nats per code.

    Captions are whole, none is dropped, and the model is in evaluation mode; it is left in the mode it was in.

    Args:
        model: text and sequence to logits.
        batches: codes, captions and, where rows have padding, lengths.
        pattern: that the model was trained with.
        processes: share the batches among them.

    Raises:
        ValueError: there are no batches.
    """
    if not batches:
        raise ValueError("there is nothing to validate on: the list of batches is empty")
    config, device, was_training = model.lm.config, model.lm.heads.weight.device, model.training
    sums = torch.zeros(2, config.num_codebooks, dtype=torch.float64, device=device)  # nats, targets
    model.eval()
    for batch in batches[processes.index :: processes.count]:
        update = make_update(Batch(*batch), pattern, config.special).to(device)
        nats = pattern_loss(model, replace(update, counts=torch.ones_like(update.counts)))[1]  # [K], sums
        sums += torch.stack([nats.double(), update.counts.double()])
    model.train(was_training)
    nats, targets = processes.sum(sums)
    return nats / targets  # [K]
