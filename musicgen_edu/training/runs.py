"""What every training loop needs: the learning rate's course, a run's state on disk, a line of progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ..files import replace_when_complete

Report = Callable[[int, dict[str, float]], None]


def learning_rate(step: int, steps: int, peak: float, warmup: int, hold: float = 0.5) -> float:
    """Linear warm-up, then constant up to the share `hold` of the run, then half a cosine down to 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = max(0.0, (step - steps * hold) / (steps * (1 - hold)))
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use this rate for the next update."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def save_run(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write everything that a run needs to go on: weights, optimizer, random state, number of steps done."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "step": step,
    }
    with replace_when_complete(path) as temporary:
        torch.save(state, temporary)


def load_run(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None) -> int:
    """Read what `save_run` wrote; returns the number of steps done. Without an optimizer only the weights are set."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
    return state["step"]


def progress_printer(every: int = 50) -> Report:
    """A report that prints each `every`-th step with the time it took."""
    begin = time.monotonic()

    def report(step: int, losses: dict[str, float]) -> None:
        if step % every == 0:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
            print(f"step {step}  {figures}  {time.monotonic() - begin:.0f} s", flush=True)

    return report
