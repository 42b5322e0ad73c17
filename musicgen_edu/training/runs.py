"""What every training loop needs: the learning rate's course, a run's state on disk, a line of progress."""

from __future__ import annotations

import math
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import room_for
from ..model.finite import check_finite

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
        NotFinite: something in it is NaN or infinite.
        OSError: the disk is full.

    After either, what stood in the file before is still there.
    """
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all(),  # one for each GPU; without one an empty list
        "step": step,
    } | {name: other.state_dict() for name, other in others.items()}
    check_state(model, optimizer=optimizer, **others)
    needed = sum(tensor.nbytes for _, tensor in tensors_of(state))
    with room_for(path, needed) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)


def check_state(model: torch.nn.Module, **others: Any) -> None:
    """Raise `NotFinite` if a weight, or a number of what else changes in a run, is NaN or infinite."""
    for name, other in ({"model": model} | others).items():
        check_finite(tensors_of(other.state_dict()), f"of the {name}'s state")


def tensors_of(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested dictionaries and lists, with names such as `optimizer.state.0.exp_avg`."""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, dict | list | tuple):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from tensors_of(value, f"{name}.{key}".lstrip("."))


def load_run(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None, **others: Any) -> int:
    """Read what `save_run` wrote; returns the number of steps done. Without an optimizer only the weights are set.

    Raises:
        ValueError: the file is damaged, holds numbers that are not finite, or is the state of another kind of run.
    """
    state = _read_state(path)
    missing = [name for name in others if name not in state]
    if missing:
        raise ValueError(f"{path} is the state of a run without {missing[0]}: it cannot go on with it")
    try:
        model.load_state_dict(state["model"])
        for name, other in others.items():
            other.load_state_dict(state[name])
        if optimizer is not None:
            optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random"])
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is the state of another model or optimizer: remove it to start anew") from error
    if optimizer is not None and len(state.get("cuda_random", ())) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["cuda_random"])
    return state["step"]


def _read_state(path: Path) -> dict[str, Any]:
    """The state in a file, checked as far as it can be without the model."""
    remedy = "remove it to start anew, or put back a copy"
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()  # torch does not look at the sums of its parts
        state = None if bad else torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of many kinds, by where the file is damaged
        raise ValueError(f"{path}, the state of the run, is damaged: {remedy}") from error
    whole = isinstance(state, dict) and {"model", "optimizer", "random", "step"} <= set(state)
    if not whole or type(state["step"]) is not int or state["step"] < 0:
        raise ValueError(f"{path}, the state of the run, is damaged: {remedy}")
    check_finite(tensors_of(state), f"{path} cannot be gone on with ({remedy}):")
    return state


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
