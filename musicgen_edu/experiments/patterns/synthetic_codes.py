"""Codes that hang on each other by construction, so that the best possible model is known for every pattern.

The first codebook is a sticky Markov chain: its code stays with probability `stay`, else it jumps to any of the V - 1
others. Each next codebook copies the one above it in the same frame, through a fixed permutation: with probability
`copy` it says what the permutation says, else any of the V - 1 others. Nothing else ties two codes together:

    c[0, t-1] -> c[0, t] -> c[1, t] -> c[2, t] -> c[3, t]

So what a code costs depends only on the nearest code above it that is already known. All numbers are nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...model.patterns import check_table
from ...model.shapes import check_shape


@dataclass(frozen=True)
class StickySource:
    """The source: K codebooks of V entries, and how faithfully one code tells the next."""

    K: int = 4
    V: int = 32
    stay: float = 0.8
    copy: float = 0.85

    def __post_init__(self):
        if self.K < 1 or self.V < 2:
            raise ValueError(f"a source needs K >= 1 and V >= 2, not K = {self.K} and V = {self.V}")
        for name in ("stay", "copy"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, not be {getattr(self, name)}")

    @property
    def permutations(self) -> Tensor:
        """What codebook k says when it copies v: int64 [K, V]; row 0, for time, is the identity."""
        generator = torch.Generator().manual_seed(0)
        rows = [torch.arange(self.V), *(torch.randperm(self.V, generator=generator) for _ in range(self.K - 1))]
        return torch.stack(rows)  # [K, V]

    def draw(self, clips: int, frames: int, generator: torch.Generator) -> Tensor:
        """Codes of some clips: int64 [B, K, T]."""
        jumps = torch.randint(1, self.V, (clips, self.K, frames), generator=generator)  # to one of the others
        faithful = torch.rand(clips, self.K, frames, generator=generator) < self._agreement()[:, None]
        jumps = jumps.masked_fill(faithful, 0)  # [B, K, T]
        codes = torch.empty_like(jumps)
        first = torch.randint(self.V, (clips, 1), generator=generator)
        # A jump moves on a circle of V codes, so the chain is a running sum; its first code is any.
        codes[:, 0] = (first + jumps[:, 0].cumsum(1) - jumps[:, 0, :1]) % self.V
        for k in range(1, self.K):
            codes[:, k] = (self.permutations[k][codes[:, k - 1]] + jumps[:, k]) % self.V
        return codes

    def nats(self, codes: Tensor) -> Tensor:
        """What the true source pays for each code, in the order of the music: float64 [B, K, T]."""
        B, K, T = check_shape("codes", codes, "B K T", K=self.K)
        first = torch.full((B, 1), math.log(self.V), dtype=torch.float64)
        rows = [torch.cat([first, self._step_nats(0, codes[:, 0, 1:] == codes[:, 0, :-1])], 1)]  # [B, T]
        rows += [self._step_nats(k, codes[:, k] == self.permutations[k][codes[:, k - 1]]) for k in range(1, K)]
        return torch.stack(rows, 1)  # [B, K, T]

    def _agreement(self) -> Tensor:
        """Probability that codebook k says what it is told: [K]."""
        return torch.tensor([self.stay] + [self.copy] * (self.K - 1))

    def _step_nats(self, k: int, agrees: Tensor) -> Tensor:
        p = self.stay if k == 0 else self.copy
        nats = agrees.new_full(agrees.shape, -math.log((1 - p) / (self.V - 1)), dtype=torch.float64)
        return nats.masked_fill(agrees, -math.log(p))


def chain_nats(source: StickySource, first: int, last: int) -> float:
    """Entropy of a code of codebook `last` if the one before codebook `first` is the nearest that is known.

    Each link says what it is told with probability p and errs evenly. Two such links in a row are one more of their
    kind: with b = (V p - 1) / (V - 1), which is 1 for a perfect link and 0 for one that tells nothing, b multiplies.
    """
    b = 1.0
    for k in range(first, last + 1):
        b *= (source.V * (source.stay if k == 0 else source.copy) - 1) / (source.V - 1)
    p = (1 + (source.V - 1) * b) / source.V
    error = (1 - p) / (source.V - 1)
    return -p * math.log(p) - (1 - p) * math.log(error)


def exact_nats(source: StickySource, step: Tensor) -> Tensor:
    """What the best possible model pays for each code under a pattern, float64 [K, T].

    Args:
        source: where the codes come from.
        step: a pattern's table [K, T] in which no code comes before the one above it in its frame.

    Raises:
        ValueError: a code comes before the one that it hangs on; then more than the nearest known code counts.
    """
    K, T = check_table(step).shape
    if K != source.K or (step[1:] < step[:-1]).any():
        raise ValueError(f"expected a table of {source.K} codebooks, none of which comes before the one above it")
    nats = torch.empty(K, T, dtype=torch.float64)
    for t in range(T):
        for k in range(K):
            known = [j for j in range(k) if step[j, t] < step[k, t]]
            if known or t > 0:  # without a known code in the frame, the first codebook's one in the frame before
                nats[k, t] = chain_nats(source, max(known, default=-1) + 1, k)
            else:
                nats[k, t] = math.log(source.V)
    return nats
