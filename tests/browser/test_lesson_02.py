"""Lesson 02 as a learner uses it: run in JupyterLab, and its panel moved with mouse and keyboard."""

from __future__ import annotations

import pytest

from helpers.lesson_page import move, open_lesson, wait_for_text

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The page and the panel on it, after all cells have run."""
    page, panel = open_lesson(browser, lab("02_vector_quantization.ipynb"), "widget-live", "Run until settled")
    yield page, panel
    page.close()


def drawing(panel) -> str:
    return panel.get_by_role("img").get_attribute("src")


def told(panel, start: str) -> str:
    """The line of the panel's text that starts so."""
    return next(line for line in panel.get_by_role("status").inner_text().splitlines() if line.startswith(start))


def distortion(panel) -> float:
    return float(told(panel, "distortion:").split()[1])


def test_every_control_of_the_panel_moves_picture_and_figure(lesson):
    page, panel = lesson
    wait_for_text(panel, "8 centroids, 3 bits a point, seed 3, 0 moved by hand")
    before, first = drawing(panel), distortion(panel)

    # Half-steps by mouse: the button says which half is next.
    panel.get_by_role("button", name="Half-step: move the centroids").click()
    wait_for_text(panel, "half-step 2: assign the points anew")
    assert distortion(panel) < first
    assert drawing(panel) != before

    # The other half by keyboard.
    half, before = distortion(panel), drawing(panel)
    panel.get_by_role("button", name="Half-step: assign the points").press("Space")
    wait_for_text(panel, "half-step 3: move each centroid")
    assert distortion(panel) < half
    assert drawing(panel) != before

    panel.get_by_role("button", name="Run until settled").click()
    wait_for_text(panel, "nothing: k-means has settled")
    settled = distortion(panel)
    assert settled < half

    # A centroid is chosen and moved, keyboard only; the points choose anew at once, and it is worse.
    before = drawing(panel)
    panel.get_by_label("Centroid", exact=True).select_option("5")
    page.wait_for_function(
        "([panel, old]) => panel.querySelector('img').src !== old", arg=[panel.element_handle(), before]
    )
    assert "0 moved by hand" in told(panel, "codebook:")
    before = drawing(panel)
    move(panel, "its x", "End")
    wait_for_text(panel, "1 moved by hand")
    assert distortion(panel) > settled
    assert drawing(panel) != before

    move(panel, "its y", "Home")
    wait_for_text(panel, "2 moved by hand")

    # The number of centroids: bits and picture follow.
    before = drawing(panel)
    move(panel, "Centroids", "End")
    wait_for_text(panel, "16 centroids, 4 bits a point, seed 3, 0 moved by hand")
    assert drawing(panel) != before
    panel.get_by_role("button", name="Restart with another seed").click()
    wait_for_text(panel, "16 centroids, 4 bits a point, seed 4")


def test_a_slider_can_be_dragged(lesson):
    page, panel = lesson
    panel.get_by_role("button", name="Restart with another seed").click()
    wait_for_text(panel, "0 moved by hand")
    before = drawing(panel)
    handle = panel.locator(".widget-slider", has_text="its y").locator(".noUi-handle")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    page.wait_for_function(
        "panel => !panel.querySelector('[role=status]').innerText.includes(' 0 moved by hand')",
        arg=panel.element_handle(),
    )
    page.wait_for_function(  # text and picture come one after the other
        "([panel, before]) => panel.querySelector('img').getAttribute('src') !== before",
        arg=[panel.element_handle(), before],
    )
