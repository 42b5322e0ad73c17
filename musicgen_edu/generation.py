"""The generation loop: one column of codes a step, in the order of a pattern (lessons 05 and 08)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from .decoder import Condition
from .lm import MusicgenLM
from .patterns import check_table, holds_code, num_steps, pattern_table, undo
from .sampling import check_sampling, distribution, draw, guide, uniform_numbers

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. The defaults are those of the MusicGen paper.

    `temperature` 0 is greedy; `top_k` 0 and `top_p` 0 switch the filter off.
    """

    guidance_scale: float = 3.0
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0


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


@torch.inference_mode()
def generate_codes(
    model: MusicgenLM,
    frames: int,
    seeds: list[int],
    condition: Condition | None = None,
    sampling: Sampling = Sampling(),
    table: Tensor | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Generate codes.

    Args:
        model: in evaluation mode.
        frames: T, how many frames to return.
        seeds: one for each row; a row's codes depend on its condition and its seed only.
        condition: from `model.project_text`, one row for each seed; None generates without a condition.
        sampling: guidance, temperature, top-k, top-p. Guidance of 1 runs the conditional model alone, 0 the
            unconditional one; anything else runs both, as one batch of 2 B rows.
        table: the pattern [K, at least T]; its steps are done until the first `frames` frames are complete.
            None is the delay pattern.
        progress: called after each step with the steps done and their total.

    Returns:
        codes: int64 [B, K, T], values 0 to V - 1.
    """
    config, rows = model.config, len(seeds)
    check_sampling(*astuple(sampling), codebook_size=config.codebook_size)
    table = check_table(delay_table(config.num_codebooks, frames) if table is None else table)
    device = model.positions.device
    steps = num_steps(table[:, :frames])
    sampled = holds_code(table)[:, 1 : steps + 1].t().to(device)  # [S, K]: which cells of a step hold a code
    uniform = uniform_numbers(seeds, steps, config.num_codebooks).to(device)  # [S, B, K]

    guided = condition is not None and sampling.guidance_scale not in (0, 1)
    if sampling.guidance_scale == 0:
        condition = None
    state = model.start(2 * rows if guided else rows, steps, condition)
    sequence = torch.full((rows, config.num_codebooks, steps + 1), config.special, device=device)
    for s in range(steps):
        column = sequence[:, :, s : s + 1]  # [B, K, 1]
        logits = model.step(torch.cat([column, column]) if guided else column, state).float()  # [B or 2B, K, V]
        if guided:
            logits = guide(*logits.chunk(2), sampling.guidance_scale)  # [B, K, V]
        if sampling.temperature == 0:
            tokens = logits.argmax(-1)  # [B, K]
        else:
            tokens = draw(distribution(logits, sampling.temperature, sampling.top_k, sampling.top_p), uniform[s])
        sequence[:, :, s + 1] = torch.where(sampled[s], tokens, config.special)
        if progress:
            progress(s + 1, steps)
    return undo(sequence, table[:, :frames])  # [B, K, T]
