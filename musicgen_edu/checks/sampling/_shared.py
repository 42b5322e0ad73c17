"""What the exercises of this assignment share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ... import figures
from ...model.decoder import Condition
from ...model.lm import LMConfig, MusicgenLM
from ...model.patterns import holds_code, num_steps, pattern_table, undo
from ...model.sampling import Sampling, uniform_numbers
from .. import expect, expect_close, expect_tensor


def random_rows(*shape: int, generator: torch.Generator | None = None) -> Tensor:
    """Random probabilities [..., V], none of them zero and none very large."""
    return torch.randn(*shape, generator=generator).softmax(-1)


def expect_distributions(value: Any, shape: tuple[int, ...], what: str) -> None:
    """Expect float32 [..., V] of that shape: no number below 0, and every row sums to 1."""
    expect_tensor(value, shape, torch.float32, f"{what}: the result")
    expect((value >= 0).all(), f"{what}: probabilities of at least 0 are expected, not {value.min().item():.3g}")
    expect_close(value.sum(-1), torch.ones(shape[:-1]), f"{what}: the sums of the rows")


def two_distributions(target: Tensor, yours: Tensor, what: str) -> figures.Picture:
    """The first row of two results [..., V] as pairs of bars."""
    figure, axes = figures.new_figure(8.4, 2.6)
    target, yours = (one.detach().float().reshape(-1, one.shape[-1])[0] for one in (target, yours))
    for name, row, shift, colour in (("target", target, -0.2, figures.GREY), ("yours", yours, 0.2, figures.LIT)):
        axes.bar(torch.arange(len(row)) + shift, row.numpy(), 0.4, color=colour, label=name)
    axes.set(xlabel="token", ylabel=what)
    axes.set_xticks(range(len(target)))
    axes.legend(frameon=False)
    return figures.figure_picture(figure, f"{what} of each token in the first row: target beside yours")


def small_model() -> MusicgenLM:
    """Random weights, large enough for the text to change the order of the tokens."""
    model = MusicgenLM(LMConfig(dim=16, num_heads=2, layers=1, feed_forward=24, num_codebooks=2, codebook_size=12,
                                text_dim=6, max_steps=16)).eval()  # fmt: skip
    with torch.no_grad():
        for weights in model.parameters():
            weights.normal_(std=0.4)
    return model


@torch.no_grad()
def generate_with(
    answer: Callable, model: MusicgenLM, frames: int, seeds: list[int], condition: Condition, sampling: Sampling
) -> Tensor:
    """The library's generation with the student's step: codes [B, K, T]."""
    B, K, table = len(seeds), model.config.num_codebooks, pattern_table("delay", model.config.num_codebooks, frames)
    steps, filled = num_steps(table), holds_code(table)  # filled: [K, S + 1]
    uniform, state = uniform_numbers(seeds, steps, K), model.start(2 * B, steps, condition)
    sequence = torch.full((B, K, steps + 1), model.config.special)
    for s in range(steps):
        logits = model.step(sequence[:, :, s : s + 1].repeat(2, 1, 1), state)  # [2B, K, V]
        tokens = answer(logits, uniform[s], sampling.guidance_scale, sampling.temperature, sampling.top_k,
                        sampling.top_p)  # fmt: skip
        sequence[:, :, s + 1] = torch.where(filled[:, s + 1], tokens, model.config.special)
    return undo(sequence, table)
