"""The plane as a picture: cells, points tied to their centroids, and numbered centroids."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...figures.picture import Picture, svg_picture
from ...figures.svg import GREY, INK, LIT, MARKED, PAPER, label
from ..page import message, still_page
from .state import Plane

WIDTH, HEIGHT, LEFT, BOTTOM, EDGE = 640, 470, 56, 46, 12  # of the picture and its margins, in pixels
Place = Callable[[float, float], tuple[float, float]]  # from coordinates to pixels


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
    return svg_picture(
        body, WIDTH, HEIGHT, "points and centroids in the plane. " + "; ".join(plane.in_words().split("\n"))
    )


def _cell(plane: Plane, v: int, place: Place, chosen: bool) -> str:
    corners = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in plane.cell(v))
    return f'<polygon points="{corners}" fill="{MARKED if chosen else PAPER}" stroke="{INK}" stroke-width="1.3"/>'


def _ties(plane: Plane, place: Place) -> str:
    ends = [place(*centroid) for centroid in plane.centroids.tolist()]
    points = [place(*point) for point in plane.points.tolist()]
    ties = zip(points, plane.codes.tolist(), strict=True)
    lines = "".join(f"M{x:.1f} {y:.1f}L{ends[v][0]:.1f} {ends[v][1]:.1f}" for (x, y), v in ties)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in points)
    return f'<path d="{lines}" stroke="{GREY}" stroke-width="0.5" fill="none"/><g fill="{INK}">{dots}</g>'


def _scales(plane: Plane, place: Place, axes: tuple[str, str]) -> str:
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


def still(plane: Plane, axes: tuple[str, str] = ("x", "y")):
    """The plane without controls, its coordinates named `axes`."""
    return still_page(message(plane.in_words()), picture(plane, axes=axes)._repr_html_())
