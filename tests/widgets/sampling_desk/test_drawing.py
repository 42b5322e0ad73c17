"""The sampling desk's picture shows the distribution that is drawn from."""

from __future__ import annotations

import random
import re

import pytest
import torch

from musicgen_edu.model.sampling import distribution, guide
from musicgen_edu.widgets.generator import EXAMPLES
from musicgen_edu.widgets.sampling_desk import Desk, picture
from musicgen_edu.widgets.sampling_desk.drawing import BASE, LEFT, STRIP, TALL

FRAMES = 40


@pytest.mark.parametrize("case", range(25))
def test_picture_and_figures_are_those_of_the_distribution(desk, case):
    """For random settings: what is drawn from is `distribution` of the guided logits, and the picture shows it."""
    rng = random.Random(case)
    choice = {
        "caption": rng.choice(EXAMPLES[:3]), "frame": rng.randrange(FRAMES), "codebook": rng.randrange(4),
        "space": rng.choice(["logits", "probabilities"]), "scale": rng.uniform(0, 8), "gamma": rng.uniform(0, 1),
        "temperature": rng.choice([0.0, 0.3, 1.0, 1.7]), "top_k": rng.choice([0, 1, 7, 40, 300, 1024]),
        "top_p": rng.choice([0.0, 0.2, 0.9, 1.0]), "seed": rng.randrange(10_000),
        "axis": rng.choice(["probability", "square root"]),
    }  # fmt: skip
    desk.move(**choice)
    conditional, unconditional = desk.read(choice["caption"])[1][:, choice["codebook"], choice["frame"]]
    guided = guide(conditional, unconditional, choice["scale"])
    if choice["space"] == "probabilities":
        gamma = choice["gamma"]
        guided = (gamma * conditional.double().softmax(-1) + (1 - gamma) * unconditional.double().softmax(-1)).log()
    settings = choice["temperature"], choice["top_k"], choice["top_p"]
    after, before = distribution(guided, *settings), distribution(guided, choice["temperature"])
    torch.testing.assert_close(desk.found.after, after, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(desk.found.before, before, rtol=1e-3, atol=1e-6)
    assert float(desk.found.after.sum()) == pytest.approx(1, abs=1e-4)
    assert desk.found.after[desk.token] > 0
    assert sorted(desk.found.order.tolist()) == list(range(1024))
    assert (desk.found.before[desk.found.order].diff() <= 1e-9).all(), "likeliest first"
    if choice["temperature"] == 0:
        assert desk.kept == 1
    elif choice["top_k"]:
        assert 1 <= desk.kept <= choice["top_k"]
    rest = desk.rest
    shown = float(desk.found.after[desk.shown].sum())
    assert shown + rest["after"] == pytest.approx(1, abs=1e-4)
    assert rest["kept"] == desk.kept - int((desk.found.after[desk.shown] > 0).sum())
    check_picture(desk)


def heights(svg: str, kind: str) -> dict[float, float]:
    """Bars of a kind in an SVG by their left edge, without the one in the legend."""
    paths = re.findall(rf'<path class="{kind}" d="([^"]*)"', svg)[1:]
    bars = [re.findall(r"M([\d.]+) [\d.]+h[\d.]+v-([\d.]+)h", path) for path in paths]
    return {float(x): float(height) for bar in bars for x, height in bar}


def signs(svg: str, kind: str) -> list[float]:
    """How far down the signs of a kind begin, bars first, then the rest; without the one in the legend."""
    paths = re.findall(rf'<path class="{kind}" d="([^"]*)"', svg)[1:]
    return [float(y) for path in paths for y in re.findall(r"M[\d.]+ ([\d.]+)", path)]


def check_picture(desk: Desk) -> None:
    """Kept tokens have a solid bar, cut ones a hatched one, in order, as high as they are likely."""
    svg, f = picture(desk), desk.found
    solid, hatched = heights(svg, "kept"), heights(svg, "cut")
    values = [v[desk.shown].double() for v in (f.after, f.before, f.conditional, f.unconditional)]
    top = max(float(v.max()) for v in values)
    power = 0.5 if desk.choice.axis == "square root" else 1.0
    for i, (after, before) in enumerate(zip(values[0].tolist(), values[1].tolist(), strict=True)):
        x = LEFT + i * STRIP + 3.0
        assert (x in solid, x in hatched) == (after > 0, after == 0)
        drawn = solid[x] if after > 0 else hatched[x]
        assert drawn == pytest.approx(TALL * ((after or before) / top) ** power, abs=0.01)
    assert len(solid) + len(hatched) == 40 + 2, "and the two of the box of the rest"
    others = f.order[40:]
    cut = f.before[others][f.after[others] == 0]
    assert max(solid.items())[1] == pytest.approx(TALL * float(f.after[others].sum()), abs=0.02)
    assert max(hatched.items())[1] == pytest.approx(TALL * float(cut.sum()), abs=0.02)
    for kind, model, off in (("conditional", values[2], 0.0), ("unconditional", values[3], 3.5)):
        wanted = [BASE - TALL * (p / top) ** power for p in model.tolist()]
        assert signs(svg, kind)[:40] == pytest.approx([y - off for y in wanted], abs=0.06)
    numbers = re.findall(r'transform="rotate[^"]*" *>(\d+)</text>', svg)
    assert [int(number) for number in numbers] == desk.shown.tolist()
    assert len(re.findall('class="drawn"', svg)) == 2, "one in the legend, one over the token"
    assert f"{desk.rest['kept']} may be drawn" in svg
