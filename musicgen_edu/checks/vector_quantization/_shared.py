"""What the exercises of this assignment share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ... import figures
from ...model.quantization import VectorQuantizer
from .. import expect


def results(value: Any, *names: str) -> Any:
    """What an answer returns, as many results as there are names."""
    expect(isinstance(value, (tuple, list)), f"{', '.join(names)} are expected, not one {type(value).__name__}")
    expect(len(value) == len(names), f"{len(names)} results are expected, {', '.join(names)}, not {len(value)}")
    return value


def library_quantizer(codebook: Tensor, **options: float) -> VectorQuantizer:
    """The library's quantizer with this codebook [V, D]."""
    quantizer = VectorQuantizer(*codebook.shape, **options).eval()
    quantizer.embed.copy_(codebook.detach())
    return quantizer


def gradient_of(of: Tensor, to: Tensor) -> Tensor:
    """Gradient of a scalar, zeros where none arrives."""
    if not of.requires_grad:
        return torch.zeros_like(to)
    (found,) = torch.autograd.grad(of, to, retain_graph=True, allow_unused=True)
    return torch.zeros_like(to) if found is None else found


def points_picture(target: Tensor, yours: Tensor, **others: Tensor) -> figures.Picture:
    """Points [V, 2] as they should be and as they are, among others."""
    figure, axes = figures.new_figure(5.2, 4.2)
    for (name, points), colour, marker in zip(others.items(), (figures.GREY, "#b0791f"), ".s", strict=False):
        axes.scatter(points[:, 0], points[:, 1], s=25, color=colour, marker=marker, label=name.replace("_", " "))
    rings = {"facecolors": "none", "edgecolors": figures.LIT, "linewidths": 2}
    axes.scatter(target[:, 0], target[:, 1], s=150, label="target", **rings)
    axes.scatter(yours[:, 0], yours[:, 1], s=60, color=figures.INK, marker="x", label="yours")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, f"{len(target)} points: target as rings, yours as crosses")
