"""The app as a visitor uses it, and the notebook's live player, in Chromium."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import pytest
import soundfile
import torch

from helpers.instrument import RATE, Instrument
from musicgen_edu import MusicGen
from musicgen_edu.app.request import Limits
from musicgen_edu.app.service import Models, Service
from musicgen_edu.app.texts import TEXTS, TINY_EXAMPLES
from musicgen_edu.widgets.stream_player.drawing import live_player
from musicgen_edu.widgets.stream_player.live_sound import LiveServer, LiveSound

pytest.importorskip("gradio")
pytestmark = pytest.mark.browser
SECONDS, STEP_SECONDS = 8.0, 0.015
AUDIO = "() => { const a = document.querySelector('audio'); return a ? [a.currentTime, a.paused, a.duration] : null }"


@pytest.fixture(scope="module")
def models():
    """The shipped one, and two that are slow on purpose."""
    noise, slower = (Instrument(seconds, max_seconds=30.0, codebook_size=2048) for seconds in (STEP_SECONDS, 0.06))
    return {"tiny": MusicGen.from_pretrained("tiny", device="cpu"), "noise": noise, "slow noise": slower}


@pytest.fixture(scope="module")
def service(models):
    return Service(Models(models, models.__getitem__), Limits(queue=1))


@pytest.fixture(scope="module")
def served(service):
    from musicgen_edu.app.serve import launch

    page = launch(service, block=False)
    yield page.blocks.local_url
    page.blocks.close()


@pytest.fixture(scope="module")
def context(browser):
    """A window, and every request that its pages make."""
    context = browser.new_context(viewport={"width": 1000, "height": 1100}, accept_downloads=True)
    context.set_default_timeout(30_000)
    context.requests = []
    context.on("request", lambda request: context.requests.append(request.url))
    yield context
    context.close()


@pytest.fixture
def page(context, served):
    """The page of the app, ready to be used."""
    page = context.new_page()
    page.goto(served)
    page.get_by_text("Press Generate.").wait_for()
    yield page
    hosts = {urlsplit(url).hostname for url in context.requests if not url.startswith(("blob:", "data:"))}
    assert hosts == {"127.0.0.1"}, "the page asked somebody else"
    assert len(context.requests) > 5
    page.close()


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def fill(page, name: str, value: str) -> None:
    field = page.locator(f"#{name} input")
    field.fill(value)
    field.press("Tab")


def choose_model(page, name: str) -> None:
    page.locator("#model input").click()
    page.get_by_role("option", name=name, exact=True).click()


def news(page) -> str:
    return page.locator("#news").inner_text()


def wait_for_news(page, words: str) -> None:
    page.locator("#news", has_text=words).wait_for()


def test_it_plays_before_generation_has_ended(page):
    choose_model(page, "noise")
    page.get_by_label("Prompt").fill("a noise")
    fill(page, "seconds", str(SECONDS))
    fill(page, "chunk_seconds", "1")
    begin = time.monotonic()
    button(page, "Generate").click()
    first, places = None, []
    while "Done" not in (told := news(page)) and time.monotonic() - begin < 40:
        state = page.evaluate(AUDIO)
        if state and state[0] > 0.05:
            first = first or time.monotonic() - begin
            places.append((state[0], told))
        page.wait_for_timeout(50)
    total = time.monotonic() - begin
    wait_for_news(page, "Done")
    page.wait_for_timeout(300)
    at, paused, _ = page.evaluate(AUDIO)
    assert at > SECONDS - 0.5 or not paused, "it must play on when all is made"
    assert first, "nothing was heard before the end"
    print(f"first sound heard after {first:.2f} s, the whole of {SECONDS:g} s made after {total:.2f} s")
    working = [place for place, told in places if "Generating and playing" in told]
    assert first < total
    assert max(working) - min(working) > 0.5, "it must go on playing while it is being made"
    page.wait_for_function("() => document.querySelector('audio').duration > 7.9")
    assert page.evaluate(AUDIO)[2] == pytest.approx(SECONDS, abs=0.2)  # AAC comes in frames of 64 ms


def test_stop_ends_the_work_clear_empties_the_page_and_the_download_is_the_clip(page, models, tmp_path):
    choose_model(page, "noise")
    page.get_by_label("Prompt").fill("a long noise")
    fill(page, "seconds", "30")
    assert button(page, "Stop").is_disabled()
    button(page, "Generate").click()
    wait_for_news(page, "Generating and playing")
    assert button(page, "Generate").is_disabled()
    button(page, "Stop").click()
    wait_for_news(page, "Stopped.")
    steps, (place, paused, _) = models["noise"].steps, page.evaluate(AUDIO)
    assert paused, "it still plays"
    page.wait_for_timeout(20 * 1000 * STEP_SECONDS)
    assert models["noise"].steps == steps, "it still works"
    assert page.evaluate(AUDIO)[0] == place

    button(page, "Clear").click()
    wait_for_news(page, "Cleared.")
    assert page.get_by_label("Prompt").input_value() == ""
    assert page.locator("audio").count() == 0 or page.evaluate(AUDIO)[0] == 0
    button(page, "Generate").click()
    wait_for_news(page, "The prompt is empty")
    assert page.locator("#news [role=alert]").count() == 1

    choose_model(page, "tiny")
    page.get_by_text(TINY_EXAMPLES[1][0]).click()
    page.wait_for_function(f"() => document.querySelector('#prompt textarea').value === '{TINY_EXAMPLES[1][0]}'")
    fill(page, "seconds", "1")
    fill(page, "seed", "7")
    button(page, "Generate").click()
    wait_for_news(page, "Seed 7.")
    with page.expect_download() as download:
        page.get_by_text("Download WAV").click()
    download.value.save_as(tmp_path / "clip.wav")
    samples, rate = soundfile.read(tmp_path / "clip.wav", dtype="float32")
    whole = models["tiny"].generate([TINY_EXAMPLES[1][0]], 1.0, seed=7)[0, 0].numpy()
    assert rate == models["tiny"].sample_rate
    assert samples.shape == whole.shape
    assert abs(samples - whole.clip(-1, 1)).max() <= 1 / 32768 + 1e-4 * abs(whole).max()


def test_closing_the_page_ends_the_work(page, models):
    choose_model(page, "noise")
    page.get_by_label("Prompt").fill("a long noise")
    fill(page, "seconds", "30")
    fill(page, "chunk_seconds", "0.5")
    button(page, "Generate").click()
    wait_for_news(page, "Generating and playing")
    page.goto("about:blank")
    end = time.monotonic() + 5
    while time.monotonic() < end:  # the server learns of it a moment later
        steps = models["noise"].steps
        page.wait_for_timeout(20 * 1000 * STEP_SECONDS)
        if models["noise"].steps == steps:
            return
    pytest.fail("it still works for nobody")


def begin_noise(page, seconds: str, model: str = "noise") -> None:
    choose_model(page, model)
    page.get_by_label("Prompt").fill("a noise")
    fill(page, "seconds", seconds)
    fill(page, "chunk_seconds", "0.5")
    button(page, "Generate").click()


def test_who_closes_the_page_makes_room_in_the_queue_and_at_work(browser, served, service):
    # Each with a window of its own: a browser opens six connections to a server, and a page that waits keeps two.
    first, second, third, fourth = visitors = [browser.new_page() for _ in range(4)]
    try:
        for visitor in visitors:
            visitor.set_default_timeout(30_000)
            visitor.goto(served)
            visitor.get_by_text("Press Generate.").wait_for()
        begin_noise(first, "30", "slow noise")
        wait_for_news(first, "Generating and playing")
        begin_noise(second, "2")
        wait_for_news(second, "Waiting: number 1 of 1 in the queue.")
        begin_noise(third, "2")
        wait_for_news(third, "The queue is full: 1 waiting.")
        second.close()
        end = time.monotonic() + 10
        while service.line.waiting and time.monotonic() < end:  # the server learns of it a moment later
            third.wait_for_timeout(20)
        button(third, "Generate").click()
        wait_for_news(third, "Waiting: number 1 of 1 in the queue.")
        button(third, "Stop").click()
        wait_for_news(third, "Stopped.")
        begin_noise(fourth, "2")
        wait_for_news(fourth, "Waiting: number 1 of 1 in the queue.")
        assert "Generating and playing" in news(first)
        first.close()
        begin = time.monotonic()
        wait_for_news(fourth, "Done: 2.0 s of music")
        assert time.monotonic() - begin < 20, "the 30 s of the first visitor take longer"
    finally:
        for visitor in visitors:
            visitor.close()


def test_the_language_switch_changes_the_whole_page(page):
    english = page.locator("body").inner_text()
    page.get_by_label("中文").click()
    wait_for_news(page, TEXTS["zh"]["ready"])
    assert page.evaluate("document.documentElement.lang") == "zh"
    chinese = page.locator("body").inner_text()
    kept = {"English", "中文", "tiny", "Top-k", "▼"}
    left = [line for line in english.splitlines() if line.strip() and line in chinese.splitlines()]
    assert set(left) <= kept, "these lines stayed English"
    page.get_by_label(TEXTS["zh"]["prompt"]).fill("平静的铃声")
    page.get_by_text(TEXTS["zh"]["hint"]).wait_for()
    fill(page, "seconds", "99")
    button(page, TEXTS["zh"]["generate"]).click()
    wait_for_news(page, "“时长（秒）”必须是 0.5 到 30 之间的数，而不是 99。")
    page.get_by_label("English").click()
    wait_for_news(page, "“Length (s)” must be a number from 0.5 to 30, not 99.")  # what was told is told again
    page.get_by_text(TEXTS["en"]["hint"]).wait_for()


def test_a_recording_is_named_and_a_file_without_sound_refused(page, tmp_path):
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    soundfile.write(good, 0.1 * torch.randn(8000).numpy(), 16000)
    bad.write_text("no sound")
    page.locator("#upload input[type=file], input#upload[type=file], input[type=file]").first.set_input_files(bad)
    page.get_by_text(TEXTS["en"]["not_audio"]).wait_for()
    page.locator("#upload input[type=file], input#upload[type=file], input[type=file]").first.set_input_files(good)
    page.get_by_text("Goes on from good.wav, 0.5 s.").wait_for()
    page.get_by_label("中文").click()
    page.get_by_text("从 good.wav（0.5 秒）续写").wait_for()
    page.get_by_label("English").click()
    page.get_by_text("Goes on from good.wav, 0.5 s.").wait_for()
    button(page, "Without the recording").click()
    page.get_by_text("Goes on from good.wav").wait_for(state="detached")
    assert button(page, "Without the recording").count() == 0


def test_the_notebook_player_keeps_its_place_while_the_sound_grows(context, served):
    server, sound = LiveServer(), LiveSound(RATE, 6 * RATE)
    page = context.new_page()
    try:
        page.goto(served)  # any page of this computer will do: others may not ask it for sounds
        page.evaluate("html => { document.body.innerHTML = html }", live_player(server.add(sound)))
        page.mouse.click(5, 5)  # browsers play nothing before that
        threading.Thread(target=page_feed, args=[sound], daemon=True).start()
        page.evaluate("() => { document.querySelector('audio').play() }")
        begin = time.monotonic()
        page.wait_for_function("() => document.querySelector('audio').currentTime > 0.2")
        first, complete = time.monotonic() - begin, sound.ended
        print(f"notebook player: heard after {first:.2f} s, while the sound was still growing: {not complete}")
        assert not complete
        at = page.evaluate(AUDIO)[0]
        page.wait_for_function("place => document.querySelector('audio').currentTime > place + 1", arg=at)
        assert page.evaluate(AUDIO)[2] == pytest.approx(6.0, abs=0.01)
    finally:
        page.close()
        server.close()


def page_feed(sound: LiveSound) -> None:
    """Six seconds of noise, a second of it each 0.6 s."""
    for _ in range(6):
        sound.feed(0.05 * torch.randn(1, RATE))
        time.sleep(0.6)
    sound.end()
