"""From logits to a token: guidance, temperature, top-k, top-p (lesson 08)."""

from __future__ import annotations

import torch
from torch import Tensor

from .settings import Sampling as Sampling  # where it is looked for
from .values import shown, whole_number


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance in logits: unconditional + scale * (conditional - unconditional).

    Scale 0 is the unconditional model, 1 the conditional one, more exaggerates what the text changes.
    (Ho and Salimans 2022, arXiv 2207.12598, eq. 6, with scale = w + 1.)
    """
    return unconditional + scale * (conditional - unconditional)


def guide_probabilities(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
    """Guidance in probabilities: the logarithm of gamma * P_conditional + (1 - gamma) * P_unconditional.

    A mixture lies between the two models: gamma 0 is the unconditional one, 1 the conditional one, and no gamma
    exaggerates. (A student project on MusicCaps that the course retells used 0.2.) The logarithms are added without
    leaving them, so a token that is too unlikely for a float32 probability keeps its place in the order.

    Args:
        conditional, unconditional: logits [..., V].
        gamma: share of the conditional model, 0 to 1.

    Returns:
        log-probabilities [..., V], float32; they serve as logits.

    Raises:
        ValueError: gamma is not a share.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma is the share of the conditional model: it must be 0 to 1, not {gamma}")
    share = torch.tensor(gamma, dtype=torch.float32, device=conditional.device)
    return torch.logaddexp(
        share.log() + conditional.float().log_softmax(-1), (1 - share).log() + unconditional.float().log_softmax(-1)
    )


def distribution(logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 0.0) -> Tensor:
    """The probabilities that a token is drawn from.

    Args:
        logits: [..., V].
        temperature: divides the logits; 0 puts everything on the largest one.
        top_k: keep only the k most likely tokens (ties with the k-th stay too); 0 keeps all, and so does V or more.
        top_p: keep only the most likely tokens that together reach this probability, of what top-k has left;
            0 keeps all.

    Returns:
        probabilities [..., V], float32, which sum to 1.
    """
    logits = logits.float()
    if temperature == 0:
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    probabilities = ((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1)  # at most 0: no overflow
    if top_k:
        smallest = probabilities.topk(min(top_k, logits.shape[-1]), -1, sorted=False).values.amin(-1, keepdim=True)
        probabilities = probabilities.where(probabilities >= smallest, 0.0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    if top_p:
        ordered, index = probabilities.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered  # what the more likely tokens reach together
        probabilities = probabilities.scatter(-1, index, ordered.where(before < top_p, 0.0))
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    return probabilities


def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Inverse-transform sampling: the first token at which the running sum exceeds a uniform number.

    One number decides one token, so a row's music depends on its own numbers only, wherever it stands in a batch.

    Args:
        probabilities: [..., V].
        uniform: [...], in [0, 1).

    Returns:
        tokens: int64 [...]; never one of probability 0.
    """
    device = probabilities.device
    if device.type == "mps":  # which has no float64
        probabilities, uniform = probabilities.cpu(), uniform.cpu()
    running = probabilities.double().cumsum(-1)  # [..., V]
    threshold = uniform.double().unsqueeze(-1) * running[..., -1:]
    return (running <= threshold).sum(-1).to(device)


class UniformNumbers:
    """The random numbers of a generation, each row from its own seed, as many steps at a time as are asked for.

    They are drawn step by step on the CPU, so fewer steps give the beginning of more steps, on every device.

    Args:
        seeds: one for each row.
        num_codebooks: K.
    """

    def __init__(self, seeds: list[int], num_codebooks: int):
        self.generators = [torch.Generator("cpu").manual_seed(check_seed(seed)) for seed in seeds]
        self.num_codebooks = num_codebooks

    def draw(self, steps: int) -> Tensor:
        """The numbers of the next steps: float32 [S, B, K]."""
        shape = (steps, self.num_codebooks)
        return torch.stack([self._uniform(shape, generator) for generator in self.generators], 1)  # [S, B, K]

    @staticmethod
    def _uniform(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")


def check_seed(seed: int) -> int:
    """A seed as Python's own integer; raises a `ValueError` unless it is whole and has at most 64 bits."""
    whole = whole_number("seed", seed)
    if not -(2**63) <= whole < 2**64:
        raise ValueError(f"seed must be a whole number from -2^63 to 2^64 - 1, not {shown(seed)}")
    return whole


def uniform_numbers(seeds: list[int], steps: int, num_codebooks: int) -> Tensor:
    """The random numbers of a generation of so many steps: float32 [S, B, K], each row from its own seed."""
    return UniformNumbers(seeds, num_codebooks).draw(steps)
