"""The panel of lesson 02, driven from code: k-means in half-steps, centroids moved by hand."""

from __future__ import annotations

import base64
import itertools
import re

import pytest
import torch

from helpers.panels import controls_of, seconds_of_a_move, set_value
from musicgen_edu.model.quantization import kmeans, nearest_code
from musicgen_edu.widgets.vq_plane import Plane, PlanePanel, picture, still

FOUR = torch.tensor([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [11.0, 2.0]])


@pytest.fixture
def panel() -> PlanePanel:
    return PlanePanel()


def drawing(page: str) -> str:
    """The SVG within an image's data URL."""
    return base64.b64decode(re.search(r"data:image/svg\+xml;base64,([\w+/=]+)", page)[1]).decode()


# ---- the logic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("V", "seed"), [(1, 0), (3, 1), (8, 2), (16, 3)])
def test_whole_steps_are_those_of_the_library(V, seed):
    plane = Plane(None, V, seed)
    for iterations in range(5):
        expected = kmeans(plane.points, V, iterations, torch.Generator().manual_seed(seed))
        torch.testing.assert_close(plane.centroids, expected)
        torch.testing.assert_close(plane.codes, nearest_code(plane.points, plane.centroids))
        plane.step()
        plane.step()


def test_no_half_step_makes_it_worse_and_it_settles():
    for seed in range(6):
        plane = Plane(None, 9, seed)
        errors = [plane.distortion]
        while not plane.settled and len(errors) < 200:
            plane.step()
            errors.append(plane.distortion)
        assert plane.settled
        assert all(after <= before + 1e-12 for before, after in itertools.pairwise(errors))
        assert errors[-1] < errors[0]
        before = plane.centroids.clone()
        plane.step()
        plane.step()
        torch.testing.assert_close(plane.centroids, before)
        assert plane.in_words().endswith("next:       nothing: k-means has settled")


def test_a_small_example_by_hand():
    plane = Plane(FOUR, 2)
    plane.put(0, 0.0, 0.0)
    plane.put(1, 10.0, 0.0)
    assert plane.codes.tolist() == [0, 0, 1, 1]
    assert plane.distortion == pytest.approx((0 + 1 + 0 + 5) / 4)
    plane.step()
    assert plane.centroids.tolist() == [[0.5, 0.0], [10.5, 1.0]]
    assert plane.distortion == pytest.approx((0.25 + 0.25 + 1.25 + 1.25) / 4)
    assert plane.settled
    assert plane.in_words().splitlines() == [
        "codebook:   2 centroids, 1 bits a point, seed 0, 2 moved by hand",
        "distortion: 0.75 (mean squared distance of a point to its centroid)",
        "in use:     2 of 2; dead: none",
        "next:       nothing: k-means has settled",
    ]


def test_bits_are_the_logarithm_of_the_codebook():
    assert [Plane(None, V).bits for V in (1, 2, 8, 16)] == [0, 1, 3, 4]
    assert "2.58 bits a point" in Plane(None, 6).in_words()


def test_a_centroid_in_a_corner_dies_stays_where_it_is_and_is_drawn_otherwise():
    plane = Plane(None, 4, seed=1)
    assert "dead: none" in plane.in_words()
    assert drawing(picture(plane).source).count("stroke-dasharray") == 0
    plane.put(2, -100.0, -100.0)
    plane.finish()
    assert plane.dead == [2]
    assert plane.centroids[2].tolist() == [-100.0, -100.0]
    assert "in use:     3 of 4; dead: 2" in plane.in_words()
    assert drawing(picture(plane).source).count("stroke-dasharray") == 1


def test_cells_hold_what_is_nearest_and_fill_the_frame():
    plane = Plane(None, 7, seed=4)
    area = 0.0
    for v in range(7):
        corners = torch.tensor(plane.cell(v), dtype=torch.float64)
        x, y = corners.T
        area += 0.5 * (x * y.roll(-1) - y * x.roll(-1)).sum().item()
        inside = corners.mean(0) + 0.98 * (corners - corners.mean(0))  # just within each corner
        assert (nearest_code(inside, plane.centroids) == v).all()
    frame = (plane.high[0] - plane.low[0]) * (plane.high[1] - plane.low[1])
    assert area == pytest.approx(frame)


def test_two_centroids_in_one_place_share_a_cell_and_one_is_dead():
    plane = Plane(FOUR, 2)
    plane.put(0, 3.0, 0.0)
    plane.put(1, 3.0, 0.0)
    assert len(plane.dead) == 1
    assert plane.cell(0) == plane.cell(1)


@pytest.mark.parametrize(
    ("points", "V", "message"),
    [
        (torch.zeros(3), 2, r"points must have shape \[N, D\]"),
        (torch.zeros(3, 5), 2, "must have D = 2, not 5"),
        (torch.zeros(0, 2), 2, "at least one point"),
        (torch.full((3, 2), torch.nan), 2, "must be a finite number"),
        (FOUR, 0, "must be 1 to 16, not 0"),
        (FOUR, 17, "must be 1 to 16, not 17"),
    ],
)
def test_bad_input_is_told_in_one_sentence(points, V, message):
    with pytest.raises(ValueError, match=message):
        Plane(points, V)


def test_moves_of_what_is_not_there_are_refused_and_change_nothing():
    plane = Plane(None, 4)
    before = plane.in_words()
    with pytest.raises(ValueError, match="no centroid 4: expected 0 to 3"):
        plane.put(4, 1.0, 1.0)
    with pytest.raises(ValueError, match="finite coordinates"):
        plane.put(1, float("nan"), 1.0)
    assert plane.in_words() == before


def test_fewer_points_than_centroids_and_points_on_a_line():
    assert len(Plane(FOUR, 9).dead) == 5
    flat = Plane(torch.tensor([[1.0, 3.0], [2.0, 3.0]]), 2)
    assert "<svg" in drawing(picture(flat).source)


# ---- the panel ---------------------------------------------------------------------------------------------------


def shown(panel: PlanePanel) -> tuple[str, str, str]:
    return panel.state_text(), panel.words.value, panel.picture.value


def every_part_changed(before, after) -> bool:
    return all(old != new for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("button", ["step", "finish", "restart"])
def test_each_button_changes_state_text_and_picture(panel, button):
    before = shown(panel)
    getattr(panel, button).click()
    assert every_part_changed(before, shown(panel))


@pytest.mark.parametrize(("control", "value"), [("centroids", 5), ("x", 3.0), ("y", 7.0)])
def test_each_slider_changes_state_text_and_picture(panel, control, value):
    before = shown(panel)
    getattr(panel, control).value = value
    assert every_part_changed(before, shown(panel))


def test_the_step_button_names_the_half_that_is_next(panel):
    assert panel.step.description == "Half-step: move the centroids"
    panel.step.click()
    assert panel.step.description == "Half-step: assign the points"
    assert "half-step 2: assign the points anew" in panel.state_text()
    panel.x.value += 1  # a move by hand assigns at once
    assert panel.step.description == "Half-step: move the centroids"


def test_a_restart_keeps_the_number_and_takes_the_next_seed(panel):
    panel.centroids.value = 5
    first = panel.plane.centroids.clone()
    panel.restart.click()
    assert panel.plane.seed == 1
    assert panel.plane.centroids.shape == (5, 2)
    assert not torch.equal(first, panel.plane.centroids)


def test_sliders_follow_the_chosen_centroid_and_move_only_that_one(panel):
    panel.chosen.value = 3
    assert [panel.x.value, panel.y.value] == pytest.approx(panel.plane.centroids[3].tolist())
    assert panel.plane.by_hand == 0, "choosing must not move anything"
    before = panel.plane.centroids.clone()
    panel.x.value = 4.5
    changed = (panel.plane.centroids != before).any(1)
    assert changed.tolist() == [v == 3 for v in range(8)]
    assert panel.plane.centroids[3, 0] == pytest.approx(4.5)
    assert panel.plane.centroids[3, 1] == before[3, 1]
    panel.step.click()
    assert [panel.x.value, panel.y.value] == pytest.approx(panel.plane.centroids[3].tolist())


def test_sliders_report_only_what_the_reader_does(panel):
    # The browser rounds a value that the panel sets to the slider's steps. With continuous_update it would send that
    # back, and the centroid would move; `tests/browser/test_lesson_02.py` sees the rest.
    assert not panel.x.continuous_update
    assert not panel.y.continuous_update


def test_fewer_centroids_leave_a_valid_choice(panel):
    panel.chosen.value = 7
    panel.centroids.value = 2
    assert panel.chosen.value == 0
    assert len(panel.chosen.options) == 2
    panel.y.value = 3.0
    assert panel.plane.by_hand == 1


def test_the_picture_shows_every_point_centroid_and_cell(panel):
    page = drawing(panel.picture.value)
    assert page.count("<polygon") == 8
    assert page.count('r="2.2"') == len(panel.plane.points)
    assert page.count('r="11"') + page.count("stroke-dasharray") == 8
    assert page.count('r="16"') == 1, "one centroid is ringed as chosen"
    assert "distortion:" in panel.picture.value, "the picture's description tells the state"


def test_every_control_is_labelled(panel):
    buttons = [panel.step, panel.finish, panel.restart]
    assert len(controls_of(panel)) == 4
    assert all(w.description for w in [*controls_of(panel), *buttons])


def test_a_move_is_answered_within_a_tenth_of_a_second(panel):
    panel.centroids.value = 16
    moves = [(set_value(panel.x, 1.0 + 0.3 * i), panel.step.click, panel.restart.click) for i in range(20)]
    assert seconds_of_a_move(itertools.chain(*moves)) < 0.1


def test_the_still_picture_has_text_and_drawing_and_no_script(panel):
    panel.finish.click()
    page = still(panel.plane).data
    assert "still picture" in page
    assert "k-means has settled" in page
    assert "<svg" in drawing(page)
    assert "<script" not in page
    assert "onclick" not in page
