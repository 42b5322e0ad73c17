"""Lesson 04 as a learner uses it: opened in JupyterLab, run, and its codec inspector moved with mouse and keyboard."""

from __future__ import annotations

import base64
import io

import pytest
import soundfile

from helpers.lesson_page import open_lesson, wait_for_text

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def inspector(browser, lab):
    """The page and the inspector on it, after all cells have run."""
    page, panel = open_lesson(browser, lab("04_encodec.ipynb"), "inspector-live", "All as encoded")
    yield page, panel
    page.close()


def seen(panel) -> tuple[str, str, str]:
    """The picture, what a screen reader says of it, and the sound."""
    svg = panel.locator("svg[role=img]")
    return svg.inner_html(), svg.get_attribute("aria-label"), panel.locator("audio").get_attribute("src")


def button(panel, row: str, name: str):
    """The button of that name in the row of that label."""
    return panel.locator(".widget-toggle-buttons", has_text=row).get_by_role("button", name=name)


def wait_for_picture(panel, told: str) -> None:
    panel.locator(f"svg[role=img][aria-label*='{told}']").wait_for()


def test_a_move_changes_picture_figures_and_sound(inspector):
    page, panel = inspector
    # The last cells that moved it from code left codebook 0 swapped.
    wait_for_picture(panel, "codebook 0: swapped")
    panel.get_by_role("button", name="All as encoded").click()
    wait_for_text(panel, "Nothing is treated")
    plain = seen(panel)

    # By mouse.
    button(panel, "Codebook 0", "muted").click()
    wait_for_picture(panel, "codebook 0: muted")
    wait_for_text(panel, "Against the untreated copy: SI-SDR")
    muted = seen(panel)
    assert all(a != b for a, b in zip(plain, muted, strict=True))

    # By keyboard: Tab to the next button, Space to press it.
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    wait_for_picture(panel, "codebook 0: swapped")
    button(panel, "Codebook 1", "shuffled").focus()
    page.keyboard.press("Space")
    wait_for_picture(panel, "codebook 1: shuffled")
    swapped = seen(panel)
    assert all(a != b for a, b in zip(muted, swapped, strict=True))

    # The sound is the one of the picture, and the browser can play it.
    head, data = swapped[2].split(",", 1)
    assert head == "data:audio/wav;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert len(samples) / rate == 2.5
    assert abs(samples).max() > 0.01
    assert abs(panel.locator("audio").evaluate("a => a.duration") - 2.5) < 0.01

    # The other clip, and back to where it began.
    button(panel, "Clip", "an organ tune").click()
    wait_for_picture(panel, "an organ tune (swaps with a bell tune)")
    button(panel, "Clip", "a bell tune").click()
    panel.get_by_role("button", name="All as encoded").press("Space")
    wait_for_text(panel, "Nothing is treated")
    wait_for_picture(panel, "clip:       a bell tune")
    assert seen(panel) == plain
