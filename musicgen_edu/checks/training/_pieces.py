"""What exercise 5 is tried on: batches in pieces, an optimizer that counts, a model that tells what is done with it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

Piece = tuple[Tensor, Tensor, Tensor]


def some_pieces(counts: list[int], n: int = 6, D: int = 4, V: int = 5, generator: torch.Generator | None = None):
    """Pieces of n positions each, of which the first `counts` are valid; what the others hold would cost a lot."""
    found = []
    for count in counts:
        valid = torch.arange(n) < count
        x = torch.randn(n, D, generator=generator) * (1 + 2 * ~valid[:, None])
        found.append((x, torch.randint(V, (n,), generator=generator), valid))
    return found


def some_clips(sizes: list[tuple[int, ...]], D: int = 4, V: int = 5) -> list[Piece]:
    """Pieces as clips give them: several axes, other lengths, and the special token V where nothing counts."""
    found = []
    for i, size in enumerate(sizes):
        valid = (torch.arange(math.prod(size)) % 3 != i).view(size)
        found.append((torch.randn(*size, D), torch.randint(V, size).where(valid, V), valid))
    return found


class Counting(torch.optim.SGD):
    """An optimizer that writes down when it steps."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        return super().step(closure)


class Listening(nn.Linear):
    """A layer whose answer at a position depends on those before it, as that of a language model does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.cumsum(-2))


class Watched(nn.Module):
    """A linear layer that writes down what is done with it: reads n (so many rows) and backward."""

    def __init__(self):
        super().__init__()
        self.inner, self.said = nn.Linear(4, 5), []

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        self.said.append(f"reads {len(x)}{'' if y.requires_grad else ' without a graph'}")
        if y.requires_grad:
            y.register_hook(lambda gradient: self.said.append("backward"))
        return y

    def get_extra_state(self) -> list[str]:  # so that two answers are told apart by it
        return list(self.said)

    def set_extra_state(self, state: list[str]) -> None:
        self.said = list(state)
