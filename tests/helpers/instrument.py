"""For the tests of the app: a stand-in for a model, whose steps are counted, slowed down or held back; a request."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import torch

from musicgen_edu.app.request import Limits, Request
from musicgen_edu.app.service import Models, News, Service
from musicgen_edu.app.texts import say
from musicgen_edu.model.audio import write_audio

RATE = 16000


class Instrument:
    """What the app asks of a model: noise, different for each prompt and seed, 50 steps for a second.

    Args:
        step_seconds: that each step takes.
        max_seconds: the longest clip.
        codebook_size: V.

    Attributes:
        asked: the arguments of each call of `stream`, but for `progress`.
        steps: done so far.
        most_at_once: the most clips that were in the making at a time.
        may_go_on: nothing is made before it is set.
    """

    sample_rate, frame_rate = RATE, 50.0

    def __init__(self, step_seconds: float = 0.0, max_seconds: float = 10.0, codebook_size: int = 64):
        self.step_seconds, self.max_seconds = step_seconds, max_seconds
        self.lm = SimpleNamespace(config=SimpleNamespace(codebook_size=codebook_size))
        self.steps, self.asked, self.at_once, self.most_at_once = 0, [], 0, 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def stream(self, prompts, seconds=8.0, chunk_seconds=1.5, *, sampling, seed, progress, **recording):
        asked = {"prompts": prompts, "seconds": seconds, "chunk_seconds": chunk_seconds}
        self.asked.append({**asked, "sampling": sampling, "seed": seed, **recording})
        return self._chunks(prompts[0], seconds, chunk_seconds, progress, seed)

    def clip(self, prompt: str, seconds: float, seed: int) -> torch.Tensor:
        """The noise [1, 1, N] of a prompt and seed."""
        own = sum(prompt.encode()) * 1000 + seed
        return 0.1 * torch.randn(1, 1, round(seconds * RATE), generator=torch.Generator().manual_seed(own))

    def _chunks(self, prompt, seconds, chunk_seconds, progress, seed):
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            assert self.may_go_on.wait(60)
            for chunk in self.clip(prompt, seconds, seed).split(round(chunk_seconds * RATE), -1):
                for _ in range(max(1, round(chunk.shape[-1] / RATE * self.frame_rate))):
                    time.sleep(self.step_seconds)
                    self.steps += 1
                    progress(self.steps, 10**6)
                yield chunk
        finally:
            self.at_once -= 1


def service(model=None, translator=None, **limits) -> Service:
    """A service that knows one model, "tiny": the one that is given, or an instrument."""
    model = model or Instrument()
    return Service(Models(["tiny"], lambda name: model), Limits(**limits), translator)


def request(**changes) -> Request:
    """A request that is in order, but for the changes."""
    return replace(Request("a bell", seconds=2.0, chunk_seconds=0.7, seed=5, top_k=8), **changes)


def words(news: News, language: str = "en") -> str:
    """What the visitor is told."""
    return " ".join(say(language, key, **values) for key, values in news.lines)


def outcome(news: list[News]) -> str:
    """What the visitor is told in the end."""
    return words(news[-1])


def recording(path, seconds: float, rate: int = 44100, channels: int = 2) -> str:
    """Write noise to a file; returns its path."""
    write_audio(path, 0.1 * torch.randn(channels, round(seconds * rate)), rate)
    return str(path)
