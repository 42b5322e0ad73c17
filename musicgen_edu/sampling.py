"""From logits to a token: guidance, temperature, top-k, top-p (lesson 08)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .shapes import check_shape


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance in logits: unconditional + scale * (conditional - unconditional).

    Scale 0 is the unconditional model, 1 the conditional one, more exaggerates what the text changes.
    (Ho and Salimans 2022, arXiv 2207.12598, eq. 6, with scale = w + 1.)
    """
    return unconditional + scale * (conditional - unconditional)


def check_sampling(guidance_scale: float, temperature: float, top_k: int, top_p: float, codebook_size: int) -> None:
    """Raise a `ValueError` that names the setting which makes no sense."""
    if not math.isfinite(guidance_scale):
        raise ValueError(f"guidance_scale must be a finite number, not {guidance_scale}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be 0 (greedy) or a positive number, not {temperature}")
    if not 0 <= top_k <= codebook_size:
        raise ValueError(f"top_k must be 0 (off) to the codebook size {codebook_size}, not {top_k}")
    if not 0 <= top_p <= 1:
        raise ValueError(f"top_p must be 0 (off) to 1, not {top_p}")


def distribution(logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 0.0) -> Tensor:
    """The probabilities that a token is drawn from.

    Args:
        logits: [..., V].
        temperature: divides the logits; 0 puts everything on the largest one.
        top_k: keep only the k most likely tokens (ties with the k-th stay too); 0 keeps all.
        top_p: keep only the most likely tokens that together reach this probability; 0 keeps all.

    Returns:
        probabilities [..., V], float32, which sum to 1.
    """
    logits = logits.float()
    if temperature == 0:
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    probabilities = (logits / temperature).softmax(-1)
    if top_k:
        smallest = probabilities.topk(top_k, -1, sorted=False).values.amin(-1, keepdim=True)
        probabilities = probabilities.where(probabilities >= smallest, 0.0)
    if top_p:
        ordered, index = probabilities.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered  # what the more likely tokens reach together
        probabilities = probabilities.scatter(-1, index, ordered.where(before < top_p, 0.0))
    return probabilities / probabilities.sum(-1, keepdim=True) if top_k or top_p else probabilities


def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Inverse-transform sampling: the first token at which the running sum exceeds a uniform number.

    One number decides one token, so a row's music depends on its own numbers only, wherever it stands in a batch.

    Args:
        probabilities: [..., V].
        uniform: [...], in [0, 1).

    Returns:
        tokens: int64 [...]; never one of probability 0.
    """
    running = probabilities.double().cumsum(-1)  # [..., V]
    threshold = uniform.double().unsqueeze(-1) * running[..., -1:]
    return (running <= threshold).sum(-1)


def uniform_numbers(seeds: list[int], steps: int, num_codebooks: int) -> Tensor:
    """The random numbers of a generation: float32 [S, B, K], each row from its own seed.

    They are drawn step by step on the CPU, so fewer steps give the beginning of more steps, on every device.
    """
    rows = [
        torch.rand(steps, num_codebooks, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
        for seed in seeds
    ]
    numbers = torch.stack(rows, 1)  # [S, B, K]
    check_shape("uniform numbers", numbers, "S B K", S=steps, B=len(seeds), K=num_codebooks)
    return numbers
