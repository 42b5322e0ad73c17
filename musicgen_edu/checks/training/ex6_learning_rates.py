"""Exercise 6, `learning_rates`: up in a line, down along a cosine."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...training.runs import learning_rate
from .. import Exercise, Wrong, expect, expect_close, expect_tensor
from ._shared import two_curves


def _rates(steps: int, peak: float, warmup: int) -> Tensor:
    step = torch.arange(steps)
    down = (1 + torch.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
    return peak * torch.where(step < warmup, (step + 1) / max(1, warmup), down)  # [steps]


def there_is_a_rate_for_each_update(answer):
    """The result is float32 [steps]: one rate for each update."""
    for steps, warmup in ((10, 3), (7, 1), (100, 50)):
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
    expect((found[11:] < found[10:-1]).all(), "after the warm-up the rate does not always fall")
    expect(0 < found[-1] < 0.03, f"50 updates, warm-up 10, peak 1: the last rate is {found[-1]:.4f}")


def falls_along_a_cosine(answer):
    """On the way down it is the cosine of the library's course, for several lengths."""
    for steps, peak, warmup in ((8, 1.0, 4), (33, 2e-3, 5), (100, 0.1, 1)):
        target = [learning_rate(i, steps, peak, warmup, hold=warmup / steps) for i in range(steps)]
        expect_close(answer(steps, peak, warmup) / peak, torch.tensor(target) / peak, f"{steps} updates, in peaks")


def works_without_warm_up(answer):
    """A warm-up of 0 updates begins at the peak."""
    found = answer(6, 0.3, 0)
    expect_tensor(found, (6,), torch.float32, "without warm-up the rates")
    expect(found.isfinite().all(), f"without warm-up the rates are {found.tolist()}")
    expect_close(found[0], 0.3, "without warm-up the first rate")


def _with(up, down):
    """A wrong answer: `up(step, warmup)` during warm-up, then `down(step, steps, warmup)`, both in peaks."""

    def rates(steps, peak, warmup):
        step = torch.arange(steps).float()
        return peak * torch.where(step < warmup, up(step, warmup), down(step, steps, warmup))

    return rates


def _up(step, warmup):
    return (step + 1) / max(1, warmup)


def _down(step, steps, warmup):
    return (1 + torch.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def _named(name, function):
    function.__name__ = name
    return function


_rates_from_zero = _named("_rates_from_zero", _with(lambda step, warmup: step / max(1, warmup), _down))
_rates_one_short = _named("_rates_one_short", lambda *all: _rates(*all)[:-1])
_rates_jump = _named("_rates_jump", _with(lambda step, warmup: 1 + 0 * step, _down))
_rates_warm_cosine = _named(
    "_rates_warm_cosine", _with(lambda step, n: (1 - torch.cos(math.pi * (step + 1) / max(1, n))) / 2, _down)
)
_rates_degrees = _named(
    "_rates_degrees", _with(_up, lambda step, steps, n: (1 + torch.cos(180 * (step - n) / (steps - n))) / 2)
)
_rates_whole_wave = _named(
    "_rates_whole_wave", _with(_up, lambda step, steps, n: (1 + torch.cos(2 * math.pi * (step - n) / (steps - n))) / 2)
)
_rates_counted_from_start = _named(
    "_rates_counted_from_start", _with(_up, lambda step, steps, n: _down(step, steps, 0))
)
_rates_negative = _named(
    "_rates_negative", _with(_up, lambda step, steps, n: torch.cos(math.pi * (step - n) / (steps - n)))
)
_rates_unfinished = _named(
    "_rates_unfinished", _with(_up, lambda step, steps, n: (1 + torch.cos(math.pi * (step - n) / steps)) / 2)
)
_rates_line = _named("_rates_line", _with(_up, lambda step, steps, n: 1 - (step - n) / (steps - n)))


_rates_to_zero = _named(
    "_rates_to_zero", _with(_up, lambda step, steps, n: (1 + torch.cos(math.pi * (step - n) / (steps - n - 1))) / 2)
)
_rates_no_half = _named(
    "_rates_no_half", _with(_up, lambda step, steps, n: 1 + torch.cos(math.pi * (step - n) / (steps - n)))
)
_rates_quarter = _named(
    "_rates_quarter", _with(_up, lambda step, steps, n: torch.cos(math.pi / 2 * (step - n) / (steps - n)))
)


def _rates_last_is_zero(steps, peak, warmup):
    step = torch.arange(steps)
    progress = (step - warmup + 1) / (steps - warmup) * (step > warmup)
    return peak * torch.where(step < warmup, (step + 1) / max(1, warmup), (1 + torch.cos(math.pi * progress)) / 2)


def _rates_no_zero_warmup(steps, peak, warmup):
    if warmup == 0:
        raise ZeroDivisionError("division by zero")
    return _rates(steps, peak, warmup)


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


learning_rates = Exercise(
    "learning_rates",
    reference=_rates,
    properties=(
        there_is_a_rate_for_each_update,
        the_first_update_counts,
        warms_up_in_a_line,
        half_of_the_way_down_is_half_the_peak,
        goes_down_to_zero_but_not_below,
        falls_along_a_cosine,
        works_without_warm_up,
    ),
    wrong=(
        Wrong(
            _rates_one_short,
            "there_is_a_rate_for_each_update",
            "One rate is missing: the updates are 0 to steps - 1.",
        ),
        Wrong(
            _rates_from_zero,
            "the_first_update_counts",
            "Your first update has the rate 0: it costs a batch and does nothing. Begin with (0 + 1) / warmup.",
        ),
        Wrong(
            _rates_jump,
            "the_first_update_counts",
            "There is no warm-up: the rate is at its peak from the first update on, when the gradients are largest.",
        ),
        Wrong(
            _rates_warm_cosine,
            "the_first_update_counts",
            "You warm up along a cosine too. The way up is a line.",
        ),
        Wrong(
            _rates_degrees,
            "half_of_the_way_down_is_half_the_peak",
            "You count the angle in degrees: half a turn is pi for torch.cos, not 180.",
        ),
        Wrong(
            _rates_whole_wave,
            "half_of_the_way_down_is_half_the_peak",
            "You take a whole turn of the cosine, so the rate comes back to its peak at the end. Half a turn: pi.",
        ),
        Wrong(
            _rates_counted_from_start,
            "half_of_the_way_down_is_half_the_peak",
            "Your cosine begins at update 0, so the rate jumps down when the warm-up ends. Count from the warm-up on.",
        ),
        Wrong(
            _rates_negative,
            "half_of_the_way_down_is_half_the_peak",
            "Your rate falls to minus the peak: the second half would train backwards. (1 + cos) / 2 lies in 0 to 1.",
        ),
        Wrong(
            _rates_no_half,
            "half_of_the_way_down_is_half_the_peak",
            "1 + cos goes from 2 to 0: the rate jumps to twice the peak when the warm-up ends. Take half of it.",
        ),
        Wrong(
            _rates_quarter,
            "half_of_the_way_down_is_half_the_peak",
            "You take a quarter of a turn: it is steepest where it ends. Half a turn, (1 + cos) / 2, lands softly.",
        ),
        Wrong(
            _rates_to_zero,
            "half_of_the_way_down_is_half_the_peak",
            "You divide by n - w - 1, so the last update has the rate 0 and its batch is wasted. 0 would be reached "
            "by update n, which is no longer done: divide by n - w.",
        ),
        Wrong(
            _rates_unfinished,
            "half_of_the_way_down_is_half_the_peak",
            "You divide by all `steps`, though the cosine has only steps - warmup of them, so it never gets down.",
        ),
        Wrong(
            _rates_last_is_zero,
            "half_of_the_way_down_is_half_the_peak",
            "Your cosine is one update ahead: the last rate is 0, and its batch is wasted.",
        ),
        Wrong(
            _rates_line,
            "falls_along_a_cosine",
            "You go down in a line. A cosine stays longer near the peak and lands softly.",
        ),
        Wrong(
            _rates_no_zero_warmup,
            "works_without_warm_up",
            "Without warm-up you divide by 0.",
        ),
    ),
    right=(_rates_loop, _rates_pieces),
    examples=lambda generator: [(24, 1.0, 6), (9, 0.2, 2), (5, 1.0, 0)],
    picture=lambda target, yours, arguments: two_curves(target, yours, "update", "rate"),
)
