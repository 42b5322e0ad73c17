"""Lesson 03 as a learner uses it: opened in JupyterLab, run, and its RVQ listener moved by keyboard and mouse."""

from __future__ import annotations

import base64
import io

import pytest
import soundfile

from helpers.lesson_page import move, open_lesson, wait_for_text

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The page and the panel on it, after all cells have run."""
    page, panel = open_lesson(browser, lab("03_residual_vector_quantization.ipynb"), "panel-live", "Codebooks used")
    yield page, panel
    page.close()


def pictures(panel) -> list[str]:
    """The data URLs of the two spectrograms."""
    return panel.locator("svg image").evaluate_all("images => images.map(one => one.getAttribute('href'))")


def heard(panel) -> tuple[str, float]:
    """Caption of the player, and the energy of its clip."""
    audio = panel.locator("audio")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(audio.get_attribute("src").split(",", 1)[1])))
    assert (len(samples), rate) == (40_000, 16_000)
    return audio.get_attribute("aria-label"), float((samples**2).mean())


def test_the_slider_adds_codebooks_one_by_one(lesson):
    page, panel = lesson
    wait_for_text(panel, "codebooks: 2 of 4")  # what "panel-still" left from code
    move(panel, "Codebooks used", "Home")
    wait_for_text(panel, "codebooks: 0 of 4")
    seen, residuals = [pictures(panel)], []
    panel.get_by_role("button", name="A − B").click()
    for k in range(1, 5):
        move(panel, "Codebooks used", "ArrowRight")
        wait_for_text(panel, f"codebooks: {k} of 4")
        wait_for_text(panel, f"what is missing, {k} codebook")
        assert panel.locator("svg").get_attribute("aria-label").startswith(f"{k} of 4 codebooks used")
        seen.append(pictures(panel))
        residuals.append(heard(panel)[1])
    assert all(len(both) == 2 for both in seen)
    assert len({url for both in seen for url in both}) == 10, "two numbers of codebooks show the same picture"
    assert residuals == sorted(residuals, reverse=True), "with more codebooks more is missing"


def test_a_and_b_are_switched_by_keyboard(lesson):
    page, panel = lesson
    move(panel, "Codebooks used", "End")
    wait_for_text(panel, "codebooks: 4 of 4")
    panel.get_by_role("button", name="A: original").focus()
    page.keyboard.press("Space")
    wait_for_text(panel, "listening: A: original")
    assert heard(panel)[0] == "A: original"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_for_text(panel, "listening: B: reconstruction, 4 codebooks")
    assert heard(panel)[0] == "B: reconstruction, 4 codebooks"
    assert abs(panel.locator("audio").evaluate("a => a.duration") - 2.5) < 0.01, "the browser cannot play the clip"
