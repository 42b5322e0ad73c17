"""Exercise 6, `learning_rates`: up in a line, down along a cosine."""

from __future__ import annotations

import math

import torch

from ...training.runs import learning_rate
from .. import Exercise, expect, expect_close, expect_tensor, mistakes
from ._shared import two_curves


def _rates(steps, peak, warmup):
    step = torch.arange(steps)
    up = (step + 1) / max(1, warmup)
    progress = (step - warmup) / (steps - warmup)
    down = (1 + torch.cos(math.pi * progress)) / 2
    return peak * torch.where(step < warmup, up, down)  # [steps]


def there_is_a_rate_for_each_update(answer):
    """The result is float32 [steps]: one rate for each update."""
    for steps, warmup in ((10, 3), (7, 1), (100, 50), (5, 4)):
        expect_tensor(answer(steps, 0.01, warmup), (steps,), torch.float32, "the rates")


def the_first_update_counts(answer):
    """The first update has the rate peak / warmup, not 0: no update is wasted."""
    for warmup in (2, 4, 20):
        expect_close(answer(40, 0.6, warmup)[0], 0.6 / warmup, f"peak 0.6, warm-up {warmup}: the first rate")


def warms_up_in_a_line(answer):
    """During warm-up each update adds peak / warmup, and the last one of it has the peak."""
    for warmup in (2, 5, 10):
        found = answer(40, 0.5, warmup)[:warmup]
        target = 0.5 / warmup * torch.arange(1, warmup + 1)
        expect_close(found, target, f"peak 0.5, warm-up {warmup}: the rates of the warm-up")


def half_of_the_way_down_is_half_the_peak(answer):
    """The cosine begins at the peak, right after the warm-up; halfway from there to the end it is at half of it."""
    for steps, warmup in ((40, 10), (20, 8)):
        found, half = answer(steps, 1.0, warmup), (steps + warmup) // 2
        expect_close(found[warmup], 1.0, f"{steps} updates, warm-up {warmup}: the rate of update {warmup}")
        expect_close(found[half], 0.5, f"{steps} updates, warm-up {warmup}: the rate of update {half}")


def goes_down_to_zero_but_not_below(answer):
    """After the warm-up it falls from update to update; the last rate is nearly 0, but still counts."""
    found = answer(50, 1.0, 10)
    rising = int((found[11:] >= found[10:-1]).sum())
    expect(rising == 0, f"after the warm-up 0 updates are expected that do not fall, not {rising}")
    expect(0 < found[-1] < 0.03, f"50 updates, warm-up 10, peak 1: 0 to 0.03 is expected as the last rate, not "
           f"{found[-1]:.4f}")  # fmt: skip


def _library(steps: int, peak: float, warmup: int) -> torch.Tensor:
    """The rates of the library's course, in peaks."""
    return torch.tensor([learning_rate(i, steps, peak, warmup, hold=warmup / steps) for i in range(steps)]) / peak


def falls_along_a_cosine(answer):
    """On the way down it is the cosine of the library's course, for several lengths."""
    for steps, peak, warmup in ((8, 1.0, 4), (33, 2e-3, 5), (100, 0.1, 1), (6, 1e-5, 5), (5000, 1.0, 100)):
        found = answer(steps, peak, warmup) / peak
        expect_close(found, _library(steps, peak, warmup), f"{steps} updates, warm-up {warmup}, in peaks")


def works_without_warm_up(answer):
    """A warm-up of 0 updates begins at the peak, and falls from there as the library's course does."""
    for steps in (6, 1, 33):
        found = answer(steps, 0.3, 0)
        expect_tensor(found, (steps,), torch.float32, "without warm-up the rates")
        expect_close(found / 0.3, _library(steps, 0.3, 0), f"{steps} updates without warm-up, in peaks")


def _rates_loop(steps, peak, warmup):
    rates = []
    for i in range(steps):
        if i < warmup:
            rates.append(peak * (i + 1) / warmup)
        else:
            rates.append(peak * math.cos(math.pi / 2 * (i - warmup) / (steps - warmup)) ** 2)
    return torch.tensor(rates)


def _rates_pieces(steps, peak, warmup):
    angle = torch.linspace(0, math.pi, steps - warmup + 1)[:-1]
    return torch.cat([torch.linspace(0, peak, warmup + 1)[1:], peak * (0.5 + 0.5 * angle.cos())])


DOWN = "(1 + torch.cos(math.pi * progress)) / 2"

learning_rates = Exercise(
    "learning_rates",
    reference=_rates,
    properties=(
        there_is_a_rate_for_each_update, the_first_update_counts, warms_up_in_a_line,
        half_of_the_way_down_is_half_the_peak, goes_down_to_zero_but_not_below, falls_along_a_cosine,
        works_without_warm_up,
    ),
    wrong=mistakes(_rates, {
        there_is_a_rate_for_each_update: [
            ("up, down)", "up, down)[:-1]", "One rate is missing: the updates are 0 to steps - 1."),
            ("arange(steps)", "arange(steps + 1)", "There is one rate too many: 0 would be reached by update n, which "
             "is no longer done."),
            ("up, down)", "up, down).double()", "The rates are float64. float32 is asked for."),
        ],
        the_first_update_counts: [
            ("(step + 1)", "step",
             "Your first update has the rate 0: it costs a batch and does nothing. Begin with (0 + 1) / warmup."),
            ("(step + 1) / max(1, warmup)", "1.0", "There is no warm-up: the rate is at its peak from the first update "
             "on, when the gradients are largest."),
            ("(step + 1) / max(1, warmup)", "(1 - torch.cos(math.pi * (step + 1) / max(1, warmup))) / 2",
             "You warm up along a cosine too. The way up is a line."),
            ("max(1, warmup)", "(warmup + 1)", "You divide by w + 1, so the warm-up ends below the peak. The last "
             "update of it has the peak: divide by w."),
        ],
        warms_up_in_a_line: [
            ("(step + 1) / max(1, warmup)", "1 / max(1, warmup) + step * (1 - 1 / max(1, warmup)) / max(1, warmup)",
             "Your line has the right start, but takes w updates more for the rest of the way: from p / w it has to "
             "reach p in w - 1."),
        ],
        half_of_the_way_down_is_half_the_peak: [
            ("math.pi *", "180 *", "You count the angle in degrees: half a turn is pi for torch.cos, not 180."),
            ("math.pi *", "2 * math.pi *",
             "You take a whole turn of the cosine, so the rate comes back to its peak at the end. Half a turn: pi."),
            ("(step - warmup) / (steps - warmup)", "step / steps", "Your cosine begins at update 0, so the rate jumps "
             "down when the warm-up ends. Count from the warm-up on."),
            (DOWN, "torch.cos(math.pi * progress)", "Your rate falls to minus the peak: the second half would train "
             "backwards. (1 + cos) / 2 lies in 0 to 1."),
            ("progress)) / 2", "progress))", "1 + cos goes from 2 to 0: the rate jumps to twice the peak when the "
             "warm-up ends. Take half of it."),
            (DOWN, "torch.cos(math.pi / 2 * progress)", "You take a quarter of a turn: it is steepest where it ends. "
             "Half a turn, (1 + cos) / 2, lands softly."),
            ("/ (steps - warmup)", "/ max(1, steps - warmup - 1)", "You divide by n - w - 1, so the last update has "
             "the rate 0 and its batch is wasted. 0 would be reached by update n, which is no longer done: divide by "
             "n - w."),
            ("/ (steps - warmup)", "/ steps", "You divide by all `steps`, though the cosine has only steps - warmup of "
             "them, so it never gets down."),
            ("(step - warmup) /", "(step - warmup + 1) * (step > warmup) /",
             "Your cosine is one update ahead: the last rate is 0, and its batch is wasted."),
            ("step < warmup", "step <= warmup", "Update w is still warmed up by your rule, and gets more than the "
             "peak. It is the first of the cosine: i < w."),
        ],
        falls_along_a_cosine: [
            (DOWN, "1 - progress", "You go down in a line. A cosine stays longer near the peak and lands softly."),
            (DOWN, "((1 + torch.cos(math.pi * progress)) / 2).clamp(min=0.0005)", "Your rate stops above 0. "
             "It falls all the way along the cosine."),
        ],
        works_without_warm_up: [
            ("max(1, warmup)", "(warmup if warmup else float(1 // warmup))", "Without warm-up you divide by 0."),
            ("step = torch.arange(steps)", "step, warmup = torch.arange(steps), max(1, warmup)", "You take a warm-up "
             "of 0 for one of 1. The first rate is the same, but the cosine then begins one update late."),
        ],
    }),
    right=(_rates_loop, _rates_pieces),
    examples=lambda generator: [(24, 1.0, 6), (9, 0.2, 2), (5, 1.0, 0), (4, 1.0, 3)],
    picture=lambda target, yours, arguments: two_curves(target, yours, "update", "rate"),
)  # fmt: skip
