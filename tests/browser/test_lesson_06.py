"""Lesson 06 as a learner uses it: opened in JupyterLab, run, and its attention explorer moved by keyboard and mouse."""

from __future__ import annotations

import os
import re
from pathlib import Path
from statistics import median

import pytest

from helpers.lesson_page import TIMED_MOVE, move, open_lesson, wait_for_text

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The page and the panel on it, after all cells have run."""
    page, panel = open_lesson(browser, lab("06_codes_in_logits_out.ipynb"), "explorer", "Looks at")
    yield page, panel
    page.close()


def drawn(panel) -> tuple[str, str]:
    """The map's data URL and all that is drawn around it."""
    svg = panel.locator("svg")
    return svg.locator("image").get_attribute("href"), svg.inner_html()


def written(panel) -> list[str]:
    """The texts in the picture."""
    return panel.locator("svg text").all_text_contents()


def test_each_slider_changes_words_map_and_bars(lesson):
    page, panel = lesson
    wait_for_text(panel, "layer: 4 of 0 to 5, head 1 of 0 to 2")  # what "explorer-text" left from code
    wait_for_text(panel, "the words of the prompt, 9")
    assert "▁drums" in written(panel)
    maps, pictures = set(), []
    for label, told in (
        ("Layer", "layer: 5 of 0 to 5, head 1"),
        ("Head", "layer: 5 of 0 to 5, head 2"),
        ("Step", "step: 31 of 0 to 52"),
    ):
        image, around = drawn(panel)
        maps.add(image)
        pictures.append(around)
        move(panel, label, "ArrowRight")
        wait_for_text(panel, told)
    maps.add(drawn(panel)[0])
    pictures.append(drawn(panel)[1])
    assert len(maps) == 3, "another layer and another head have another map; another step has not"
    assert len(set(pictures)) == 4, "every move changes what is drawn"
    assert "weights of step 31" in written(panel)


def test_columns_and_words_are_switched_by_keyboard(lesson):
    page, panel = lesson
    panel.get_by_role("button", name="the columns so far").focus()
    page.keyboard.press("Space")
    wait_for_text(panel, "looks at: the columns so far")
    assert "layer 5, head 2: self-attention" in written(panel)
    move(panel, "Step", "Home")
    wait_for_text(panel, "writes codebook 0 of frame 0")
    wait_for_text(panel, "Looks most at column 0 (100%)")
    page.keyboard.press("End")
    wait_for_text(panel, "step: 52 of 0 to 52, writes codebook 3 of frame 49")
    panel.get_by_role("button", name="the words of the prompt").click()
    wait_for_text(panel, "looks at: the words of the prompt")
    assert "layer 5, head 2: cross-attention" in written(panel)
    shares = [int(text[:-1]) for text in written(panel) if re.fullmatch(r"\d+%", text)]
    assert 60 <= sum(shares) <= 105, "the bars of the words carry their shares"


def test_a_move_is_on_the_page_soon(lesson):
    """Fifty presses of an arrow key, each timed on the page. The machine may be busy: the bound is a loose one."""
    page, panel = lesson
    move(panel, "Step", "Home")
    wait_for_text(panel, "step: 0 of")
    handle = panel.locator(".widget-slider", has_text="Step").locator(".noUi-handle").element_handle()
    times = [page.evaluate(TIMED_MOVE, [panel.element_handle(), handle]) for _ in range(50)]
    print(f"a move of the step: median {median(times):.0f} ms, worst {max(times):.0f} ms of 50")
    wait_for_text(panel, "step: 50 of")
    assert median(times) < 1000
    folder = os.environ.get("MUSICGEN_EDU_SCREENSHOTS")
    if folder:
        panel.screenshot(path=str(Path(folder) / "attention_explorer.png"))
