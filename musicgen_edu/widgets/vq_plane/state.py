"""What the plane of lesson 02 shows: points, centroids, k-means in half-steps, centroids moved by hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...model.quantization import nearest_code
from ...model.shapes import check_shape

MOST = 16  # centroids


class Plane:
    """Points in the plane, a codebook for them, and what can be done to it.

    Args:
        points: [N, 2], finite; None takes nine clumps of 30.
        centroids: V, 1 to 16.
        seed: of the random start; the same seed starts `quantization.kmeans` at the same points.

    Attributes:
        centroids: [V, 2]; codes: int64 [N], the centroid that each point is assigned to.
        half_steps: how many since the start; `moves_next` says which half is next.
        by_hand: how often a centroid was put somewhere by hand since the start.
    """

    def __init__(self, points: Tensor | None = None, centroids: int = 8, seed: int = 0):
        self.points = _clumps() if points is None else torch.as_tensor(points, dtype=torch.float64)
        check_shape("points", self.points, "N D", D=2)
        if not len(self.points) or not self.points.isfinite().all():
            raise ValueError("points must hold at least one point, and every coordinate must be a finite number")
        low, high = self.points.min(0).values, self.points.max(0).values
        margin = 0.06 * (high - low) + 1e-3
        self.low, self.high = (low - margin).tolist(), (high + margin).tolist()
        self.restart(centroids, seed)

    def restart(self, centroids: int, seed: int) -> None:
        """Begin anew with V points drawn at random as centroids; every point is assigned to the nearest."""
        if not 1 <= centroids <= MOST:
            raise ValueError(f"the number of centroids V must be 1 to {MOST}, not {centroids}")
        order = torch.randperm(len(self.points), generator=torch.Generator().manual_seed(seed))
        chosen = order.repeat(math.ceil(centroids / len(order)))[:centroids]
        self.centroids, self.seed = self.points[chosen].clone(), seed  # [V, 2]
        self.half_steps, self.by_hand, self.moves_next = 0, 0, True
        self._assign()

    def _assign(self) -> None:
        self.codes = nearest_code(self.points, self.centroids)  # [N]

    def _means(self) -> Tensor:
        means = self.centroids.clone()
        for v in self.codes.unique():
            means[v] = self.points[self.codes == v].mean(0)
        return means  # [V, 2]

    def step(self) -> None:
        """One half-step of k-means: move each centroid to the mean of its points, or assign the points anew."""
        if self.moves_next:
            self.centroids = self._means()
        else:
            self._assign()
        self.moves_next = not self.moves_next
        self.half_steps += 1

    def finish(self, most: int = 400) -> None:
        """Half-steps until none changes anything."""
        while not self.settled and most:
            self.step()
            most -= 1

    def put(self, centroid: int, x: float, y: float) -> None:
        """Put one centroid at (x, y); every point is assigned to the nearest centroid at once."""
        if not 0 <= centroid < len(self.centroids):
            raise ValueError(f"there is no centroid {centroid}: expected 0 to {len(self.centroids) - 1}")
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"a centroid needs finite coordinates, not ({x}, {y})")
        self.centroids[centroid] = torch.tensor([x, y], dtype=torch.float64)
        self.by_hand, self.moves_next = self.by_hand + 1, True
        self._assign()

    @property
    def settled(self) -> bool:
        """Whether neither half-step would change anything."""
        nearest = nearest_code(self.points, self.centroids)
        return bool(torch.equal(nearest, self.codes) and torch.allclose(self._means(), self.centroids, atol=1e-9))

    @property
    def distortion(self) -> float:
        """Mean squared distance of the points to the centroids that they are assigned to."""
        return (self.points - self.centroids[self.codes]).pow(2).sum(1).mean().item()

    @property
    def bits(self) -> float:
        """Bits that name one of V centroids: log2 V."""
        return math.log2(len(self.centroids))

    @property
    def dead(self) -> list[int]:
        """Centroids to which no point is assigned."""
        counts = torch.bincount(self.codes, minlength=len(self.centroids))
        return (counts == 0).nonzero().flatten().tolist()

    def cell(self, centroid: int) -> list[tuple[float, float]]:
        """Corners of a centroid's Voronoi cell: what is nearer to it than to any other, cut off at the frame."""
        (left, low), (right, high) = self.low, self.high
        corners = [(left, low), (right, low), (right, high), (left, high)]
        places = self.centroids.tolist()
        x, y = places[centroid]
        for u, v in places:
            a, b = 2 * (u - x), 2 * (v - y)  # nearer to (x, y) than to (u, v): a point's a, b combine to at most c
            if a or b:
                corners = _cut(corners, a, b, u * u + v * v - x * x - y * y)
        return corners

    def in_words(self) -> str:
        """The state in words, one line each: codebook, distortion, use, what is next."""
        V, dead = len(self.centroids), self.dead
        move = "move each centroid to the mean of its points" if self.moves_next else "assign the points anew"
        told = "nothing: k-means has settled" if self.settled else f"half-step {self.half_steps + 1}: {move}"
        return "\n".join(
            [
                f"codebook:   {V} centroid{'s' * (V > 1)}, {self.bits:.3g} bits a point, seed {self.seed}, "
                f"{self.by_hand} moved by hand",
                f"distortion: {self.distortion:.2f} (mean squared distance of a point to its centroid)",
                f"in use:     {V - len(dead)} of {V}; dead: {', '.join(map(str, dead)) or 'none'}",
                f"next:       {told}",
            ]
        )


def _clumps() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.cartesian_prod(torch.tensor([2.0, 5.0, 8.0]), torch.tensor([2.0, 5.0, 8.0]))
    noise = torch.randn(9, 30, 2, generator=generator, dtype=torch.float64)
    return (centres[:, None].double() + 0.6 * noise).flatten(0, 1)  # [270, 2]


def _cut(corners: list[tuple[float, float]], a: float, b: float, c: float) -> list[tuple[float, float]]:
    """The part of a convex polygon where a x + b y <= c."""
    kept = []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        before, after = a * x0 + b * y0 - c, a * x1 + b * y1 - c
        if before <= 0:
            kept.append((x0, y0))
        if before * after < 0:
            share = before / (before - after)
            kept.append((x0 + share * (x1 - x0), y0 + share * (y1 - y0)))
    return kept
