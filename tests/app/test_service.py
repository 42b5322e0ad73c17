"""Requests without a page: made, told, stopped, in their turn."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest
import torch

from helpers.instrument import Instrument, outcome, request, service, words
from musicgen_edu import MusicGen
from musicgen_edu.app.request import Limits, Refused
from musicgen_edu.app.service import Models, Service
from musicgen_edu.model.settings import Sampling
from musicgen_edu.options import Options


def test_the_stand_in_takes_what_the_model_takes():
    theirs = inspect.signature(MusicGen.stream).parameters
    ours = inspect.signature(Instrument.stream).parameters
    assert [theirs[name].default for name in ("seconds", "chunk_seconds")] == [
        ours[name].default for name in ("seconds", "chunk_seconds")
    ]
    assert {"sampling", "seed", "progress", "prompt_audio", "prompt_sample_rate"} <= set(Options.__annotations__)


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
    how = {"sampling": Sampling(guidance_scale=2.0, temperature=0.5, top_k=8), "seed": 5}
    assert model.asked == [{"prompts": ["a bell"], "seconds": seconds, "chunk_seconds": chunk_seconds, **how}]


def test_without_a_seed_one_is_drawn_and_told():
    model = Instrument()
    news = list(service(model).run(request(seed=None)))
    assert f"Seed {model.asked[0]['seed']}." in outcome(news)
    assert news[-1].seed == model.asked[0]["seed"]
    assert torch.equal(news[-1].clip, model.clip("a bell", 2.0, news[-1].seed)[0])


def test_the_default_top_k_serves_a_model_with_fewer_codes():
    assert list(service().run(request(top_k=Sampling.top_k)))[-1].state == "done"


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


def test_stop_ends_the_work_of_the_shipped_model_too(tiny, monkeypatch):
    steps, stream = [], tiny.stream

    def counting(*arguments, progress, **options):
        return stream(*arguments, **options, progress=lambda *done: steps.append(done) or progress(*done))

    monkeypatch.setattr(tiny, "stream", counting)
    app, stop = service(tiny), threading.Event()
    news = app.run(request(seconds=10.0, chunk_seconds=0.1), stop)
    assert any(one.sound is not None for one in news)
    stop.set()
    before = len(steps)
    assert [one.state for one in news] == ["stopped"]
    assert 0 < before <= len(steps) <= before + 1 < 50
    assert list(app.run(request(seconds=0.5)))[-1].state == "done"


def test_who_waits_is_told_the_place_and_can_be_stopped(monkeypatch):
    monkeypatch.setattr("musicgen_edu.app.service.PATIENCE", 0.01)
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
    model = Instrument()
    app = service(model, queue=4, concurrent=concurrent)
    model.may_go_on.clear()
    with ThreadPoolExecutor(8) as visitors:
        visits = [visitors.submit(lambda seed: list(app.run(request(seed=seed))), seed) for seed in range(8)]
        refused = set()
        while len(refused) < 4 - concurrent:
            done, _ = wait(set(visits) - refused, timeout=60, return_when=FIRST_COMPLETED)
            assert done, "nobody is refused"
            refused |= done
        model.may_go_on.set()
    all_news = [visit.result() for visit in visits]
    ends = [news[-1].state for news in all_news]
    assert ends.count("done") == 4 + concurrent
    assert ends.count("error") == 4 - concurrent
    for seed, news in enumerate(all_news):
        if news[-1].state == "done":
            assert torch.equal(news[-1].clip, model.clip("a bell", 2.0, seed)[0])
        else:
            assert outcome(news).startswith("The queue is full")
    assert model.most_at_once == concurrent


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
