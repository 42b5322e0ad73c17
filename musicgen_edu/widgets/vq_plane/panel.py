"""The plane with controls around it."""

from __future__ import annotations

from functools import partial

import ipywidgets
from torch import Tensor

from ..page import message
from ..panel import Panel, control
from .drawing import picture
from .state import MOST, Plane


class PlanePanel(Panel):
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
        self._make_controls()
        self.picture, self.words = ipywidgets.HTML(), ipywidgets.HTML()
        buttons = ipywidgets.HBox([self.step, self.finish, self.restart], layout={"flex_flow": "row wrap"})
        hand = ipywidgets.HBox([self.chosen, self.x, self.y], layout={"flex_flow": "row wrap"})
        super().__init__(self.plane, [self.centroids, buttons, hand, self.words, self.picture], 720)
        self._connect()
        self._show()

    def _make_controls(self) -> None:
        V = len(self.plane.centroids)
        self.centroids = control(ipywidgets.IntSlider, "Centroids", V, 90, "98%", min=1, max=MOST)
        self.step = _button("Half-step: move the centroids", "one half of a step of k-means", "230px")
        self.finish = _button("Run until settled", "half-steps until none changes anything", "150px")
        self.restart = _button("Restart with another seed", "other points as centroids", "200px")
        self.chosen = control(ipywidgets.Dropdown, "Centroid", 0, 90, "160px", options=range(V))
        self.x, self.y = self._coordinate(0), self._coordinate(1)

    def _coordinate(self, i: int) -> ipywidgets.FloatSlider:
        low, high, axis = self.plane.low[i], self.plane.high[i], self.axes[i]
        # A slider that reports while it moves also reports each value that the panel sets, rounded to its steps:
        # k-means would then move centroids "by hand".
        return control(
            ipywidgets.FloatSlider, f"its {axis if len(axis) < 3 else 'xy'[i]}", low, 40, "260px", min=low, max=high,
            step=(high - low) / 100, readout_format=".3g", continuous_update=False,
        )  # fmt: skip

    def _connect(self) -> None:
        plane = self.plane
        self.step.on_click(lambda _: self._move(plane.step))
        self.finish.on_click(lambda _: self._move(plane.finish))
        self.restart.on_click(lambda _: self._move(plane.restart, len(plane.centroids), plane.seed + 1))
        self._listen(self.centroids, lambda V: plane.restart(V, plane.seed))
        self._listen(self.chosen, lambda _: None)
        for i, slider in enumerate((self.x, self.y)):
            self._listen(slider, partial(self._put, i))

    def _put(self, coordinate: int, value: float) -> None:
        place = self.plane.centroids[self.chosen.value].tolist()
        place[coordinate] = value
        self.plane.put(self.chosen.value, *place)

    def _show(self, error: str = "") -> None:
        plane, V = self.plane, len(self.plane.centroids)
        with self._setting():
            if len(self.chosen.options) != V:
                self.chosen.options = range(V)  # which chooses centroid 0
            self.centroids.value = V
            self.x.value, self.y.value = plane.centroids[self.chosen.value].tolist()
            self.step.description = f"Half-step: {'move the centroids' if plane.moves_next else 'assign the points'}"
        self.words.value = message(error or plane.in_words(), bool(error))
        self.picture.value = picture(plane, self.chosen.value, self.axes)._repr_html_()


def _button(name: str, told: str, width: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=name, tooltip=told, layout={"width": width})
