"""The balancer of EnCodec: a loss's weight is its share of the gradient, whatever the loss's own scale.

Source: Défossez et al. 2022 (EnCodec, arXiv 2210.13438), section 3.4, equation 5.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Balancer:
    """Rescales the gradient of each loss with respect to the model's output, and sends their sum back through it.

    With g_i the gradient of loss i and <|g_i|> a moving average of its norm, what is sent back is
    sum_i R * w_i / (w_1 + w_2 + ...) * g_i / <|g_i|>.

    Args:
        weights: name of a loss to its weight w_i; only their ratios count.
        decay: of the moving averages.
        total_norm: R.
    """

    def __init__(self, weights: Mapping[str, float], decay: float = 0.999, total_norm: float = 1.0):
        bad = [name for name, weight in weights.items() if weight < 0]
        if bad or not sum(weights.values()) > 0:
            raise ValueError(f"weights must be 0 or more, and one of them more, but they are {dict(weights)}")
        self.weights, self.decay, self.total_norm = dict(weights), decay, total_norm
        self.sums: dict[str, Tensor] = {}  # moving sum of the norms, and of the ones that it is divided by:
        self.counts: dict[str, float] = {}  # so the average is right from the first step on

    def average_norm(self, name: str, norm: Tensor) -> Tensor:
        """Put a new norm into the moving average of a loss, and return the average."""
        self.sums[name] = self.decay * self.sums.get(name, torch.zeros_like(norm)).to(norm.device) + norm
        self.counts[name] = self.decay * self.counts.get(name, 0.0) + 1
        return self.sums[name] / self.counts[name]

    def backward(self, losses: Mapping[str, Tensor], output: Tensor) -> dict[str, float]:
        """Send the balanced gradient back from the model's output; losses that are not given have no share.

        A loss that does not depend on the output (the commitment loss) has to be sent back by itself, before this.

        Args:
            losses: name to scalar; each computed from `output`.
            output: what the model has made, part of its graph.

        Returns:
            the norm of each loss's own gradient, before the balancing.

        Raises:
            ValueError: a loss has no weight.
        """
        unknown = sorted(set(losses) - set(self.weights))
        if unknown:
            raise ValueError(f"the loss {unknown[0]!r} has no weight; there are {', '.join(self.weights)}")
        used = {name: loss for name, loss in losses.items() if self.weights[name] > 0}
        share = self.total_norm / sum(self.weights[name] for name in used)
        total, norms = torch.zeros_like(output), {}
        for name, loss in used.items():
            (gradient,) = torch.autograd.grad(loss, output, retain_graph=True)
            norms[name] = gradient.norm()
            total += self.weights[name] * share * gradient / self.average_norm(name, norms[name]).clamp(min=1e-12)
        output.backward(total)
        return {name: norm.item() for name, norm in norms.items()}

    def state_dict(self) -> dict:
        """The moving averages."""
        return {"sums": dict(self.sums), "counts": dict(self.counts)}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` gave."""
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])
