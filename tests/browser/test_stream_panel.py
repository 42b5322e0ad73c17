"""The panel that plays while it generates, in JupyterLab: played, stopped, cleared, and the kernel free meanwhile."""

from __future__ import annotations

import json

import pytest
import soundfile
import torch

from helpers.lesson_page import move, open_lesson, wait_for_text
from musicgen_edu import MusicGen
from musicgen_edu.widgets.generator import EXAMPLES

pytestmark = pytest.mark.browser
SHOWN = """import time

from musicgen_edu import MusicGen
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.widgets.stream_player import StreamPanel

step = QuickLM.step


def slow_step(*given):  # so that a fast machine has not made all of it before the browser begins to play
    time.sleep(0.01)
    return step(*given)


QuickLM.step = slow_step
panel = StreamPanel(MusicGen.from_pretrained("tiny", device="cpu"))
panel"""
AUDIO = "() => [...document.querySelectorAll('.widget-vbox audio')].map(a => [a.currentTime, a.paused, a.duration])"
ASK_KERNEL = """async () => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const asked = kernel.requestExecute({code: "print(panel.generator.status, 6 * 7)"});
    let answer = "";
    asked.onIOPub = message => { if (message.header.msg_type === "stream") answer += message.content.text; };
    await asked.done;
    return answer.trim();
}"""


@pytest.fixture(scope="module")
def shown(browser, lab, tmp_path_factory):
    """The page and the panel on it."""
    cell = {"cell_type": "code", "id": "panel", "metadata": {}, "source": SHOWN, "outputs": [], "execution_count": None}
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": python}, "cells": [cell]}
    path = tmp_path_factory.mktemp("notebook") / "panel.ipynb"
    path.write_text(json.dumps(notebook))
    page, panel = open_lesson(browser, lab(path), "panel", "Chunk (s)")
    yield page, panel
    page.close()


def press(panel, name: str) -> None:
    panel.get_by_role("button", name=name).click()


def test_it_plays_while_the_kernel_works_and_is_free_for_others(shown):
    page, panel = shown
    move(panel, "Length", "End")
    press(panel, "Generate")
    page.wait_for_function(f"() => (({AUDIO})()[0] ?? [0])[0] > 0.05", polling=50)
    assert page.evaluate(ASK_KERNEL) == "generating 42", "heard only when all was made, or the kernel was busy"
    wait_for_text(panel, "Done:")
    live, whole = page.evaluate(AUDIO)
    assert live[2] == whole[2] == 10


def test_stop_silences_it_and_the_kernel_goes_on(shown):
    page, panel = shown
    press(panel, "Generate")
    page.wait_for_function(f"() => (({AUDIO})()[0] ?? [9])[0] < 5 && !({AUDIO})()[0][1]", polling=50)
    press(panel, "Stop")
    wait_for_text(panel, "Stopped after")
    page.wait_for_function(f"() => ({AUDIO})().every(([at, paused, length]) => paused)")
    assert page.evaluate(ASK_KERNEL) == "stopped 42"


def test_a_recording_is_gone_on_from_and_the_download_is_the_clip(shown, tmp_path):
    page, panel = shown
    sound = 0.1 * torch.sin(torch.arange(8000) * 0.2)
    soundfile.write(tmp_path / "tone.wav", sound.numpy(), 16000)
    with page.expect_file_chooser() as chooser:
        press(panel, "Go on from a recording")
    chooser.value.set_files(tmp_path / "tone.wav")
    wait_for_text(panel, "Goes on from tone.wav, 0.5 s.")
    move(panel, "Length", "Home")
    wait_for_text(panel, "1 s = 50 frames")
    press(panel, "Generate")
    wait_for_text(panel, "1 s, guidance 3, seed 5, top-k 250, temperature 1, chunks of 1 s.")
    with page.expect_download() as download:
        panel.get_by_text("Download WAV").click()
    download.value.save_as(tmp_path / "clip.wav")
    clip, rate = soundfile.read(tmp_path / "clip.wav", dtype="float32")
    given, _ = soundfile.read(tmp_path / "tone.wav", dtype="float32")
    model = MusicGen.from_pretrained("tiny", device="cpu")
    options = {"prompt_audio": torch.from_numpy(given)[None], "prompt_sample_rate": 16000}
    whole = model.generate([EXAMPLES[0]], 1.0, seed=5, **options)[0, 0].clamp(-1, 1)
    assert rate == model.sample_rate
    torch.testing.assert_close(torch.from_numpy(clip), whole, rtol=0, atol=1.5 / 32768)


def test_clear_empties_it_and_an_example_fills_it_again(shown):
    page, panel = shown
    press(panel, "Clear")
    wait_for_text(panel, "Cleared.")
    assert page.evaluate(AUDIO) == []
    press(panel, "Generate")
    wait_for_text(panel, "The prompt is empty: write a few words, or choose an example.")
    panel.get_by_label("Example prompts").select_option(EXAMPLES[1])
    page.wait_for_function("words => document.querySelector('.widget-text input').value === words", arg=EXAMPLES[1])
    press(panel, "Generate")
    wait_for_text(panel, f"Done: “{EXAMPLES[1]}”, 1 s")
    assert page.evaluate(ASK_KERNEL) == "done 42"
