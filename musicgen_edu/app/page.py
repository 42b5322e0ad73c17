"""The page of the app: what happens when one of its components is used, and how news are shown."""

from __future__ import annotations

import html
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from torch import Tensor

from ..model.audio import wav_bytes, write_audio
from .layout import NUMBERS, Layout
from .recording import recording_seconds
from .request import Refused, Request
from .service import News, Service
from .texts import EXAMPLES, TINY_EXAMPLES, say
from .translation import first_line

LAST_PIECE = 2048  # samples, two frames of AAC
ENCODER_SECONDS = 0.03  # what it takes over a chunk
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}  # for what does no work
PAUSE = "() => document.querySelectorAll('#player audio').forEach(sound => sound.pause())"
SPEAK = "language => { document.documentElement.lang = language }"  # for screen readers, and the forms of characters


def news_html(news: News, language: str) -> str:
    """News as HTML that screen readers tell; an error is told by a word and a frame, not by colour alone."""
    told = "<br>".join(html.escape(say(language, key, **values)) for key, values in news.lines)
    bar = f'<progress max="1" value="{news.share:.3f}"></progress>' if news.state == "working" else ""
    if news.state == "error":
        return f'<div class="news error" role="alert"><b>{html.escape(say(language, "error"))}</b> {told}</div>'
    return f'<div class="news {news.state}" role="status">{told}{bar}</div>'


def stream_pieces(sound: Tensor, sample_rate: int) -> list[bytes]:
    """A chunk [C, n] as two WAV files, the second one short.

    Gradio sends on what its encoder has ready when a piece comes in, which is the sound of the pieces before: without
    the short one every chunk would be heard only when the next one is made.
    """
    cut = max(0, sound.shape[-1] - LAST_PIECE)
    return [wav_bytes(part, sample_rate) for part in (sound[..., :cut], sound[..., cut:]) if part.shape[-1]]


class Page:
    """The layout, and what happens when one of its components is used.

    Args:
        service: what meets the requests.
    """

    def __init__(self, service: Service):
        self.service, self.layout = service, Layout(service)
        self.blocks = self.layout.blocks
        self.folder = tempfile.TemporaryDirectory(prefix="musicgen-edu-app-")  # of the WAV files being handed out
        self.stops: dict[str, threading.Event] = {}  # of the visitors whose request is being met
        self.languages: dict[str, str] = {}  # of all visitors: one may switch while a request is being met
        with self.blocks:
            self._connect_request()
            self._connect_words()
            self._connect_recording()
            self.blocks.unload(self.leave)

    def _connect_request(self) -> None:
        at = self.layout
        numbers = [getattr(at, name) for name in NUMBERS]
        outcome = [at.player, at.download, at.news, at.told, at.generate, at.stop]
        at.generate.click(None, js=PAUSE)  # the last clip; before `work`, for a page does one thing after the other
        at.generate.click(
            self.work,
            [at.prompt, *numbers, at.model, at.recording, at.language],
            outcome,
            concurrency_limit=None,
            show_progress="hidden",
            api_name="generate",
        )
        at.stop.click(self.end, None, None, js=PAUSE, **QUICK)

    def _connect_words(self) -> None:
        at = self.layout
        worded = [getattr(at, name) for name in at.words("en")]
        gr.on(
            [at.language.change, at.model.change, at.blocks.load],
            self.reword,
            [at.language, at.model, at.prompt, at.told, at.recording_told],
            [*worded, at.hint, at.news, at.recording_note],
            **QUICK,
        )
        at.language.change(None, at.language, js=SPEAK)
        at.prompt.change(self.tell_hint, [at.prompt, at.language], at.hint, **QUICK)
        for examples, rows in ((at.tiny_examples, TINY_EXAMPLES), (at.examples, EXAMPLES)):
            examples.click(self._example(rows), [examples, at.language], at.prompt, **QUICK)

    def _connect_recording(self) -> None:
        at = self.layout
        given = [at.recording, at.recording_told, at.recording_note, at.forget]
        at.upload.upload(self.take, [at.upload, at.language], given, **QUICK)
        at.forget.click(self.drop, None, given, **QUICK)
        cleared = [at.prompt, at.hint, *given, at.player, at.download, at.news, at.told]
        at.clear.click(self.wipe, at.language, cleared, **QUICK)

    def reword(
        self,
        language: str,
        model: str,
        prompt: str,
        told: News,
        recording_told: News | None,
        visitor: gr.Request = None,
    ) -> list[Any]:
        """The whole page in another language, or about another model."""
        self.languages[visitor.session_hash if visitor else ""] = language
        note = gr.skip() if recording_told is None else news_html(recording_told, language)
        worded = self.layout.words(language, model).values()
        return [*worded, self.tell_hint(prompt, language), news_html(told, language), note]

    def tell_hint(self, prompt: str, language: str) -> dict:
        """The hint below a prompt that nobody can read."""
        hints = self.service.hints(prompt or "")
        return gr.update(value=news_html(News("ready", hints), language), visible=bool(hints))

    def _example(self, rows: tuple[tuple[str, str], ...]):
        def use(index: int, language: str) -> str:
            english, chinese = rows[index]
            return chinese if language == "zh" and self.service.translator else english

        return use

    def take(self, file: str, language: str) -> tuple[str | None, News, dict, dict]:
        """A recording that was uploaded, what to say of it, and whether it can be dropped again."""
        try:
            told = ("recording", {"name": Path(file).name, "seconds": recording_seconds(file)})
            news = News("ready", (told,))
        except Refused as refused:
            file, news = None, News("error", (refused.line,))
        note = gr.update(value=news_html(news, language), visible=True)
        return file, news, note, gr.update(visible=file is not None)

    def drop(self) -> tuple[None, None, dict, dict]:
        """No recording to go on from."""
        return None, None, gr.update(value="", visible=False), gr.update(visible=False)

    def work(
        self,
        prompt: str,
        seconds: float | None,
        chunk_seconds: float | None,
        seed: int | None,
        guidance_scale: float | None,
        top_k: int | None,
        temperature: float | None,
        model: str,
        recording: str | None,
        language: str,
        visitor: gr.Request = None,
    ) -> Iterator[tuple]:
        """Meet a request: the next piece of sound, the file, news, and which buttons can be pressed."""
        numbers = (seconds, chunk_seconds, seed, guidance_scale, top_k, temperature)
        request = Request(prompt or "", *numbers, model=model, recording=recording)
        who = visitor.session_hash if visitor else ""
        stop = self.stops[who] = threading.Event()
        self.languages[who] = language
        try:
            for news in self.service.run(request, stop):
                yield from self._tell(news, self.languages.get(who, language))
        finally:
            if self.stops.get(who) is stop:
                del self.stops[who]

    def _tell(self, news: News, language: str) -> Iterator[tuple]:
        busy = news.state in ("waiting", "working")
        buttons = gr.update(interactive=not busy), gr.update(interactive=busy)
        told = news_html(news, language), replace(news, sound=None, clip=None)
        if news.sound is not None:
            for piece in stream_pieces(news.sound, news.sample_rate):
                yield piece, gr.skip(), *told, *buttons
                time.sleep(ENCODER_SECONDS)
        elif news.clip is None:  # a request that was refused leaves the last clip's file
            file = gr.skip() if news.state == "error" else gr.update(interactive=False)
            yield gr.skip(), file, *told, *buttons
        else:
            yield from self._hand_out(news, language, told, buttons)

    def _hand_out(self, news: News, language: str, told: tuple, buttons: tuple) -> Iterator[tuple]:
        try:
            with tempfile.TemporaryDirectory(dir=self.folder.name) as folder:
                file = Path(folder) / f"musicgen-edu-seed-{news.seed}.wav"
                write_audio(file, news.clip, news.sample_rate)
                yield gr.skip(), gr.update(value=file, interactive=True), *told, *buttons  # Gradio takes a copy
        except OSError as error:  # the music has been played
            lost = News("error", (*news.lines, ("no_file", {"reason": first_line(error), "seed": news.seed})))
            yield gr.skip(), gr.update(interactive=False), news_html(lost, language), lost, *buttons

    def leave(self, visitor: gr.Request) -> None:
        """What closing the page does."""
        self.end(visitor)
        self.languages.pop(visitor.session_hash, None)

    def end(self, visitor: gr.Request = None) -> None:
        """What Stop does: the visitor's own request ends after its current step."""
        stop = self.stops.get(visitor.session_hash if visitor else "")
        if stop:
            stop.set()

    def wipe(self, language: str, visitor: gr.Request = None) -> tuple:
        """What Clear does: end the work, and empty prompt, recording and player; the numbers stay."""
        self.end(visitor)
        hint, cleared = gr.update(value="", visible=False), News("ready", (("cleared", {}),))
        file = gr.update(value=None, interactive=False)
        return "", hint, *self.drop(), None, file, news_html(cleared, language), cleared
