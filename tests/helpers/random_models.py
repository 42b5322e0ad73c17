"""Small language models of random weights in which every part matters: no norm of ones, no bias of zeros."""

from __future__ import annotations

import torch

from musicgen_edu.model.decoder import Condition, LayerCondition
from musicgen_edu.model.lm import LMConfig, MusicgenLM

SIZES = {
    "dim": 32, "num_heads": 4, "layers": 3, "feed_forward": 48, "codebook_size": 16, "text_dim": 20, "max_steps": 16,
}  # fmt: skip


def random_lm(noise: float = 0.1, **changes) -> MusicgenLM:
    """`noise` is added to each parameter as PyTorch begins it."""
    model = MusicgenLM(LMConfig(**{**SIZES, **changes})).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(noise * torch.randn_like(parameter))
    return model


def random_conditions(model: MusicgenLM, rows: int) -> list[LayerCondition | None]:
    """Of each layer. The first row has no words, the others more and more; no rows: no condition."""
    if not rows:
        return model.decoder.prepare(None)
    mask = torch.arange(7) < torch.arange(rows)[:, None]
    return model.decoder.prepare(Condition(torch.randn(rows, 7, model.config.dim), mask))
