"""Vector quantization in the plane (lesson 02): k-means in half-steps, centroids moved by hand.

`Plane` holds points, centroids and the moves, and knows nothing of drawing; `picture` draws one; `PlanePanel` adds
controls with ipywidgets; `still` shows one as plain HTML, for where no kernel runs.
"""

from __future__ import annotations

import html
import math

import ipywidgets
import torch
from torch import Tensor

from ..figures.picture import Picture, svg_picture
from ..figures.svg import GREY, INK, LIT, PAPER, label
from ..model.quantization import nearest_code
from ..model.shapes import check_shape

MOST = 16  # centroids
CHOSEN = "#ffe9a8"  # the ground of the chosen cell
WIDTH, HEIGHT, LEFT, BOTTOM, EDGE = 640, 470, 56, 46, 12  # of the picture and its margins, in pixels


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
        self.start(centroids, seed)

    def start(self, centroids: int, seed: int) -> None:
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

    def text(self) -> str:
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


# ---- drawing ----------------------------------------------------------------------------------------------------


def picture(plane: Plane, chosen: int | None = None, axes: tuple[str, str] = ("x", "y")) -> Picture:
    """Cells, points tied to their centroids, and numbered centroids: discs, or dashed squares where dead.

    Args:
        plane: what to draw.
        chosen: a centroid whose cell is shaded and which gets a second ring.
        axes: names of the two coordinates.
    """

    def place(x: float, y: float) -> tuple[float, float]:
        (left, low), (right, high) = plane.low, plane.high
        across, up = (x - left) / (right - left), (y - low) / (high - low)
        return LEFT + across * (WIDTH - LEFT - EDGE), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - EDGE)

    body = "".join(_cell(plane, v, place, v == chosen) for v in range(len(plane.centroids)))
    body += _ties(plane, place) + _scales(plane, place, axes)
    dead = plane.dead
    for v, (x, y) in enumerate(plane.centroids.tolist()):
        body += _mark(v, *place(x, y), v in dead, v == chosen)
    return svg_picture(body, WIDTH, HEIGHT, "points and centroids in the plane. " + "; ".join(plane.text().split("\n")))


def _cell(plane: Plane, v: int, place, chosen: bool) -> str:
    corners = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in plane.cell(v))
    return f'<polygon points="{corners}" fill="{CHOSEN if chosen else PAPER}" stroke="{INK}" stroke-width="1.3"/>'


def _ties(plane: Plane, place) -> str:
    ends = [place(*centroid) for centroid in plane.centroids.tolist()]
    points = [place(*point) for point in plane.points.tolist()]
    ties = zip(points, plane.codes.tolist(), strict=True)
    lines = "".join(f"M{x:.1f} {y:.1f}L{ends[v][0]:.1f} {ends[v][1]:.1f}" for (x, y), v in ties)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in points)
    return f'<path d="{lines}" stroke="{GREY}" stroke-width="0.5" fill="none"/><g fill="{INK}">{dots}</g>'


def _scales(plane: Plane, place, axes: tuple[str, str]) -> str:
    across = "".join(label(place(x, 0)[0], HEIGHT - 34, f"{x:g}", 11) for x in _ticks(plane.low[0], plane.high[0]))
    up = "".join(label(LEFT - 18, place(0, y)[1], f"{y:g}", 11) for y in _ticks(plane.low[1], plane.high[1]))
    middle = (HEIGHT - BOTTOM) / 2
    turned = f'<g transform="rotate(-90 14 {middle:g})">{label(14, middle, axes[1], 12)}</g>'
    return across + up + label((LEFT + WIDTH) / 2, HEIGHT - 14, axes[0], 12) + turned


def _ticks(low: float, high: float) -> list[float]:
    size = 10 ** math.floor(math.log10((high - low) / 2))
    step = next(size * k for k in (1, 2, 5, 10) if (high - low) / (size * k) <= 6)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _mark(v: int, x: float, y: float, dead: bool, chosen: bool) -> str:
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="16" fill="none" stroke="{INK}" stroke-width="2.5"/>' if chosen else ""
    if dead:
        square = f'<rect x="{x - 10:.1f}" y="{y - 10:.1f}" width="20" height="20" fill="{PAPER}" stroke="{INK}" '
        return ring + f'{square}stroke-width="2" stroke-dasharray="3 2"/>' + label(x, y, str(v), 12, INK, "bold")
    disc = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="{LIT}" stroke="{PAPER}" stroke-width="1.5"/>'
    return ring + disc + label(x, y, str(v), 12, PAPER, "bold")


# ---- controls ---------------------------------------------------------------------------------------------------


class PlanePanel:
    """A `Plane` with controls, a picture and its state in words. Mouse and keyboard do the same.

    Args:
        points, centroids, seed: of the `Plane`.
        axes: names of the two coordinates.
    """

    def __init__(
        self,
        points: Tensor | None = None,
        centroids: int = 8,
        seed: int = 0,
        axes: tuple[str, str] = ("x", "y"),
    ):
        self.plane, self.axes = Plane(points, centroids, seed), axes
        self._showing = False
        self._make_controls()
        self.picture, self.words = ipywidgets.HTML(), ipywidgets.HTML()
        buttons = ipywidgets.HBox([self.step, self.finish, self.restart], layout={"flex_flow": "row wrap"})
        hand = ipywidgets.HBox([self.chosen, self.x, self.y], layout={"flex_flow": "row wrap"})
        rows = [self.centroids, buttons, hand, self.words, self.picture]
        self.view = ipywidgets.VBox(rows, layout={"max_width": "720px"})
        self._show()

    def _make_controls(self) -> None:
        V, style = len(self.plane.centroids), {"description_width": "90px"}
        self.centroids = ipywidgets.IntSlider(
            V, min=1, max=MOST, description="Centroids", style=style, layout={"width": "98%"}
        )
        self.step, self.finish, self.restart = (
            ipywidgets.Button(description=name, tooltip=told, layout={"width": width})
            for name, told, width in (
                ("Half-step: move the centroids", "one half of a step of k-means", "230px"),
                ("Run until settled", "half-steps until none changes anything", "150px"),
                ("Restart with another seed", "other points as centroids", "200px"),
            )
        )
        self.chosen = ipywidgets.Dropdown(
            options=range(V), description="Centroid", style=style, layout={"width": "160px"}
        )
        self.x, self.y = (
            ipywidgets.FloatSlider(
                min=self.plane.low[i],
                max=self.plane.high[i],
                step=(self.plane.high[i] - self.plane.low[i]) / 100,
                description=f"its {self.axes[i]}" if len(self.axes[i]) < 3 else f"its {'xy'[i]}",
                readout_format=".3g",
                # A slider that reports while it moves also reports each value that the panel sets, rounded to its
                # steps: k-means would then move centroids "by hand".
                continuous_update=False,
                style={"description_width": "40px"},
                layout={"width": "260px"},
            )
            for i in (0, 1)
        )
        self.step.on_click(lambda _: self._do(self.plane.step))
        self.finish.on_click(lambda _: self._do(self.plane.finish))
        self.restart.on_click(lambda _: self._do(self.plane.start, len(self.plane.centroids), self.plane.seed + 1))
        self.centroids.observe(lambda change: self._do(self.plane.start, change["new"], self.plane.seed), "value")
        self.chosen.observe(lambda _: self._do(lambda: None), "value")
        self.x.observe(lambda change: self._do(self._put, 0, change["new"]), "value")
        self.y.observe(lambda change: self._do(self._put, 1, change["new"]), "value")

    def _put(self, coordinate: int, value: float) -> None:
        place = self.plane.centroids[self.chosen.value].tolist()
        place[coordinate] = value
        self.plane.put(self.chosen.value, *place)

    def _do(self, move, *arguments) -> None:
        if self._showing:  # the panel itself is setting its controls
            return
        move(*arguments)
        self._show()

    def _show(self) -> None:
        self._showing = True
        try:
            V = len(self.plane.centroids)
            if len(self.chosen.options) != V:
                self.chosen.options = range(V)  # which chooses centroid 0
            self.centroids.value = V
            self.x.value, self.y.value = self.plane.centroids[self.chosen.value].tolist()
            half = "move the centroids" if self.plane.moves_next else "assign the points"
            self.step.description = f"Half-step: {half}"
        finally:
            self._showing = False
        self.words.value = _words(self.plane)
        self.picture.value = picture(self.plane, self.chosen.value, self.axes)._repr_html_()

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self.plane.text()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"PlanePanel\n{self.state_text()}"


def _words(plane: Plane) -> str:
    style = "line-height:1.4;margin:6px 0;white-space:pre-wrap"
    return f'<pre role="status" style="{style}">{html.escape(plane.text())}</pre>'


def still(plane: Plane, axes: tuple[str, str] = ("x", "y")) -> object:
    """A plane as plain HTML that needs no kernel and no JavaScript."""
    from IPython.display import HTML

    return HTML(
        "<details><summary>A still picture of the panel, for where no kernel runs</summary>"
        f"{_words(plane)}{picture(plane, axes=axes)._repr_html_()}</details>"
    )
