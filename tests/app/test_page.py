"""The page without a browser: its words, its components, and what using one does."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
import soundfile
import torch

pytest.importorskip("gradio")

from helpers.instrument import RATE, recording, service
from musicgen_edu.app.layout import NUMBERS
from musicgen_edu.app.page import Page, news_html, stream_pieces
from musicgen_edu.app.service import News
from musicgen_edu.app.texts import EXAMPLES


@pytest.fixture(scope="module")
def page() -> Page:
    """One for all tests: it keeps nothing of a request that has ended."""
    return Page(service())


def test_every_text_of_the_page_changes_with_the_language(page):
    english, chinese = page.layout.words("en"), page.layout.words("zh")
    assert set(english) == set(chinese)

    def told(update) -> list[str]:
        if isinstance(update, dict):
            return [str(update[key]) for key in ("label", "value", "info", "placeholder") if update.get(key)]
        given = update._constructor_args[0]
        return [given["label"], *(text for (text,) in given["samples"])]

    for name in english:
        pairs = list(zip(told(english[name]), told(chinese[name]), strict=True))
        assert pairs
        assert all(a != b or a == "Top-k" for a, b in pairs), name
    labelled = {"prompt", "model", "seconds", "chunk_seconds", "seed", "guidance_scale", "top_k", "temperature"}
    assert labelled | {"generate", "stop", "clear", "download", "upload", "player", "language"} <= set(english)


def test_the_page_says_what_tiny_knows(page):
    assert "knows only these sounds" in page.layout.words("en", "tiny")["about"]["value"]
    assert page.layout.words("en", "tiny")["tiny_examples"].visible
    assert "CC-BY-NC" in page.layout.words("en", "other")["about"]["value"]
    assert not page.layout.words("en", "other")["tiny_examples"].visible


def test_markup_in_a_message_is_shown_as_text():
    shown = news_html(News("error", (("failed", {"reason": "<script>alert(1)</script>"}),)), "en")
    assert "<script>" not in shown
    assert 'role="alert"' in shown
    assert "<b>Error.</b>" in shown


def test_an_example_fills_in_what_the_model_reads(page, monkeypatch):
    use = page._example(EXAMPLES)
    assert use(1, "zh") == use(1, "en") == EXAMPLES[1][0]
    monkeypatch.setattr(page.service, "translator", lambda text: text)
    assert use(1, "zh") == EXAMPLES[1][1]


def test_an_uploaded_file_is_checked_at_once(page, tmp_path):
    path, told, note, forget = page.take(recording(tmp_path / "a <b>.wav", 0.5), "en")
    assert path
    assert "a &lt;b&gt;.wav, 0.5 s" in note["value"]
    assert forget["visible"]
    noted = page.reword("zh", "tiny", "", News("ready", (("ready", {}),)), told)[-1]
    assert "a &lt;b&gt;.wav（0.5 秒）续写" in noted, "it must change with the language"
    path, told, note, forget = page.drop()
    assert path is told is None
    assert not note["visible"]
    assert not forget["visible"]
    bad = tmp_path / "b.wav"
    bad.write_text("words")
    path, _, note, forget = page.take(str(bad), "zh")
    assert path is None
    assert "无法从这个文件读出声音" in note["value"]
    assert not forget["visible"]


def test_a_request_that_is_refused_leaves_the_file_of_the_last_clip(page):
    def buttons(prompt: str) -> list:
        return [told[1] for told in page.work(prompt, 0.5, 0.5, 5, 3.0, 8, 1.0, "tiny", None, "en")]

    made = buttons("a bell")
    assert made[-1]["interactive"]
    assert all(not update.get("interactive") for update in made[:-1])
    assert "interactive" not in buttons(" ")[-1]


def work_of(page, who: str):
    """A request of a visitor, begun: what the page is told from then on."""
    told = page.work("a bell", 2.0, 0.5, 5, 3.0, 8, 1.0, "tiny", None, "en", SimpleNamespace(session_hash=who))
    assert any("Generating" in update[2] for update in told)  # reads on until then
    return told


@pytest.mark.parametrize("use", [Page.end, Page.leave, lambda page, who: page.wipe("en", who)])
def test_stop_clear_and_leaving_end_the_work_of_that_visitor_alone(page, use):
    told = work_of(page, "anna")
    use(page, SimpleNamespace(session_hash="bert"))
    assert "Stopped" not in next(told)[2]
    use(page, SimpleNamespace(session_hash="anna"))
    assert "Stopped." in list(told)[-1][2]
    assert page.stops == {}


def test_the_language_may_change_while_a_clip_is_being_made(page):
    told = work_of(page, "anna")
    page.reword("zh", "tiny", "", News("ready", ()), None, SimpleNamespace(session_hash="anna"))
    assert "完成" in list(told)[-1][2]


def test_what_the_browser_keeps_of_the_news_holds_no_sound(page):
    kept = [update[3] for update in work_of(page, "anna")]
    assert kept[-1].state == "done"
    assert all(news.sound is news.clip is None for news in kept)


def test_a_file_that_cannot_be_written_is_told_with_the_seed_and_the_page_goes_on(page, monkeypatch):
    def refuse(*anything):
        raise OSError("cannot write a.wav: No space left on device")

    monkeypatch.setattr("musicgen_edu.app.page.write_audio", refuse)
    updates = list(work_of(page, "anna"))
    assert any(isinstance(update[0], bytes) for update in updates), "the music is played all the same"
    _, file, told, kept, generate, stop = updates[-1]
    assert "could not be written: cannot write a.wav: No space left on device. Seed 5 makes" in told
    assert (kept.state, file["interactive"], generate["interactive"], stop["interactive"]) == (
        "error",
        False,
        True,
        False,
    )


def test_numbers_reach_the_service_as_they_were_typed(page):
    for name in NUMBERS:
        assert getattr(page.layout, name).preprocess(2.5) == 2.5, name
    ends = list(page.work("a bell", 0.5, 0.5, 2.5, 3.0, 8, 1.0, "tiny", None, "en"))
    assert "“Seed” must be a whole number, not 2.5." in ends[-1][2]


def test_pieces_for_the_player_are_the_sound():
    for length in (1, 2048, 2049, 9000):
        sound = 0.1 * torch.randn(1, length)
        pieces = stream_pieces(sound, RATE)
        assert len(pieces) == 1 + (length > 2048)
        samples = [soundfile.read(io.BytesIO(piece), dtype="float32")[0] for piece in pieces]
        joined = torch.cat([torch.from_numpy(part) for part in samples])
        assert joined.shape == (length,)
        assert (joined - sound[0]).abs().max() <= 1 / 32768
