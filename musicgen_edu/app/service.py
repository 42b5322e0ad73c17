"""The app without its page: a request is checked, waits for its turn, is made piece by piece, and can be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import Stopped
from ..model.settings import Sampling
from ..musicgen import MusicGen
from ..options import check_seeds
from .recording import read_recording
from .request import Limits, Refused, Request, Sentence, check_request
from .translation import Translator, first_line, has_chinese
from .waiting_line import WaitingLine

PATIENCE = 0.5  # seconds between two looks at the line


@dataclass(frozen=True)
class News:
    """What happened: `state` is "ready", "waiting", "working", "done", "stopped" or "error".

    Attributes:
        lines: for the visitor, in no language yet.
        sound: the next piece, float32 [C, n].
        clip: when done, all pieces, float32 [C, N].
        share: how much of the clip is there, 0 to 1.
    """

    state: str
    lines: tuple[Sentence, ...]
    sound: Tensor | None = None
    clip: Tensor | None = None
    share: float = 0.0
    sample_rate: int = 0
    seed: int = 0


class Models:
    """The models that a visitor may choose from; each is loaded when it is first asked for, and once.

    Args:
        names: "tiny", folders or hub names; nothing else is ever loaded.
        load: name to model.
    """

    def __init__(self, names: Iterable[str], load: Callable[[str], MusicGen]):
        self.names, self._load = list(dict.fromkeys(names)), load
        if not self.names:
            raise ValueError("name at least one model, such as tiny")
        self._loaded: dict[str, MusicGen] = {}
        self._lock = threading.Lock()

    def is_loaded(self, name: str) -> bool:
        """Whether `get` would return at once."""
        return name in self._loaded

    def get(self, name: str) -> MusicGen:
        """The model of a name.

        Raises:
            Refused: the name is not among those that were given at the start.
        """
        if name not in self.names:
            raise Refused("unknown_model", model=name, models=", ".join(self.names))
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]


class Service:
    """Requests to news.

    Args:
        models: what may be asked for.
        limits: see there.
        translator: for prompts in Chinese, or None.
    """

    def __init__(self, models: Models, limits: Limits, translator: Translator | None = None):
        self.models, self.limits, self.translator = models, limits, translator
        self.line = WaitingLine(limits.concurrent, limits.queue)
        self._one_by_one = threading.Lock()  # a tokenizer must not be used by two threads at once

    def run(self, request: Request, stop: threading.Event | None = None) -> Iterator[News]:
        """Meet a request. Whatever goes wrong is told as news; the line moves on when the iterator ends or is closed.

        Args:
            request: what is wanted.
            stop: set it to end the work after its current step.
        """
        stop = stop or threading.Event()
        try:
            check_request(request, self.limits)
            ticket = self.line.enter()
            if ticket is None:
                raise Refused("full", waiting=self.line.waiting)
            try:
                yield from self._wait(ticket, stop)
                yield from self._make(request, stop)
            finally:
                self.line.leave(ticket)
        except Refused as refused:
            yield News("error", (refused.line,))
        except Stopped:
            yield News("stopped", (("stopped", {}),))
        except Exception as error:  # whatever went wrong, the visitor gets a sentence and the app goes on
            yield News("error", (("failed", {"reason": first_line(error)}),))

    def hints(self, prompt: str) -> tuple[Sentence, ...]:
        """The hint for a prompt that nobody here can read, or nothing."""
        return (("hint", {}),) if has_chinese(prompt) and self.translator is None else ()

    def _wait(self, ticket: object, stop: threading.Event) -> Iterator[News]:
        patience = 0.0  # the first look is told at once
        while place := self.line.place(ticket, patience):
            if stop.is_set():
                raise Stopped
            patience = PATIENCE
            yield News("waiting", (("waiting", {"place": place, "waiting": self.line.waiting}),))
        if stop.is_set():
            raise Stopped

    def _english(self, prompt: str) -> tuple[str, tuple[Sentence, ...]]:
        """The prompt as the model gets it, and what to tell about that."""
        if self.translator is None or not has_chinese(prompt):
            return prompt, self.hints(prompt)
        with self._one_by_one:
            prompt = self.translator(prompt)
        return prompt, (("translated", {"prompt": prompt}),)

    def _begin(self, model: MusicGen, request: Request, prompt: str, seed: int, stop: threading.Event) -> Iterator:
        """Start the stream: chunks float32 [1, C, n]."""
        codes = model.lm.config.codebook_size
        if request.top_k > codes and request.top_k != Sampling.top_k:
            raise Refused("out_of_range", label="top_k", low=0, high=codes, value=request.top_k)
        recording = read_recording(request.recording, request.seconds, model) if request.recording else {}

        def report(done: int, total: int) -> None:
            if stop.is_set():
                raise Stopped

        with self._one_by_one:
            return model.stream(
                [prompt],
                request.seconds,
                request.chunk_seconds,
                sampling=request.sampling,
                seed=seed,
                progress=report,
                **recording,
            )

    def _make(self, request: Request, stop: threading.Event) -> Iterator[News]:
        if not self.models.is_loaded(request.model):
            yield News("working", (("loading", {"model": request.model}),))
        model = self.models.get(request.model)
        begin, first, parts, made, rate = time.monotonic(), 0.0, [], 0.0, model.sample_rate
        prompt, notes = self._english(request.prompt)
        (seed,) = check_seeds(None if request.seed is None else int(request.seed), 1)
        yield News("working", (("begun", {}), *notes))
        for chunk in self._begin(model, request, prompt, seed, stop):
            parts.append(chunk[0].cpu())
            made, first = made + chunk.shape[-1] / rate, first or time.monotonic() - begin
            told = ("working", {"made": made, "seconds": request.seconds})
            yield News("working", (told, *notes), sound=parts[-1], share=made / request.seconds, sample_rate=rate)
        told = ("done", {"seconds": made, "took": time.monotonic() - begin, "first": first, "seed": seed})
        yield News("done", (told, *notes), clip=torch.cat(parts, -1), share=1.0, sample_rate=rate, seed=seed)
