"""What the sampling desk of lesson 08 shows: one code of a clip, what it is drawn from, and clips made that way.

`Desk` asks the model once for each caption: a clip is generated,
and read back with and without the text. A move then only chooses among the logits and puts them through
`musicgen_edu.model.sampling`, as the generation loop does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ...fast.quick import QuickLM
from ...model.generation import delay_table, generate_codes
from ...model.patterns import interleave, pattern_table, undo_logits
from ...model.sampling import Sampling, distribution, draw, guide, guide_probabilities, uniform_numbers
from ...model.text import check_prompts
from ...musicgen import MusicGen
from ..generator.state import EXAMPLES, LARGEST_SEED, sentence
from .choice import AXES, Choice, Clip

SECONDS, SHOWN, KEPT_CLIPS, KEPT_CAPTIONS = 4.0, 40, 6, 4
EMPTY = "The caption is empty: write a few words, or choose an example."


class Found(NamedTuple):
    """One code's probabilities, each [V], and the tokens in order.

    Attributes:
        conditional, unconditional: float64, of the model with and without the text.
        before: float32, with guidance and temperature, before anything is cut.
        after: float32, with top-k and top-p too: what a token is drawn from.
        order: int64 [V], the likeliest token first.
    """

    conditional: Tensor
    unconditional: Tensor
    before: Tensor
    after: Tensor
    order: Tensor


class Desk:
    """A choice, what follows from it, and the last clips.

    Args:
        model: is looked into, and generates.
        caption: what to start with.
        seconds: length of the clips, of the one that is looked at too.
        choice: other fields of `Choice` to start with.

    Attributes:
        choice: what is chosen; `move` changes it.
        frames, codebooks, V: how many there are to choose from.
        found: the probabilities at the chosen code.
        token: which token the chosen seed draws there.
        clips: the last few, oldest first.
        status: "ready", "generating", "done" or "error"; message: one sentence for the reader.

    Raises:
        ValueError: a choice that cannot be made.
    """

    def __init__(
        self, model: MusicGen, caption: str = EXAMPLES[0], seconds: float = SECONDS, **choice: int | float | str
    ):
        self.model, self.seconds = model, seconds
        self.frames, self.codebooks = model.frames(seconds), model.lm.config.num_codebooks
        self.V = model.lm.config.codebook_size
        self.clips: list[Clip] = []
        self.status, self.message = "ready", f"Press Generate for {seconds:g} s with these settings."
        self._made = 0
        self._read: dict[str, tuple[Tensor, Tensor]] = {}
        self.choice = Choice(frame=min(Choice.frame, self.frames - 1), top_k=min(Choice.top_k, self.V))
        self.move(caption=caption, **choice)

    def move(self, **changes: int | float | str) -> None:
        """Change some fields of the choice by name.

        Raises:
            ValueError: with one sentence; nothing has changed then.
        """
        unknown = set(changes) - {field.name for field in fields(Choice)}
        if unknown:
            raise ValueError(f"there is nothing called {', '.join(sorted(unknown))} to choose")
        new = replace(self.choice, **changes)
        check_prompts([new.caption])
        if not new.caption.strip():
            raise ValueError(EMPTY)
        limits = (("frame", self.frames - 1), ("codebook", self.codebooks - 1), ("seed", LARGEST_SEED))
        for name, most in limits:
            if getattr(new, name) not in range(most + 1):
                raise ValueError(f"{name} must be 0 to {most}, not {getattr(new, name)}")
        if new.axis not in AXES:
            raise ValueError(f"the axis must be one of {', '.join(AXES)}, not {new.axis!r}")
        new.sampling.check(self.V)
        self.found = self._find(new)
        self.choice, self.token = new, self._draw(new)

    def _find(self, choice: Choice) -> Found:
        _, logits = self.read(choice.caption)
        conditional, unconditional = logits[:, choice.codebook, choice.frame]  # [V] each
        sampling = choice.sampling
        mix = guide if sampling.guidance_space == "logits" else guide_probabilities
        guided = mix(conditional, unconditional, sampling.guidance_scale)
        return Found(
            conditional.double().softmax(-1),  # no float32: KL asks for the logarithm of the smallest
            unconditional.double().softmax(-1),
            distribution(guided, sampling.temperature),
            distribution(guided, sampling.temperature, sampling.top_k, sampling.top_p),
            guided.argsort(descending=True, stable=True),
        )

    def _draw(self, choice: Choice) -> int:
        step = choice.frame + choice.codebook  # the delay pattern
        uniform = uniform_numbers([choice.seed], step + 1, self.codebooks)[step, 0, choice.codebook]
        return int(draw(self.found.after, uniform))

    @torch.no_grad()
    def read(self, caption: str) -> tuple[Tensor, Tensor]:
        """The clip of a caption that is looked at, and what the model says before each of its codes; made once.

        Returns:
            codes: int64 [K, T], of the default settings; logits: float32 [2, K, T, V], with the text and without.
        """
        if caption not in self._read:
            K, T, lm = self.codebooks, self.frames, self.model.lm
            states, mask = self.model.text([caption])
            # K - 1 frames more, so that the last columns are full, as they are in the generation.
            condition = lm.project_text(states, mask)
            sampling = Sampling(top_k=min(Sampling.top_k, self.V))
            table = delay_table(K, T + K - 1)
            codes = generate_codes(QuickLM(lm), T + K - 1, [Choice.seed], condition, sampling, table)
            table = pattern_table("delay", K, T + K - 1)
            sequence = interleave(codes, table, lm.config.special)[:, :, :-1].repeat(2, 1, 1)  # [2, K, S]
            words = torch.cat([mask, torch.zeros_like(mask)])  # [2, L]: the second row has no text
            logits = undo_logits(lm(sequence, states.repeat(2, 1, 1), words).float(), table)  # [2, K, T + K - 1, V]
            while len(self._read) >= KEPT_CAPTIONS:
                self._read.pop(next(iter(self._read)))
            self._read[caption] = codes[0, :, :T].cpu(), logits[:, :, :T].cpu()
        return self._read[caption]

    @property
    def shown(self) -> Tensor:
        """The likeliest tokens, int64 [at most 40], likeliest first."""
        return self.found.order[:SHOWN]

    @property
    def rest(self) -> dict[str, float]:
        """The other tokens together: probabilities, and `kept`, how many of them may be drawn."""
        found, others = self.found, self.found.order[SHOWN:]
        after = found.after[others]
        cut = found.before[others].where(after == 0, 0.0)
        sums = {"conditional": found.conditional[others], "unconditional": found.unconditional[others]}
        sums |= {"after": after, "cut": cut}
        return {name: float(values.double().sum()) for name, values in sums.items()} | {"kept": int((after > 0).sum())}

    @property
    def kept(self) -> int:
        """How many tokens may be drawn."""
        return int((self.found.after > 0).sum())

    def measures(self) -> Iterator[tuple[str, float, int, float, float]]:
        """For each distribution its name, entropy in bits, tokens, largest probability and KL divergence in bits."""
        found = self.found
        for name, values in (
            ("model with the text", found.conditional),
            ("model without the text", found.unconditional),
            ("drawn from", found.after),
        ):
            kl = divergence(values, found.conditional)
            yield name, entropy(values), int((values > 0).sum()), float(values.max()), kl

    def measured(self) -> str:
        """One sentence on what a token is drawn from."""
        *_, (_, bits, count, largest, kl) = self.measures()
        return (
            f"Drawn from {count} of {self.V} tokens: {bits:.2f} bits, the likeliest {largest:.1%}, "
            f"{kl:.2f} bits from the model with the text."
        )

    def drawing(self) -> str:
        """One sentence on the token."""
        c, place = self.choice, int((self.found.order == self.token).nonzero()) + 1
        there = int(self.read(c.caption)[0][c.codebook, c.frame])
        return (
            f"Seed {c.seed} draws token {self.token}, number {place} in order, at "
            f"{self.found.after[self.token]:.1%}. The clip that is looked at has token {there}."
        )

    def in_words(self) -> str:
        """What was chosen, in words; nothing that depends on the weights, or on the length before there is a clip."""
        c, last = self.choice, "none yet"
        if self.clips:
            seconds = self.clips[-1].audio.shape[-1] / self.model.sample_rate
            last = f"{len(self.clips)} kept, the last of {seconds:g} s: {self.clips[-1].made_with}"
        where = f"codebook {c.codebook} of 0 to {self.codebooks - 1}, frame {c.frame}"
        return "\n".join([f"looks at: {where}", f"settings: {c}", f"clips:    {last}"])

    def generate(self, progress: Callable[[int, int], None] | None = None) -> bool:
        """Generate a clip with what is chosen; true if it was finished, otherwise `status` and `message` say why not.

        Args:
            progress: called after each step with the steps done and their total.
        """
        choice = self.choice
        self.status, self.message = "generating", "Generating."
        try:
            condition = self.model.lm.project_text(*self.model.text([choice.caption]))
            codes = generate_codes(
                QuickLM(self.model.lm), self.frames, [choice.seed], condition, choice.sampling, progress=progress
            )
            audio = self.model.codec.decode(codes)[0].cpu()
        except Exception as error:  # whatever went wrong, the reader gets a sentence and keeps the clips
            self.status, self.message = "error", sentence(error)
            return False
        self._made += 1
        self.clips = [*self.clips, Clip(self._made, choice, audio, self.model.sample_rate)][-KEPT_CLIPS:]
        self.status, self.message = "done", f"Clip {self._made} is done: {choice}."
        return True


def entropy(probabilities: Tensor) -> float:
    """Entropy of probabilities [V] in bits: the sum of -p log2 p, in which 0 log 0 = 0."""
    return abs(float(torch.special.entr(probabilities.double()).sum())) / math.log(2)  # abs: no -0


def divergence(p: Tensor, q: Tensor) -> float:
    """Kullback-Leibler divergence of probabilities p from q [V] in bits: the sum of p log2(p / q)."""
    p, q = p.double(), q.double()
    nats = float((torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum())
    return max(0.0, nats) / math.log(2)
