"""Lesson 08 as a learner uses it: opened in JupyterLab, run, and its sampling desk worked by keyboard and mouse."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path
from statistics import median

import pytest
import soundfile

from helpers.lesson_page import TIMED_MOVE, move, open_lesson, wait_for_text

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The page and the panel on it, after all cells have run."""
    page, panel = open_lesson(browser, lab("08_sampling_and_guidance.ipynb"), "desk", "Guidance in", height=1300)
    yield page, panel
    page.close()


def described(panel) -> str:
    return panel.locator("svg").get_attribute("aria-label")


def wait_for_picture(page, panel, words: str) -> None:
    """Until the picture's description holds some words."""
    page.wait_for_function(
        "([panel, words]) => panel.querySelector('svg').getAttribute('aria-label').includes(words)",
        arg=[panel.element_handle(), words],
    )


def heard(source: str) -> tuple[float, float]:
    """Seconds and loudest sample of a WAV data URL."""
    head, data = source.split(",", 1)
    assert head == "data:audio/wav;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    return len(samples) / rate, float(abs(samples).max())


def generate(page, panel, press) -> int:
    """Press Generate in some way; the number of the clip, once both players are on the page."""
    before = re.findall(r"Clip (\d+) is done", panel.inner_text())
    press()
    number = int(before[0]) + 1 if before else 1
    wait_for_text(panel, f"Clip {number} is done:")
    panel.get_by_role("button", name="Generate", disabled=False).wait_for()
    page.wait_for_function(
        "([panel, clip]) => panel.querySelectorAll('audio')[1]?.getAttribute('aria-label').startsWith(clip)",
        arg=[panel.element_handle(), f"Clip {number}:"],
    )
    return number


def test_every_slider_changes_the_picture(lesson):
    """By keyboard: Home is the first place of a slider, End the last, an arrow one step."""
    page, panel = lesson
    panel.get_by_role("button", name="logits").click()
    pictures = []
    for label, keys, told in (
        ("Frame", ("Home", "ArrowRight"), "frame 1;"),
        ("Codebook", ("End",), "codebook 3 of 0 to 3"),
        ("Guidance scale", ("End", "ArrowLeft"), "scale 7.75 in logits"),
        ("Temperature", ("End",), "temperature 2,"),
        ("Top-k", ("Home", "ArrowRight", "ArrowRight", "ArrowRight"), "top-k 5,"),
        ("Top-p", ("Home", "ArrowRight"), "top-p 0.1,"),
    ):
        for key in keys:
            move(panel, label, key)
        wait_for_picture(page, panel, told)
        pictures.append(panel.locator("svg").inner_html())
    assert len(set(pictures)) == len(pictures)
    wait_for_picture(page, panel, "codebook 3 of 0 to 3, frame 1;")
    move(panel, "Top-p", "End")
    wait_for_picture(page, panel, "top-p off")
    wait_for_picture(page, panel, "Drawn from 5 of 1024 tokens")
    move(panel, "Top-k", "End")
    wait_for_picture(page, panel, "Drawn from 1024 of 1024 tokens")
    move(panel, "Temperature", "Home")
    wait_for_picture(page, panel, "temperature 0 (greedy)")
    wait_for_picture(page, panel, "Drawn from 1 of 1024 tokens: 0.00 bits, the likeliest 100.0%")


def test_guidance_in_probabilities_has_a_slider_of_its_own(lesson):
    page, panel = lesson
    panel.get_by_role("button", name="probabilities").focus()
    page.keyboard.press("Space")
    wait_for_picture(page, panel, "in probabilities")
    panel.locator(".widget-slider", has_text="Guidance scale").wait_for(state="hidden")
    move(panel, "Gamma", "End")
    wait_for_picture(page, panel, "gamma 1 in probabilities")
    move(panel, "Gamma", "Home")
    wait_for_picture(page, panel, "gamma 0 in probabilities")
    panel.get_by_role("button", name="square root").click()
    wait_for_text(panel, "square root")
    panel.get_by_role("button", name="logits").click()
    wait_for_picture(page, panel, "in logits")
    panel.locator(".widget-slider", has_text="Gamma").wait_for(state="hidden")


def test_a_slider_follows_the_mouse(lesson):
    page, panel = lesson
    box = panel.locator(".widget-slider", has_text="Guidance scale").locator(".noUi-base").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + box["height"] / 2)
    wait_for_picture(page, panel, "scale 4 in logits")


def test_clips_are_generated_played_and_compared(lesson):
    page, panel = lesson
    panel.get_by_label("Example captions").select_option("a sad organ piece in D minor, no drums")
    wait_for_picture(page, panel, "“a sad organ piece in D minor, no drums”")
    move(panel, "Temperature", "End")
    seed = panel.get_by_role("spinbutton", name="Seed")
    seed.fill("11")
    seed.press("Tab")
    wait_for_picture(page, panel, "seed 11")
    button = panel.get_by_role("button", name="Generate")
    first = generate(page, panel, button.click)
    move(panel, "Temperature", "Home")
    wait_for_picture(page, panel, "temperature 0 (greedy)")
    button.focus()
    second = generate(page, panel, lambda: page.keyboard.press("Space"))
    wait_for_text(panel, f"Clips {first} and {second} differ in temperature: 2 against 0 (greedy).")
    players = panel.locator("audio")
    sources = [player.get_attribute("src") for player in players.all()]
    assert len(set(sources)) == 2
    for player, source in zip(players.all(), sources, strict=True):
        seconds, loudest = heard(source)
        assert 0.5 <= seconds <= 4.0
        assert loudest > 0.01, "the clip is silent"
        assert abs(player.evaluate("a => a.duration") - seconds) < 0.01, "the browser cannot play the clip"
    newest = panel.get_by_label("B", exact=True).evaluate("menu => menu.selectedIndex")
    panel.get_by_label("A", exact=True).select_option(index=newest)
    wait_for_text(panel, f"Both are clip {second}.")
    assert panel.locator("audio").first.get_attribute("src") == sources[1]


def test_an_empty_caption_is_one_sentence(lesson):
    page, panel = lesson
    caption = panel.get_by_label("Caption", exact=True)
    sources = [player.get_attribute("src") for player in panel.locator("audio").all()]
    picture = described(panel)
    caption.fill("")
    panel.get_by_role("button", name="Generate").click()
    wait_for_text(panel, "The caption is empty: write a few words, or choose an example.")
    assert [player.get_attribute("src") for player in panel.locator("audio").all()] == sources
    assert described(panel) == picture
    caption.fill("a lively bell tune")
    caption.press("Enter")
    wait_for_picture(page, panel, "“a lively bell tune”")
    panel.get_by_role("alert").first.wait_for(state="detached")


def test_a_move_is_on_the_page_soon(lesson):
    """Forty presses of an arrow key, each timed on the page. The machine may be busy: the bound is a loose one."""
    page, panel = lesson
    move(panel, "Frame", "Home")
    wait_for_picture(page, panel, "frame 0;")
    handle = panel.locator(".widget-slider", has_text="Frame").locator(".noUi-handle").element_handle()
    times = [page.evaluate(TIMED_MOVE, [panel.element_handle(), handle]) for _ in range(40)]
    print(f"a move of the frame: median {median(times):.0f} ms, worst {max(times):.0f} ms of 40")
    wait_for_picture(page, panel, "frame 40;")
    assert median(times) < 1000
    folder = os.environ.get("MUSICGEN_EDU_SCREENSHOTS")
    if folder:
        panel.screenshot(path=str(Path(folder) / "sampling_desk.png"))
