"""The drawings of lesson 03 draw the points that they are given."""

import numpy as np
import torch

from musicgen_edu.figures.residual_quantization import curves, grids_on_grids


def test_every_line_has_its_points_and_a_look_of_its_own(drawn):
    axes = drawn("residual_quantization")
    lines = {name: ([1, 2, 3], [i, i + 1, i]) for i, name in enumerate("abcdef")}
    assert curves(lines, "bits", "dB", whole=True) == "dB against bits: a, b, c, d, e, f"
    looks = set()
    for line, (x, y) in zip(axes[0].lines, lines.values(), strict=True):
        assert (list(line.get_xdata()), list(line.get_ydata())) == (x, y)
        looks.add((line.get_marker(), line.get_linestyle()))
    assert len(looks) == 6, "lines differ without their colour"


def test_the_second_codebook_stands_around_every_entry_of_the_first(drawn):
    axes = drawn("residual_quantization")
    first, second = torch.tensor([[-4.0, 0.0], [4.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert grids_on_grids(first, second, torch.tensor([3.0, 2.0])).startswith("2 entries of codebook 0, 6 sums")
    sums = axes[1].collections[-1].get_offsets()
    assert {tuple(place) for place in np.asarray(sums).tolist()} == {
        (x + u, y + v) for x, y in first.tolist() for u, v in second.tolist()
    }
    assert np.allclose(axes[0].texts[0].xy, (3, 2))
    assert np.allclose(axes[1].texts[0].xy, (4, 1)), "nearest sum, stage by stage"
