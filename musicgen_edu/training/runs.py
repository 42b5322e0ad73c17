"""What every training loop needs: the learning rate's course, a run's state on disk, a line of progress."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..files import room_for

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


def save_run(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int, **others: Any) -> None:
    """Write everything that a run needs to go on: weights, optimizer, random state, number of steps done.

    `others` are what else changes in the run, by name: anything that has a `state_dict`.

    Raises:
        OSError: the disk is full; what stood in the file before is still there.
    """
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all(),  # one for each GPU; without one an empty list
        "step": step,
    } | {name: other.state_dict() for name, other in others.items()}
    with room_for(path, count_bytes(state)) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)


def count_bytes(state: Any) -> int:
    """The size of all tensors in nested dictionaries and lists."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    if isinstance(state, dict):
        return sum(count_bytes(value) for value in state.values())
    return sum(count_bytes(value) for value in state) if isinstance(state, list | tuple) else 0


def load_run(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None, **others: Any) -> int:
    """Read what `save_run` wrote; returns the number of steps done. Without an optimizer only the weights are set.

    Raises:
        ValueError: the run was one without one of the `others`.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    missing = [name for name in others if name not in state]
    if missing:
        raise ValueError(f"{path} is the state of a run without {missing[0]}: it cannot go on with it")
    model.load_state_dict(state["model"])
    for name, other in others.items():
        other.load_state_dict(state[name])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if len(state.get("cuda_random", ())) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all(state["cuda_random"])
    return state["step"]


def progress_bar(steps: int) -> Report:
    """A report that draws a bar with the losses and the time that is left; lines where there is no terminal."""
    if not sys.stderr.isatty():
        return progress_lines(steps)
    from tqdm import tqdm

    bar: tqdm | None = None

    def report(step: int, losses: dict[str, float]) -> None:
        nonlocal bar
        bar = bar or tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True)
        bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
        bar.update()
        if step + 1 == steps:
            bar.close()

    return report


def progress_lines(steps: int) -> Report:
    """A report that prints every 50th step and the last one, with the time it took and the time that is left.

    The losses are those of that step.
    """
    begin, first = time.monotonic(), None

    def report(step: int, losses: dict[str, float]) -> None:
        nonlocal first
        first = step if first is None else first
        if step % 50 == 0 or step + 1 == steps:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
            took = time.monotonic() - begin
            left = took / (step - first + 1) * (steps - step - 1)
            print(f"step {step}  {figures}  {took:.0f} s, {left:.0f} s left", flush=True)

    return report
