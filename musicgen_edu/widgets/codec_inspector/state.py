"""What the codec inspector shows: two clips, what is done to each codebook, and the sound of it."""

from __future__ import annotations

import torch
from torch import Tensor

from ...evaluation.scores import chroma_cosine, si_sdr
from ...model.encodec import EncodecModel
from ...model.shapes import check_shape

TREATMENTS = {  # name: what it does
    "as encoded": "the clip's own codes, in their places",
    "muted": "left out of the sum",
    "swapped": "the other clip's codes",
    "shuffled": "its own codes, in random order",
}
AS_ENCODED, MUTED, SWAPPED, SHUFFLED = TREATMENTS


class Inspector:
    """Two clips of one length, one of them chosen, and a treatment for each of its K codebooks.

    Args:
        codec: encodes the clips and decodes what becomes of them.
        clips: name to audio [C, N] at the codec's sample rate, exactly two.
        seed: of the order in which "shuffled" puts the frames.

    Attributes:
        clip: the name of the chosen clip; the other one is what "swapped" takes codes from.
        treatments: a name of `TREATMENTS` for each codebook.

    Raises:
        ValueError: not two clips, or clips of different lengths.
    """

    def __init__(self, codec: EncodecModel, clips: dict[str, Tensor], seed: int = 0):
        if len(clips) != 2:
            raise ValueError(f"the inspector compares two clips, not {len(clips)}")
        first, second = (check_shape(name, audio, "C N")[1] for name, audio in clips.items())
        if first != second:
            raise ValueError(f"both clips must have the same length, not {first} and {second} samples")
        self.codec = codec
        self.codes = {name: codec.encode(audio[None])[0] for name, audio in clips.items()}  # [K, T]
        self.clip = next(iter(clips))
        K, T = self.codes[self.clip].shape
        self.treatments = [AS_ENCODED] * K
        self._order = torch.randperm(T, generator=torch.Generator().manual_seed(seed))
        self._sounds: dict[tuple[str, ...], Tensor] = {}

    @property
    def other(self) -> str:
        """The name of the clip that is not chosen."""
        return next(name for name in self.codes if name != self.clip)

    def choose(self, clip: str) -> None:
        """Take this clip; raises a `ValueError` if there is none of that name."""
        if clip not in self.codes:
            raise ValueError(f"there is no clip {clip!r}: expected one of {', '.join(self.codes)}")
        self.clip = clip

    def set(self, codebook: int, treatment: str) -> None:
        """Treat one codebook; raises a `ValueError` for a codebook or a treatment that does not exist."""
        K = len(self.treatments)
        if not 0 <= codebook < K:
            raise ValueError(f"the codebook must be 0 to {K - 1}, not {codebook}")
        if treatment not in TREATMENTS:
            raise ValueError(f"there is no treatment {treatment!r}: expected one of {', '.join(TREATMENTS)}")
        self.treatments[codebook] = treatment

    def reset(self) -> None:
        """All codebooks as encoded."""
        self.treatments = [AS_ENCODED] * len(self.treatments)

    def treated(self) -> Tensor:
        """The codes [K, T] after treatment; a muted row keeps its codes, it is only not added."""
        codes = self.codes[self.clip].clone()
        for k, treatment in enumerate(self.treatments):
            if treatment == SWAPPED:
                codes[k] = self.codes[self.other][k]
            elif treatment == SHUFFLED:
                codes[k] = codes[k, self._order.to(codes.device)]
        return codes

    @torch.no_grad()
    def audio(self) -> Tensor:
        """The sound of the treated codes [C, N]: the vectors of all codebooks but the muted ones, added and decoded."""
        key = (self.clip, *self.treatments)
        if key not in self._sounds:
            rows = zip(self.codec.quantizer.layers, self.treated(), self.treatments, strict=True)
            vectors = [layer.decode(row[None]) * (treatment != MUTED) for layer, row, treatment in rows]
            self._sounds[key] = self.codec.decoder(sum(vectors))[0].cpu()
        return self._sounds[key]

    def plain(self) -> Tensor:
        """The chosen clip decoded from its codes as they are [C, N]."""
        key = (self.clip, *[AS_ENCODED] * len(self.treatments))
        if key not in self._sounds:
            self._sounds[key] = self.codec.decode(self.codes[self.clip][None])[0].cpu()
        return self._sounds[key]

    def likeness(self) -> tuple[float, float]:
        """SI-SDR in dB and chroma cosine of the treated sound against the untreated copy."""
        plain, treated, rate = self.plain()[:1], self.audio()[:1], self.codec.config.sampling_rate
        return float(si_sdr(plain, treated)), chroma_cosine(plain[0].numpy(), treated[0].numpy(), rate)

    def in_words(self) -> str:
        """The state in words: the clip, then one line a codebook."""
        lines = [f"clip:       {self.clip} (swaps with {self.other})"]
        lines += [f"codebook {k}: {name}, {TREATMENTS[name]}" for k, name in enumerate(self.treatments)]
        count = self.treatments.count(AS_ENCODED)
        return "\n".join([*lines, f"untouched:  {count} of {len(self.treatments)} codebooks"])
