"""Lesson 01 as a learner uses it: opened in JupyterLab, run, and its listener played with mouse and keyboard."""

from __future__ import annotations

import base64
import io
import itertools

import pytest
import soundfile

from helpers.lesson_page import open_lesson

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(browser, lab):
    """The page and the listener on it, after all cells have run."""
    page, panel = open_lesson(browser, lab("01_sound_as_data.ipynb"), "panel-live", "Bits a sample")
    yield page, panel
    page.close()


class Seen:
    """What the listener shows: its picture, the words on it, and the sound in the player."""

    def __init__(self, panel):
        picture = panel.locator("svg[role=img]").first
        self.words = picture.get_attribute("aria-label")
        self.picture = picture.inner_html()
        self.source = panel.locator("audio").last.get_attribute("src")

    def sound(self) -> tuple[float, float]:
        """Seconds and loudest sample."""
        head, data = self.source.split(",", 1)
        assert head == "data:audio/wav;base64"
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
        return len(samples) / rate, float(abs(samples).max())


def press(panel, label: str, *keys: str) -> None:
    """Focus a slider's handle and press keys."""
    handle = panel.locator(".widget-slider", has_text=label).locator(".noUi-handle")
    handle.focus()
    for key in keys:
        handle.press(key)


def wait_for(panel, text: str) -> Seen:
    """Wait until picture and text say it; the picture's words begin with the settings."""
    panel.locator(f'svg[aria-label*="{text}"]').first.wait_for()
    return Seen(panel)


def test_every_control_changes_text_picture_and_sound(lesson):
    page, panel = lesson
    # Where "panel-text" and "panel-still" have left it.
    seen = [wait_for(panel, "settings: the tune, 3 bits linear, 4000 Hz, level 0 dB")]
    assert panel.get_by_text("8 levels, 12 kbit/s; the clip itself has 256").count() == 1
    assert seen[0].sound()[0] == 3.0
    assert abs(panel.locator("audio").last.evaluate("a => a.duration") - 3) < 0.01, "the browser cannot play the clip"

    press(panel, "Bits a sample", "ArrowRight")
    seen.append(wait_for(panel, "the tune, 4 bits linear, 4000 Hz, level"))
    assert panel.get_by_text("16 levels, 16 kbit/s").count() == 1
    press(panel, "Sample rate", "ArrowRight")
    seen.append(wait_for(panel, "4 bits linear, 8000 Hz, level"))
    press(panel, "Level", "Home")
    seen.append(wait_for(panel, "8000 Hz, level -60 dB"))
    panel.get_by_label("Levels", exact=True).select_option("mu-law")
    seen.append(wait_for(panel, "4 bits mu-law, 8000 Hz, level -60 dB"))
    panel.get_by_label("Clip", exact=True).select_option("the recording")
    seen.append(wait_for(panel, "settings: the recording, 4 bits mu-law"))
    page.keyboard.press("Tab")
    press(panel, "Sample rate", "Home")
    seen.append(wait_for(panel, "4 bits mu-law, 1000 Hz, level"))
    box = panel.get_by_role("checkbox")
    box.focus()
    box.press("Space")
    seen.append(wait_for(panel, "1000 Hz without low-pass filter, level"))

    for a, b in itertools.pairwise(seen):
        assert a.words != b.words
        assert a.picture != b.picture
        assert a.source != b.source
    assert all(0.01 < one.sound()[1] <= 1 for one in seen)


def test_the_keyboard_alone_reaches_every_control_in_order(lesson):
    page, panel = lesson
    panel.get_by_label("Clip", exact=True).focus()
    wanted = ["Bits a sample", "Levels", "Sample rate", "Low-pass", "Level (dB)"]
    reached = []
    for _ in range(2 * len(wanted)):  # a slider is two stops: its handle, and its number to type into
        page.keyboard.press("Tab")
        text = page.evaluate("document.activeElement.closest('.widget-inline-hbox')?.innerText ?? ''")
        reached += [one for one in wanted if one in text and one not in reached]
    assert reached == wanted
