"""Lesson 05 as a learner uses it: opened in JupyterLab, run, and the pattern explorer moved by keyboard and mouse."""

from __future__ import annotations

import os
import re
from statistics import median

import pytest

from helpers.lesson_page import PATIENCE, move, open_lesson, wait_for_text

pytestmark = pytest.mark.browser

# From a key to the frame in which the new picture is shown, in ms.
WATCH = """picture => {
    window.moves = [];
    let began = 0;
    document.addEventListener('keydown', () => { began = performance.now(); }, true);
    new MutationObserver(() => {
        const from = began;
        requestAnimationFrame(() => window.moves.push(performance.now() - from));
    }).observe(picture, {childList: true, subtree: true});
}"""


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The page and the first explorer on it, after all cells have run."""
    page, panel = open_lesson(browser, lab("05_interleaving_patterns.ipynb"), "explorer", "Codebooks K", height=1400)
    yield page, panel
    page.close()


def described(panel) -> str:
    """What a screen reader says of the picture."""
    return panel.locator("svg[role=img]").get_attribute("aria-label")


def drawn(panel) -> str:
    return panel.locator("svg[role=img]").evaluate("svg => svg.innerHTML")


def wait_until_described(page, panel, text: str) -> None:
    panel.locator(f'svg[role=img][aria-label*="{text}"]').wait_for()


def step(panel) -> int:
    return int(re.match(r"Step (\d+)", described(panel))[1])


def count(panel, kind: str) -> int:
    """Cells of a kind in the picture, without the one in the legend."""
    paths = panel.locator(f"svg[role=img] path.{kind}")
    return sum(d.count("z") for d in paths.evaluate_all("all => all.map(one => one.getAttribute('d'))")) - 1


def test_each_slider_changes_what_it_should(lesson):
    page, panel = lesson
    wait_until_described(page, panel, "Step 8. parallel: 8 of 8 steps done")  # what "explorer-text-state" left
    before = drawn(panel)
    move(panel, "Step", "ArrowLeft")
    wait_until_described(page, panel, "Step 7. parallel: 7 of 8 steps done")
    assert drawn(panel) != before
    assert count(panel, "known") == 4 * 7 + 7 + 7 + 22  # parallel, flattening, coarse-first, delay
    assert count(panel, "now") == 4 + 1 + 1 + 4
    wait_for_text(panel, "delay before step 7: 4 of 8 frames whole, 3 begun")

    seen = "26 and must ignore 5"
    assert seen in described(panel)
    move(panel, "Look at frame", "ArrowLeft")
    wait_until_described(page, panel, "the chosen code may see 16 and must ignore 15")  # parallel, frame 4
    move(panel, "Look at codebook", "Home")
    wait_until_described(page, panel, "may see 4 and must ignore 27")  # coarse-first, codebook 0 of frame 4
    assert seen not in described(panel)

    move(panel, "Frames T", "ArrowRight")
    wait_until_described(page, panel, "flattening: 7 of 36 steps done")
    move(panel, "Codebooks K", "ArrowLeft")
    wait_until_described(page, panel, "flattening: 7 of 27 steps done")
    assert count(panel, "known") + count(panel, "now") + count(panel, "later") == 4 * 3 * 9


def test_play_counts_the_steps(lesson):
    page, panel = lesson
    move(panel, "Step", "Home")
    wait_until_described(page, panel, "Step 0.")
    buttons = panel.locator(".jupyter-widget-play button, .widget-play button")
    buttons.first.click()
    for _ in range(PATIENCE // 100):  # a busy machine may skip the picture of a step, so none is waited for by number
        if step(panel) >= 3:
            break
        page.wait_for_timeout(100)
    panel.locator("audio").wait_for()
    buttons.first.click()  # the same button pauses
    page.wait_for_timeout(1500)
    stopped = step(panel)
    page.wait_for_timeout(1500)
    assert step(panel) == stopped >= 3, "Play does not count, or goes on after it was paused"


def tab_to(page, label: str) -> None:
    """Press Tab until the control with this label has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        owner = page.evaluate(
            "document.activeElement.closest('.jupyter-widgets.widget-inline-hbox, button')?.textContent ?? ''"
        )
        if owner.strip().startswith(label):
            return
    pytest.fail(f"Tab never reaches {label}")


def test_keyboard_alone_compares_two_patterns(lesson):
    page, panel = lesson
    move(panel, "Step", "Home")
    wait_until_described(page, panel, "Step 0.")
    panel.get_by_role("button", name="all four").focus()
    tab_to(page, "two closely")
    page.keyboard.press("Space")
    wait_for_text(panel, "are read, column")
    assert panel.locator("svg[role=img] path.special").count() == 2
    for label, keys, told in (
        ("First", "pppp", "partial"),  # typing the first letter selects by name
        ("Second", "f", "flattening"),
    ):
        tab_to(page, label)
        for key in keys:
            page.keyboard.press(key)
        wait_until_described(page, panel, told)
    tab_to(page, "Codebooks K")
    page.keyboard.press("End")
    wait_until_described(page, panel, "flattening: ")
    tab_to(page, "Frames T")
    page.keyboard.press("End")
    wait_until_described(page, panel, "of 192 steps done")
    tab_to(page, "Step")
    page.keyboard.press("End")
    wait_until_described(page, panel, "Step 192.")
    wait_for_text(panel, "none, the codec has only 4 codebooks")
    tab_to(page, "Look at codebook")
    page.keyboard.press("End")
    tab_to(page, "Look at frame")
    page.keyboard.press("End")
    wait_until_described(page, panel, "the chosen code may see 191 and must ignore 0")


def test_fifty_moves_are_fast(lesson):
    page, panel = lesson
    move(panel, "Codebooks K", "Home")
    for _ in range(3):
        move(panel, "Codebooks K", "ArrowRight")
    move(panel, "Frames T", "End")
    panel.get_by_role("button", name="all four").click()
    wait_until_described(page, panel, "of 96 steps done")
    move(panel, "Step", "Home")
    wait_until_described(page, panel, "Step 0.")
    picture = panel.locator("svg[role=img]").locator("xpath=..")
    picture.evaluate(WATCH)
    handle = panel.locator(".widget-slider", has_text="Step").locator(".noUi-handle")
    handle.focus()
    for i in range(50):
        handle.press("ArrowRight")
        page.wait_for_function(f"window.moves.length > {i}", polling=100)  # seldom, so as not to slow what is measured
    wait_until_described(page, panel, "Step 50.")
    times = page.evaluate("window.moves")
    print(
        "\n50 moves of the step slider, K = 4, T = 24, four patterns, sound on: from key to picture "
        f"median {median(times):.0f} ms, worst {max(times):.0f} ms (load {os.getloadavg()[0]:.1f})"
    )
    assert len(times) == 50
    assert count(panel, "known") == 3 * 96 + 50  # only flattening is still at work
    busy = os.getloadavg()[0] > os.cpu_count()
    assert median(times) < (300 if busy else 100), "others at work may slow it, nothing else"
