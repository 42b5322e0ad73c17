"""The generation loop: one column of codes a step, in the order of a pattern (lessons 05 and 08)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .decoder import Condition
from .lm import LMConfig
from .patterns import check_table, holds_code, interleave, num_steps, pattern_table, undo
from .sampling import Sampling, UniformNumbers, check_sampling, distribution, draw, guide, guide_probabilities

Progress = Callable[[int, int], None]


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


def check_conditions(condition: Condition | None, negative: Condition | None, rows: int) -> None:
    """Raise a `ValueError` unless each condition has a row for each seed, and a negative one something to oppose."""
    if negative is not None and condition is None:
        raise ValueError("negative needs a condition beside it; that of an empty prompt will do")
    for name, given in (("condition", condition), ("negative", negative)):
        if given is not None and len(given.states) != rows:
            raise ValueError(f"{name} must have one row for each of the {rows} seeds, not {len(given.states)}")


def run_steps(
    model: Stepper,
    table: Tensor,
    steps: int,
    numbers: UniformNumbers,
    condition: Condition | None,
    sampling: Sampling,
    negative: Condition | None = None,
    prompt: Tensor | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Fill a sequence step by step.

    Args:
        table: the pattern [K, T].
        steps: S, how many of its steps there are to be, those of the prompt included.
        numbers: give the random numbers of the steps in which there is something to draw.
        prompt: codes [B, K, P] that are known before; None is none.

    Yields:
        after each step but those of the prompt: how many are done, and the sequence [B, K, S + 1] so far.
    """
    config, rows = model.config, len(numbers.generators)
    device = model.device
    sequence = torch.full((rows, config.num_codebooks, steps + 1), config.special, device=device)
    drawn, begin = holds_code(table), 0  # [K, S + 1]: which cells are to be found
    if prompt is not None and prompt.shape[2]:
        P = prompt.shape[2]
        known = interleave(prompt, table[:, :P], config.special)
        sequence[:, :, : known.shape[2]] = known
        drawn = drawn.scatter(1, table[:, :P] + 1, False)
        begin = int(table[:, P:].min())  # the first step that is not all known
    drawn = drawn[:, 1 : steps + 1].t().to(device)  # [S, K]
    uniform = numbers.draw(steps - begin).to(device)  # [S - begin, B, K]

    guided = condition is not None and sampling.guidance_scale not in (0, 1)
    if sampling.guidance_scale == 0:
        condition = negative
    elif guided and negative is not None:
        condition = both_halves(condition, negative)
    state = model.start(2 * rows if guided else rows, steps, condition)
    for s in range(begin, steps):
        columns = sequence[:, :, s if s > begin else 0 : s + 1]  # [B, K, 1]; in the first step [B, K, begin + 1]
        logits = model.step(torch.cat([columns, columns]) if guided else columns, state)  # [B or 2B, K, V]
        tokens = next_tokens(logits, uniform[s - begin], sampling, guided)  # [B, K]
        sequence[:, :, s + 1] = torch.where(drawn[s], tokens, sequence[:, :, s + 1])
        yield s + 1, sequence


@torch.inference_mode()
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
    """Generate codes.

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
    """
    K = model.config.num_codebooks
    check_sampling(*astuple(sampling), codebook_size=model.config.codebook_size)
    check_conditions(condition, negative, len(seeds))
    table = check_table(delay_table(K, frames) if table is None else table)
    steps = num_steps(table[:, :frames])
    run = run_steps(model, table, steps, UniformNumbers(seeds, K), condition, sampling, negative)
    for done, sequence in run:  # noqa: B007, the last one is what is wanted
        if progress:
            progress(done, steps)
    return undo(sequence, table[:, :frames])  # [B, K, T]
