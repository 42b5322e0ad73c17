"""The app: requests without a page, the page without a browser, and visitors over HTTP."""

from __future__ import annotations

import inspect
import io
import os
import re
import socket
import string
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import soundfile
import torch

from musicgen_edu import MusicGen
from musicgen_edu.app.request import Limits, Refused, Request
from musicgen_edu.app.service import Models, News, Service
from musicgen_edu.app.texts import EXAMPLES, TEXTS, TINY_EXAMPLES, say
from musicgen_edu.app.waiting_line import WaitingLine
from musicgen_edu.cli.main import main
from musicgen_edu.model.audio import write_audio

pytest.importorskip("gradio")
RATE = 16000


class Instrument:
    """Stands in for a model: noise, different for each request, in steps that can be held back."""

    sample_rate, frame_rate, max_seconds = RATE, 50.0, 10.0
    lm = SimpleNamespace(config=SimpleNamespace(codebook_size=64))

    def __init__(self, step_seconds: float = 0.0):
        self.step_seconds, self.steps, self.asked = step_seconds, 0, []
        self.at_once, self.most_at_once = 0, 0

    def stream(self, prompts, seconds=8.0, chunk_seconds=1.5, *, progress, **options):
        self.asked.append({"prompts": prompts, "seconds": seconds, "chunk_seconds": chunk_seconds, **options})
        return self._chunks(prompts[0], seconds, chunk_seconds, progress, **options)

    def clip(self, prompt: str, seconds: float, seed: int) -> torch.Tensor:
        own = sum(prompt.encode()) * 1000 + seed
        return 0.1 * torch.randn(1, 1, round(seconds * RATE), generator=torch.Generator().manual_seed(own))

    def _chunks(self, prompt, seconds, chunk_seconds, progress, seed, **others):
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            for chunk in self.clip(prompt, seconds, seed).split(round(chunk_seconds * RATE), -1):
                for _ in range(max(1, round(chunk.shape[-1] / RATE * self.frame_rate))):
                    time.sleep(self.step_seconds)
                    self.steps += 1
                    progress(self.steps, 10**6)
                yield chunk
        finally:
            self.at_once -= 1


def service(model=None, translator=None, **limits) -> Service:
    model = model or Instrument()
    return Service(Models(["tiny"], lambda name: model), Limits(**limits), translator)


def request(**changes) -> Request:
    return replace(Request("a bell", seconds=2.0, chunk_seconds=0.7, seed=5, top_k=8), **changes)


def words(news: News, language: str = "en") -> str:
    return " ".join(say(language, key, **values) for key, values in news.lines)


def outcome(news: list[News]) -> str:
    return words(news[-1])


# ---- texts ---------------------------------------------------------------------------------------------------------


def test_both_languages_say_the_same_things():
    english, chinese = TEXTS["en"], TEXTS["zh"]
    assert set(english) == set(chinese)
    for key in english:
        places = [{field for _, field, _, _ in string.Formatter().parse(text[key]) if field} for text in TEXTS.values()]
        assert places[0] == places[1], key
        has_chinese = re.search("[\u4e00-\u9fff]", chinese[key]) is not None
        assert has_chinese or key == "top_k", f"{key} is not in Chinese"
        assert re.search("[\u4e00-\u9fff]", english[key]) is None, f"{key} is not in English"
    assert all(re.search("[\u4e00-\u9fff]", chinese) for _, chinese in EXAMPLES + TINY_EXAMPLES)


def test_an_unknown_language_is_english_and_labels_are_translated_within_sentences():
    assert say("fr", "generate") == "Generate"
    values = {"label": "seconds", "low": 0.5, "high": 30, "value": "99"}
    assert say("zh", "out_of_range", **values) == "“时长（秒）”必须是 0.5 到 30 之间的数，而不是 99。"


# ---- the line ------------------------------------------------------------------------------------------------------


def test_the_line_keeps_order_and_its_limits():
    line = WaitingLine(at_once=2, places=3)
    tickets = [line.enter() for _ in range(5)]
    assert [line.place(ticket) for ticket in tickets] == [0, 0, 1, 2, 3]
    assert line.enter() is None
    assert line.waiting == 3
    line.leave(tickets[1])
    assert [line.place(ticket) for ticket in (tickets[0], *tickets[2:])] == [0, 0, 1, 2]
    line.leave(tickets[3])  # one that waits may go, too
    assert line.place(tickets[4]) == 1
    assert line.enter() is not None
    for sizes in ((0, 1), (1, -1)):
        with pytest.raises(ValueError, match="at least 1"):
            WaitingLine(*sizes)


def test_who_waits_is_called_when_a_place_is_free():
    line = WaitingLine(1, 1)
    first, second = line.enter(), line.enter()
    threading.Timer(0.1, line.leave, [first]).start()
    begin = time.monotonic()
    assert line.place(second, patience=30) == 0
    assert time.monotonic() - begin < 10


# ---- requests ------------------------------------------------------------------------------------------------------


def test_the_stand_in_takes_what_the_model_takes():
    theirs = inspect.signature(MusicGen.stream).parameters
    ours = inspect.signature(Instrument.stream).parameters
    assert [theirs[name].default for name in ("seconds", "chunk_seconds")] == [
        ours[name].default for name in ("seconds", "chunk_seconds")
    ]
    generate = inspect.signature(MusicGen.generate).parameters
    assert {"guidance_scale", "top_k", "temperature", "seed", "progress", "prompt_audio"} <= set(generate)


@pytest.mark.parametrize("seconds,chunk_seconds", [(0.5, 0.1), (2.0, 0.7), (3.3, 10.0)])
def test_the_pieces_are_the_clip(seconds: float, chunk_seconds: float):
    model = Instrument()
    asked = request(seconds=seconds, chunk_seconds=chunk_seconds, guidance_scale=2.0, temperature=0.5)
    news = list(service(model).run(asked))
    assert [one.state for one in news[:-1]] == ["working"] * (len(news) - 1)
    assert news[-1].state == "done"
    pieces = [one.sound for one in news if one.sound is not None]
    clip = model.clip("a bell", seconds, 5)[0]
    assert torch.equal(torch.cat(pieces, -1), clip)
    assert torch.equal(news[-1].clip, clip)
    shares = [one.share for one in news if one.sound is not None]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    told = {"guidance_scale": 2.0, "temperature": 0.5, "top_k": 8, "seed": 5}
    assert model.asked == [{"prompts": ["a bell"], "seconds": seconds, "chunk_seconds": chunk_seconds, **told}]


def test_without_a_seed_one_is_drawn_and_told():
    model = Instrument()
    news = list(service(model).run(request(seed=None)))
    assert f"Seed {model.asked[0]['seed']}." in outcome(news)
    assert news[-1].seed == model.asked[0]["seed"]
    assert torch.equal(news[-1].clip, model.clip("a bell", 2.0, news[-1].seed)[0])


@pytest.mark.parametrize(
    "changes,told",
    [
        ({"prompt": "  \n"}, "The prompt is empty"),
        ({"prompt": "x" * 501}, "The prompt has 501 characters: 500 are the most."),
        ({"seconds": 30.5}, "“Length (s)” must be a number from 0.5 to 30, not 30.5."),
        ({"seconds": 0}, "“Length (s)” must be a number from 0.5 to 30, not 0."),
        ({"seconds": None}, "“Length (s)” needs a number from 0.5 to 30."),
        ({"seconds": float("nan")}, "“Length (s)” must be"),
        ({"chunk_seconds": 0.01}, "“Chunk (s)” must be"),
        ({"guidance_scale": -1}, "“Guidance” must be"),
        ({"temperature": 3}, "“Temperature” must be"),
        ({"seed": -1}, "“Seed” must be"),
        ({"seed": 2.5}, "“Seed” must be a whole number, not 2.5."),
        ({"top_k": 65}, "“Top-k” must be a number from 0 to 64, not 65."),
        ({"model": "facebook/musicgen-small"}, "There is no model “facebook/musicgen-small” here: choose one of tiny."),
    ],
)
def test_a_bad_request_is_one_sentence_in_both_languages(changes, told):
    app = service()
    news = list(app.run(request(**changes)))
    assert news[-1].state == "error"
    assert words(news[-1]).startswith(told)
    assert len(words(news[-1]).splitlines()) == 1
    assert re.search("[\u4e00-\u9fff]", words(news[-1], "zh"))
    assert list(app.run(request()))[-1].state == "done"


def test_what_breaks_within_is_one_sentence_and_frees_the_place():
    model = Instrument()
    model.stream = lambda *a, **k: (_ for _ in ()).throw(RuntimeError("out of memory\nand a traceback"))
    app = service(model, queue=0)
    assert outcome(list(app.run(request()))) == "That went wrong: out of memory"
    del model.stream
    assert list(app.run(request()))[-1].state == "done"


def test_only_the_named_models_are_loaded_and_each_once():
    loaded = []
    models = Models(["a", "b", "a"], lambda name: loaded.append(name) or Instrument())
    app = Service(models, Limits())
    assert models.names == ["a", "b"]
    assert loaded == []
    for name in ("b", "b", "a", "b"):
        assert list(app.run(request(model=name)))[-1].state == "done"
    assert loaded == ["b", "a"]
    with pytest.raises(Refused):
        models.get("c")
    with pytest.raises(ValueError, match="at least one model"):
        Models([], Instrument)


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0.0}, {"seconds": 1e5}, {"seconds": float("nan")}, {"queue": -1}, {"concurrent": 0}]
)
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="not"):
        Limits(**wrong)


# ---- a recording to go on from -------------------------------------------------------------------------------------


def recording(path, seconds: float, rate: int = 44100, channels: int = 2):
    write_audio(path, 0.1 * torch.randn(channels, round(seconds * rate)), rate)
    return str(path)


def test_a_recording_reaches_the_model_as_it_is(tmp_path):
    model = Instrument()
    path = recording(tmp_path / "a.wav", 0.8)
    assert list(service(model).run(request(recording=path)))[-1].state == "done"
    sound, rate = soundfile.read(path, dtype="float32")
    assert model.asked[0]["prompt_sample_rate"] == rate == 44100
    assert torch.equal(model.asked[0]["prompt_audio"], torch.from_numpy(sound.T.copy()))


@pytest.mark.parametrize(
    "seconds,wanted,told",
    [
        (2.0, 2.0, "The recording lasts 2.0 s: it must be shorter than 2.0 s"),
        (10.5, 30.0, "The recording lasts 10.5 s: it must be shorter than 10.0 s"),
        (0.01, 2.0, "The recording is too short: it must last at least 0.02 s"),
    ],
)
def test_a_recording_that_leaves_nothing_to_make_is_refused(tmp_path, seconds, wanted, told):
    path = recording(tmp_path / "a.wav", seconds)
    assert outcome(list(service().run(request(recording=path, seconds=wanted)))).startswith(told)


def test_a_file_that_is_no_sound_is_refused(tmp_path):
    silent, text = tmp_path / "empty.wav", tmp_path / "words.wav"
    soundfile.write(silent, torch.zeros(0).numpy(), RATE)
    text.write_text("no sound")
    for path in (silent, text, tmp_path / "missing.wav"):
        assert "holds no sound" in outcome(list(service().run(request(recording=str(path)))))


# ---- stop and the queue --------------------------------------------------------------------------------------------


def test_stop_ends_the_work_after_its_step_and_the_next_request_works():
    model = Instrument(step_seconds=0.005)
    app, stop = service(model), threading.Event()
    news = app.run(request(seconds=10.0), stop)
    assert any(one.sound is not None for one in news)  # reads on until the first piece
    stop.set()
    steps = model.steps
    rest = list(news)
    assert [one.state for one in rest] == ["stopped"]
    assert model.steps == steps + 1
    assert model.at_once == 0
    assert list(app.run(request()))[-1].state == "done"


def test_stop_ends_the_work_of_the_shipped_model_too(monkeypatch):
    from musicgen_edu.model.lm import MusicgenLM

    steps, step = [0], MusicgenLM.step
    monkeypatch.setattr(MusicgenLM, "step", lambda *a: steps.__setitem__(0, steps[0] + 1) or step(*a))
    app, stop = service(MusicGen.from_pretrained("tiny", device="cpu")), threading.Event()
    news = app.run(request(seconds=10.0, chunk_seconds=0.1), stop)
    assert any(one.sound is not None for one in news)
    stop.set()
    before = steps[0]
    assert [one.state for one in news] == ["stopped"]
    assert 0 < before <= steps[0] <= before + 1 < 50
    assert list(app.run(request(seconds=0.5)))[-1].state == "done"


def test_who_waits_is_told_the_place_and_can_be_stopped():
    app, stop = service(queue=2), threading.Event()
    working, second, third = (app.run(request(), stop=s) for s in (None, None, stop))
    next(working)
    assert words(next(second)) == "Waiting: number 1 of 1 in the queue."
    assert words(next(third)) == "Waiting: number 2 of 2 in the queue."
    assert outcome(list(app.run(request()))) == "The queue is full: 2 waiting. Try again in a moment."
    stop.set()
    assert next(third).state == "stopped"
    assert list(third) == []
    assert app.line.waiting == 1
    assert list(working)[-1].state == "done"
    assert list(second)[-1].state == "done"


def test_a_visitor_who_goes_away_makes_room():
    model = Instrument()
    app = service(model, queue=0)
    news = app.run(request())
    assert any(one.sound is not None for one in news)
    assert list(app.run(request()))[-1].state == "error"
    news.close()
    assert model.at_once == 0
    assert list(app.run(request()))[-1].state == "done"


@pytest.mark.parametrize("concurrent", [1, 2])
def test_eight_at_once_are_all_served_or_told_why_not(concurrent):
    model = Instrument(step_seconds=0.002)
    app = service(model, queue=4, concurrent=concurrent)
    begin = threading.Barrier(8)

    def visit(seed: int) -> list[News]:
        begin.wait(30)
        return list(app.run(request(seed=seed)))

    with ThreadPoolExecutor(8) as visitors:
        all_news = list(visitors.map(visit, range(8)))
    ends = [news[-1].state for news in all_news]
    assert ends.count("done") == 4 + concurrent
    assert ends.count("error") == 4 - concurrent
    for seed, news in enumerate(all_news):
        if news[-1].state == "done":
            assert torch.equal(news[-1].clip, model.clip("a bell", 2.0, seed)[0])
        else:
            assert outcome(news).startswith("The queue is full")
    assert 1 <= model.most_at_once <= concurrent


# ---- Chinese prompts -----------------------------------------------------------------------------------------------


def test_a_chinese_prompt_without_a_translator_gets_a_hint():
    model = Instrument()
    app = service(model)
    news = list(app.run(request(prompt="平静的铃声 melody")))
    assert news[-1].state == "done"
    assert all("--translator" in words(one) for one in news[1:])  # the first one: loading
    assert model.asked[0]["prompts"] == ["平静的铃声 melody"]
    assert app.hints("a bell, né à Paris, ピアノ") == ()


def test_a_translator_translates_chinese_prompts_only():
    model = Instrument()
    app = service(model, translator=lambda text: f"<{len(text)}>")
    news = list(app.run(request(prompt="平静的铃声")))
    assert "Translated to: “<5>”." in outcome(news)
    assert list(app.run(request()))[-1].state == "done"
    assert [asked["prompts"] for asked in model.asked] == [["<5>"], ["a bell"]]
    assert app.hints("平静的铃声") == ()


# ---- the page, without a browser -----------------------------------------------------------------------------------


@pytest.fixture
def page():
    from musicgen_edu.app.page import Page

    return Page(service())


def test_every_text_of_the_page_changes_with_the_language(page):
    english, chinese = page.words("en"), page.words("zh")
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
    assert "knows only these sounds" in page.words("en", "tiny")["about"]["value"]
    assert page.words("en", "tiny")["tiny_examples"].visible
    assert "CC-BY-NC" in page.words("en", "other")["about"]["value"]
    assert not page.words("en", "other")["tiny_examples"].visible


def test_markup_in_a_message_is_shown_as_text():
    from musicgen_edu.app.page import news_html

    shown = news_html(News("error", (("failed", {"reason": "<script>alert(1)</script>"}),)), "en")
    assert "<script>" not in shown
    assert 'role="alert"' in shown
    assert "<b>Error.</b>" in shown


def test_an_example_fills_in_what_the_model_reads(page):
    use = page._example(EXAMPLES)
    assert use(1, "zh") == use(1, "en") == EXAMPLES[1][0]
    page.service.translator = lambda text: text
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


def test_numbers_reach_the_service_as_they_were_typed(page):
    from musicgen_edu.app.layout import NUMBERS

    for name in NUMBERS:
        assert getattr(page, name).preprocess(2.5) == 2.5, name
    ends = list(page.work("a bell", 0.5, 0.5, 2.5, 3.0, 8, 1.0, "tiny", None, "en"))
    assert "“Seed” must be a whole number, not 2.5." in ends[-1][2]


def test_pieces_for_the_player_are_the_sound():
    from musicgen_edu.app.page import stream_pieces

    for length in (1, 2048, 2049, 9000):
        sound = 0.1 * torch.randn(1, length)
        pieces = stream_pieces(sound, RATE)
        assert len(pieces) == 1 + (length > 2048)
        samples = [soundfile.read(io.BytesIO(piece), dtype="float32")[0] for piece in pieces]
        joined = torch.cat([torch.from_numpy(part) for part in samples])
        assert joined.shape == (length,)
        assert (joined - sound[0]).abs().max() <= 1 / 32768


# ---- over HTTP -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def called():
    """The names that this process looks up and the addresses that it connects to."""
    called, patch = [], pytest.MonkeyPatch()
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def note_connect(self, address):
        called.append(address[0] if isinstance(address, tuple) else "a file")
        return connect(self, address)

    def note_lookup(host, *more, **options):
        called.append(host)
        return lookup(host, *more, **options)

    patch.setattr(socket.socket, "connect", note_connect)
    patch.setattr(socket, "getaddrinfo", note_lookup)
    yield called
    patch.undo()


@pytest.fixture(scope="module")
def served(called):
    from musicgen_edu.app.serve import launch

    model = Instrument(step_seconds=0.003)
    page = launch(service(model, queue=4, concurrent=2), block=False)
    yield page, model
    page.blocks.close()


def connect(page):
    """A visitor with a session of its own."""
    from gradio_client import Client

    return Client(page.blocks.local_url, verbose=False, httpx_kwargs={"timeout": 60})


def send(client, seed: int, seconds: float = 2.0, model: str = "tiny"):
    """A request of a visitor, under way."""
    return client.submit("a bell", seconds, 0.7, seed, 3.0, 8, 1.0, model, "en", api_name="/generate")


def visit(page, seed: int, seconds: float = 2.0):
    """A visitor and the request it has sent."""
    client = connect(page)
    return client, send(client, seed, seconds)


def received(job) -> tuple[torch.Tensor, int]:
    """The sound [n] of the file that a request ended with, and its rate."""
    file = job.result(timeout=60)[1]
    samples, rate = soundfile.read(file["value"] if isinstance(file, dict) else file, dtype="float32")
    return torch.from_numpy(samples), rate


def test_it_listens_on_the_loopback_address_only(served):
    page, _ = served
    assert page.blocks.local_url.startswith("http://127.0.0.1:")
    assert page.blocks.server_name == "127.0.0.1"
    assert page.blocks.share_url is None
    assert not page.blocks.analytics_enabled


def test_eight_clients_are_served_or_told_why_not(served):
    page, model = served
    with ThreadPoolExecutor(8) as threads:
        clients = list(threads.map(lambda seed: visit(page, seed), range(8)))
    ends = [job.result(timeout=60)[2] for _, job in clients]
    done, full = [text for text in ends if "Done" in text], [text for text in ends if "queue is full" in text]
    print(f"{len(done)} served, {len(full)} told that the queue is full")
    assert len(done) + len(full) == 8
    assert len(done) >= 6  # two at once, four wait
    assert model.most_at_once <= 2
    client, job = visit(page, 9)
    assert "Done" in job.result(timeout=60)[2]


def test_the_file_is_the_whole_clip(served):
    page, model = served
    _client, job = visit(page, 11)
    samples, rate = received(job)
    assert rate == RATE
    torch.testing.assert_close(samples, model.clip("a bell", 2.0, 11)[0, 0], rtol=0, atol=1 / 32768)
    assert os.listdir(page.folder.name) == [], "what was handed out is not kept twice"


def test_a_model_that_was_not_named_is_never_loaded(served):
    client = connect(served[0])
    with pytest.raises(Exception, match="facebook/musicgen-small is not in the list of choices"):
        send(client, 13, model="facebook/musicgen-small").result(timeout=60)


def test_eight_at_once_on_the_shipped_model():
    """Six are served, each told its place while it waits and given what `generate` gives; two hear why not."""
    from musicgen_edu.app.serve import launch

    model = MusicGen.from_pretrained("tiny", device="cpu")
    page = launch(Service(Models(["tiny"], lambda name: model), Limits(queue=5)), block=False)
    try:
        clients = [connect(page) for _ in range(8)]
        begin = time.monotonic()
        jobs = [send(client, seed) for seed, client in enumerate(clients)]
        ends, took = [job.result(timeout=120)[2] for job in jobs], time.monotonic() - begin
        told = [[outputs[2] for outputs in job.outputs()] for job in jobs]
        places = [[int(at[1]) for text in texts if (at := re.search(r"number (\d) of", text))] for texts in told]
        print(f"{took:.1f} s for eight; places told: {places}")
        assert sum("The queue is full: 5 waiting." in end for end in ends) == 2
        assert sorted(one[0] for one in places if one) == [1, 2, 3, 4, 5]
        assert all(one == sorted(one, reverse=True) for one in places), "nobody moves back"
        for seed, (end, job) in enumerate(zip(ends, jobs, strict=True)):
            if "queue is full" not in end:
                assert f"Seed {seed}." in end
                whole = model.generate(["a bell"], 2.0, top_k=8, seed=seed)[0, 0].clamp(-1, 1)
                torch.testing.assert_close(received(job)[0], whole, rtol=0, atol=1.5 / 32768)
        assert page.service.line.waiting == 0
    finally:
        page.blocks.close()


def test_a_port_that_is_taken_is_named(served, capsys):
    port = served[0].blocks.server_port
    assert main(["app", "--port", str(port)]) == 2
    expected = f"musicgen-edu: cannot listen on 127.0.0.1, port {port}: taken, or no address of this computer\n"
    assert capsys.readouterr().err == expected


def test_it_calls_nobody(served, called):
    client, job = visit(served[0], 12, 0.5)
    assert "Done" in job.result(timeout=60)[2]
    assert "127.0.0.1" in called
    hosts = {host.decode() if isinstance(host, bytes) else host for host in called}
    assert hosts <= {"127.0.0.1", "localhost", "::1", "a file", None}


# ---- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-seconds", "0"], "1 to 3600 seconds, not 0"),
        (["--queue", "-1"], "0 or more places"),
        (["--concurrent", "0"], "at least 1 request"),
        (["--port", "99999"], "--port must be 1 to 65535"),
        (["--model", "no/such/model"], "no/such/model"),
        (["--dtype", "int8", "--device", "cuda"], "cuda"),
        (["--device", "sofa"], "--device sofa cannot be used"),
        (["--translator", "no/such/translator"], "cannot be loaded as a translation model"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(capsys, arguments, message):
    assert main(["app", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.startswith("musicgen-edu: ")
    assert "\n" not in error


def test_another_host_is_served_with_a_warning_only(capsys, monkeypatch):
    import gradio

    from musicgen_edu.app.serve import launch

    asked = {}
    monkeypatch.setattr(gradio.Blocks, "launch", lambda self, **options: asked.update(options))
    monkeypatch.setattr(gradio.Blocks, "local_url", "http://0.0.0.0:7860/", raising=False)
    launch(service(), "0.0.0.0", 7860, block=False)
    assert "warning: 0.0.0.0 lets everybody on the network" in capsys.readouterr().err
    assert asked["server_name"] == "0.0.0.0"
    assert asked["share"] is False
    launch(service(), block=False)
    assert "warning" not in capsys.readouterr().err
    assert asked["server_name"] == "127.0.0.1"


def test_the_service_runs_without_gradio():
    code = (
        "import sys; sys.modules['gradio'] = None; from musicgen_edu.app.service import Service; "
        "from musicgen_edu.cli.main import main; sys.exit(main(['app']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs a package that is missing (gradio): pip install gradio" in done.stderr
