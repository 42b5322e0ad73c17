"""The generation loop: one column of codes a step, in the order of a pattern (lessons 05 and 08)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .decoder import Condition
from .finite import broken_logits
from .lm import LMConfig
from .own_state import own_state
from .patterns import check_table, holds_code, interleave, num_steps, pattern_table, undo
from .sampling import Sampling, UniformNumbers, distribution, draw, guide, guide_probabilities

Progress = Callable[[int, int], None]
LOOK_EVERY = 32  # steps after which a GPU is asked whether its logits are finite: to ask is to wait for it


class Stepper(Protocol):
    """What generation asks of a model: `MusicgenLM` has it, and so may anything else that computes its steps.

    Attributes:
        config: the sizes.
        device: where columns go and logits come from.
    """

    config: LMConfig
    device: torch.device

    def start(self, rows: int, steps: int, condition: Condition | None = None) -> Any:
        """Prepare `steps` columns of `rows` sequences; the state that `step` is given each time."""

    def step(self, columns: Tensor, state: Any) -> Tensor:
        """The next column(s) int64 [B, K, n] to logits [B, K, V] after the last of them."""


def delay_table(num_codebooks: int, frames: int, ending: str = "continue") -> Tensor:
    """The delay pattern for generating `frames` frames, with one of two endings.

    The last code of the last codebook comes K - 1 steps after that of the first. What do the other codebooks do in
    these steps? "continue" lets them go on, as they would in a longer clip, and cuts the surplus: a shorter clip is
    then exactly the beginning of a longer one. "special" fills them with the special token, as `transformers` does;
    training never shows the model such columns.
    """
    if ending not in ("continue", "special"):
        raise ValueError(f"ending must be 'continue' or 'special', not {ending!r}")
    return pattern_table("delay", num_codebooks, frames + (num_codebooks - 1 if ending == "continue" else 0))


def both_halves(condition: Condition, negative: Condition) -> Condition:
    """Two conditions of B rows each, one below the other, the shorter texts padded: 2 B rows."""
    longest = max(condition.states.shape[1], negative.states.shape[1])

    def padded(half: Condition) -> tuple[Tensor, Tensor]:
        missing = longest - half.states.shape[1]
        return F.pad(half.states, (0, 0, 0, missing)), F.pad(half.mask, (0, missing))  # [B, L, D], [B, L]

    states, masks = zip(padded(condition), padded(negative), strict=True)
    return Condition(torch.cat(states), torch.cat(masks))  # [2B, L, D], [2B, L]


def next_tokens(logits: Tensor, uniform: Tensor, sampling: Sampling, guided: bool) -> Tensor:
    """From a step's logits to its tokens: guidance, then temperature, top-k and top-p, then the draw.

    Args:
        logits: [B, K, V]; if `guided`, [2B, K, V]: the conditional half, then the unconditional one.
        uniform: [B, K], in [0, 1).

    Returns:
        tokens: int64 [B, K].
    """
    logits = logits.float()
    if guided:
        mix = guide if sampling.guidance_space == "logits" else guide_probabilities
        logits = mix(*logits.chunk(2), sampling.guidance_scale)  # [B, K, V]
    if sampling.temperature == 0:
        return logits.argmax(-1)  # [B, K]
    return draw(distribution(logits, sampling.temperature, sampling.top_k, sampling.top_p), uniform)


def check_request(
    model: Stepper, rows: int, sampling: Sampling, condition: Condition | None, negative: Condition | None
) -> None:
    """Raise a `ValueError` unless the settings make sense and each condition has a row for each of so many seeds."""
    sampling.check(model.config.codebook_size)
    if negative is not None and condition is None:
        raise ValueError("negative needs a condition beside it; that of an empty prompt will do")
    for name, given in (("condition", condition), ("negative", negative)):
        if given is not None and len(given.states) != rows:
            raise ValueError(f"{name} must have one row for each of the {rows} seeds, not {len(given.states)}")


def guided_condition(
    condition: Condition | None, negative: Condition | None, scale: float
) -> tuple[Condition | None, bool]:
    """What the model attends to, and whether it is asked twice: scale 1 needs one half only, 0 the other one."""
    if scale == 0:
        return negative, False
    guided = condition is not None and scale != 1
    return both_halves(condition, negative) if guided and negative is not None else condition, guided


def lay_out(
    table: Tensor, steps: int, rows: int, special: int, prompt: Tensor | None = None
) -> tuple[Tensor, Tensor, int]:
    """A sequence as it is before the first step.

    Args:
        table: the pattern [K, T].
        steps: S.
        rows: B.
        special: what stands in cells without a code.
        prompt: codes [B, K, P] that are known, or None.

    Returns:
        sequence: [B, K, S + 1], with the prompt in it; drawn: bool [S, K], which of its cells, but for the first
        column, are to be found; begin: the first step that has such a cell.
    """
    K = len(table)
    sequence, drawn, begin = torch.full((rows, K, steps + 1), special), holds_code(table), 0
    if prompt is not None and prompt.shape[2]:
        P = prompt.shape[2]
        known = interleave(prompt.cpu(), table[:, :P], special)
        sequence[:, :, : known.shape[2]] = known
        drawn = drawn.scatter(1, table[:, :P] + 1, False)  # [K, S + 1]
        begin = int(table[:, P:].min())
    return sequence, drawn[:, 1 : steps + 1].t(), begin


@torch.inference_mode()
def write_frames(
    model: Stepper,
    table: Tensor,
    frames: int,
    numbers: UniformNumbers,
    condition: Condition | None = None,
    sampling: Sampling = Sampling(),
    negative: Condition | None = None,
    prompt: Tensor | None = None,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """The loop of all generation: one pass over a clip, which gives each frame as soon as it is complete.

    Args:
        table: the pattern [K, at least T]; its steps are done until the first T frames are complete.
        frames: T, those of the prompt included.
        numbers: give the random numbers of the steps in which there is something to draw.
        prompt: codes [B, K, P] that the clip begins with, or None.
        others: see `generate_codes`; they are not checked here.

    Yields:
        int64 [B, K, 1] for each frame after the prompt.

    Raises:
        NotFinite: the logits are NaN or infinite; the message says where to look. On the CPU that is noticed at once,
            elsewhere within `LOOK_EVERY` steps.
    """
    rows, steps = len(numbers.generators), num_steps(table[:, :frames])
    sequence, drawn, begin = lay_out(table, steps, rows, model.config.special, prompt)
    known = 0 if prompt is None else prompt.shape[2]
    complete = {step: t for t, step in enumerate(table[:, :frames].amax(0).tolist()) if t >= known}
    table, sequence, drawn = (x.to(model.device) for x in (table, sequence, drawn))
    uniform = numbers.draw(steps - begin).to(model.device)  # [S - begin, B, K]
    condition, guided = guided_condition(condition, negative, sampling.guidance_scale)
    state = model.start(2 * rows if guided else rows, steps, condition)
    wait, largest = 1 if model.device.type == "cpu" else LOOK_EVERY, torch.zeros((), device=model.device)
    for s in range(begin, steps):
        columns = sequence[:, :, s if s > begin else 0 : s + 1]  # [B, K, 1]; in the first step [B, K, begin + 1]
        logits = model.step(torch.cat([columns, columns]) if guided else columns, state)  # [B or 2B, K, V]
        largest += logits.amax(-1).sum(dtype=torch.float32)  # finite as long as all of them are
        if ((s + 1) % wait == 0 or s + 1 == steps) and not math.isfinite(largest):
            raise broken_logits(model, None if condition is None else condition.states)
        tokens = next_tokens(logits, uniform[s - begin], sampling, guided)  # [B, K]
        sequence[:, :, s + 1] = torch.where(drawn[s], tokens, sequence[:, :, s + 1])
        if progress:
            progress(s + 1 - begin, steps - begin)
        if s in complete:
            t = complete[s]
            yield undo(sequence, table[:, t : t + 1])  # [B, K, 1]


@own_state()
def generate_codes(
    model: Stepper,
    frames: int,
    seeds: list[int],
    condition: Condition | None = None,
    sampling: Sampling = Sampling(),
    table: Tensor | None = None,
    progress: Progress | None = None,
    negative: Condition | None = None,
) -> Tensor:
    """The codes of a clip that the model can see as a whole, in any pattern.

    (`MusicGen.generate_codes` takes prompts and seconds, and goes beyond that by `continuation.stream_frames`; both
    come to `write_frames`.)

    Args:
        model: a `MusicgenLM` in evaluation mode, or what stands in for it.
        frames: T, how many frames to return.
        seeds: one for each row; a row's codes depend on its condition and its seed only.
        condition: from `model.project_text`, one row for each seed; None generates without a condition.
        sampling: guidance, temperature, top-k, top-p. Guidance of 1 runs the conditional model alone, 0 the
            unconditional one; anything else runs both, as one batch of 2 B rows.
        table: the pattern [K, at least T]; its steps are done until the first `frames` frames are complete.
            None is the delay pattern.
        progress: called after each step with the steps done and their total.
        negative: what guidance leads away from, one row for each seed: it takes the place of "no condition" in the
            unconditional half.

    Returns:
        codes: int64 [B, K, T], values 0 to V - 1.

    Raises:
        ValueError: a setting makes no sense, or the rows of the conditions and the seeds differ.
        NotFinite: see `write_frames`.
    """
    K = model.config.num_codebooks
    check_request(model, len(seeds), sampling, condition, negative)
    table = check_table(delay_table(K, frames) if table is None else table)
    numbers = UniformNumbers(seeds, K)
    made = write_frames(model, table, frames, numbers, condition, sampling, negative, progress=progress)
    return torch.cat(list(made), -1)  # [B, K, T]
