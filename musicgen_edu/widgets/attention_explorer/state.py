"""What the attention explorer shows: a generation, its attention maps, and which of them is looked at."""

from __future__ import annotations

from torch import Tensor

from ...analysis.attention_maps import attention_maps
from ...model.patterns import interleave, pattern_table
from ...musicgen import MusicGen

KINDS = {"columns": "the columns so far", "text": "the words of the prompt"}


class Attending:
    """A generation, its attention maps, and which of them is looked at.

    Everything is computed once, at the start: a move only chooses.

    Args:
        model: generates the clip, in the delay pattern, and is looked into.
        prompt: what to generate; it needs words.
        seconds: length of the clip; a second makes a picture of 53 steps.
        seed: of the clip.

    Attributes:
        layer, head, step, kind: what is chosen; kind is "columns" (self-attention) or "text" (cross-attention).
        layers, heads, steps: how many there are.
        pieces: the tokens of the prompt.
        sequence: int64 [K, S + 1]: the columns that the model reads, and the last one that it writes.
    """

    def __init__(self, model: MusicGen, prompt: str, seconds: float = 1.0, seed: int = 5):
        if not prompt.strip():
            raise ValueError("the prompt is empty: without words there is nothing to look at")
        self.prompt, self.seed, self.seconds = prompt, seed, seconds
        self.pieces = model.text.tokens(prompt)
        codes = model.generate_codes([prompt], seconds, seed=seed)  # [1, K, T]
        _, self.K, self.frames = codes.shape
        table = pattern_table("delay", self.K, self.frames)
        sequence = interleave(codes, table, model.lm.config.special)  # [1, K, S + 1]
        maps = attention_maps(model.lm, sequence[:, :, :-1], *model.text([prompt]))
        self._maps = {"columns": maps.own[:, 0].cpu(), "text": maps.text[:, 0].cpu()}  # [layers, H, S, S or L]
        self.layers, self.heads, self.steps = self._maps["columns"].shape[:3]
        self.sequence = sequence[0].cpu()
        self.layer, self.head, self.step, self.kind = 0, 0, self.steps // 2, "columns"

    def move(
        self, layer: int | None = None, head: int | None = None, step: int | None = None, kind: str | None = None
    ) -> None:
        """Choose something; None leaves it.

        Raises:
            ValueError: there is no such layer, head, step or kind. Nothing has changed then.
        """
        wanted = {}
        for name, value, count in (
            ("layer", layer, self.layers),
            ("head", head, self.heads),
            ("step", step, self.steps),
        ):
            wanted[name] = getattr(self, name) if value is None else value
            if wanted[name] not in range(count):
                raise ValueError(f"the {name} must be 0 to {count - 1}, not {value}")
        wanted["kind"] = self.kind if kind is None else kind
        if wanted["kind"] not in KINDS:
            raise ValueError(f"a head looks at {' or '.join(KINDS)}, not at {kind!r}")
        for name, value in wanted.items():
            setattr(self, name, value if name == "kind" else int(value))

    @property
    def map(self) -> Tensor:
        """All weights of the chosen layer and head: [S, S] or [S, L]; a row belongs to a step."""
        return self._maps[self.kind][self.layer, self.head]

    @property
    def weights(self) -> list[float]:
        """The weights of the chosen step; they sum to 1."""
        return self.map[self.step].tolist()

    def name(self, target: int) -> str:
        """What a weight belongs to: a column, or a token of the prompt."""
        return f"column {target}" if self.kind == "columns" else f"“{self.pieces[target]}”"

    def in_words(self) -> str:
        """What was chosen and what follows from the pattern, one line each; nothing that depends on the weights."""
        written = [f"codebook {k} of frame {self.step - k}" for k in range(self.K) if 0 <= self.step - k < self.frames]
        among = f"{self.step + 1} of {self.steps}" if self.kind == "columns" else f"{len(self.pieces)}"
        return "\n".join(
            [
                f"clip:     “{self.prompt}”, {self.seconds:g} s, seed {self.seed}",
                f"layer:    {self.layer} of 0 to {self.layers - 1}, head {self.head} of 0 to {self.heads - 1}",
                f"step:     {self.step} of 0 to {self.steps - 1}, writes {', '.join(written)}",
                f"looks at: {KINDS[self.kind]}, {among}",
            ]
        )

    def measured(self, count: int = 3) -> str:
        """One sentence on what the step looks at most."""
        order = sorted(range(len(self.weights)), key=lambda i: -self.weights[i])[:count]
        told = ", ".join(f"{self.name(i)} ({self.weights[i]:.0%})" for i in order if self.weights[i] >= 0.005)
        return f"Looks most at {told}."
