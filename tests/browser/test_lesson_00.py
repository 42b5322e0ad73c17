"""Lesson 00 as a learner uses it: opened in JupyterLab, run, and its panel played with mouse and keyboard."""

from __future__ import annotations

import base64
import io

import pytest
import soundfile

from helpers.lesson_page import move, open_lesson, wait_for_text

pytestmark = pytest.mark.browser


def clip_source(panel) -> str | None:
    """The data URL of the panel's player, or None while there is none."""
    audio = panel.locator("audio")
    return audio.get_attribute("src") if audio.count() else None


def heard(source: str) -> tuple[float, float]:
    """Seconds and loudest sample of a WAV data URL."""
    head, data = source.split(",", 1)
    assert head == "data:audio/wav;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    return len(samples) / rate, float(abs(samples).max())


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The page and the panel on it, after all cells have run."""
    page, panel = open_lesson(browser, lab("00_hear_it_first.ipynb"), "panel-live", "Generate", height=900)
    yield page, panel
    page.close()


def test_the_lesson_runs_and_its_panel_plays(lesson):
    page, panel = lesson

    # What "panel-still" generated from code is already there.
    wait_for_text(panel, "Done:")
    first = clip_source(panel)
    assert heard(first)[0] == 1.0

    # Every control, and the text that answers to it.
    panel.get_by_label("Example prompts").select_option("a sad organ piece in D minor, no drums")
    prompt = panel.get_by_label("Prompt", exact=True)
    page.wait_for_function(  # the kernel answers, so this takes a moment
        "box => box.value === 'a sad organ piece in D minor, no drums'", arg=prompt.element_handle()
    )
    move(panel, "Length", "ArrowRight")
    wait_for_text(panel, "1.5 s = 75 frames, made in 78 steps.")
    move(panel, "Guidance", "Home")
    wait_for_text(panel, "Each step asks the model once, without the text.")
    move(panel, "Guidance", "ArrowRight")
    move(panel, "Guidance", "ArrowRight")
    wait_for_text(panel, "Each step asks the model once, with the text.")
    seed = panel.get_by_role("spinbutton", name="Seed")
    seed.fill("11")
    seed.press("Tab")

    # Generate by mouse.
    panel.get_by_role("button", name="Generate").click()
    wait_for_text(panel, "Done: “a sad organ piece in D minor, no drums”, 1.5 s, guidance 1, seed 11.")
    second = clip_source(panel)
    seconds, loudest = heard(second)
    assert second != first
    assert seconds == 1.5
    assert loudest > 0.01, "the clip is silent"
    assert panel.get_by_role("img").get_attribute("alt").startswith("mel spectrogram of: “a sad organ")
    assert abs(panel.locator("audio").evaluate("a => a.duration") - 1.5) < 0.01, "the browser cannot play the clip"

    # An empty prompt: one sentence, and the last clip stays.
    prompt.fill("")
    panel.get_by_role("button", name="Generate").click()
    wait_for_text(panel, "The prompt is empty: write a few words, or choose an example.")
    assert clip_source(panel) == second

    # Generate by keyboard alone.
    prompt.fill("a lively bell tune")
    seed.press("ArrowUp")
    seed.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Generate"
    page.keyboard.press("Space")
    wait_for_text(panel, "Done: “a lively bell tune”, 1.5 s, guidance 1, seed 12.")
    third = clip_source(panel)
    assert third != second
    assert heard(third)[1] > 0.01


def test_stop_is_heard_while_the_model_works(lesson):
    page, panel = lesson
    before = clip_source(panel)
    move(panel, "Length", "End")
    wait_for_text(panel, "10 s = 500 frames")
    panel.get_by_role("button", name="Generate").click()
    wait_for_text(panel, "Generating: step")
    panel.get_by_role("button", name="Stop").click()
    wait_for_text(panel, "Stopped after")
    assert clip_source(panel) == before
