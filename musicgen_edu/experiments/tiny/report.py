"""What the shipped model can do, measured on fixed sets: the tables of assets/tiny/README.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from ...checkpoints.find import find
from ...data.captions import caption
from ...data.pieces import random_piece
from ...data.procedural import Clip, make_clips, sounds_of
from ...evaluation.probes import AttributeProbe, features_of
from ...evaluation.reconstruction import decoded, encoded
from ...fast.quick import QuickLM
from ...model.generation import generate_codes
from ...model.sampling import Sampling
from ...musicgen import MusicGen
from ..codec_report import HELD_OUT_SEED, codec_table
from ..pages import table, write_below_mark

CAPTION_SEED, PROBE_SEED = 12, 13  # neither is used in training
FRAMES = 400  # 8 s
PROBED, HELD_OUT, CAPTIONS = 600, 256, 300  # clips that the probe learns from, other real ones, generated ones
BATCH = 50  # captions at a time
CHANCE = {"timbre": 1 / 5, "tempo": 1 / 3, "tonic": 1 / 3, "mode": 1 / 2, "drums": 1 / 2}
SCALES = (1.0, 2.0, 3.0, 5.0)


def promised(text: str) -> set[str]:
    """Which attributes a caption with every mention names: all but the tonic, which may be left out."""
    names = {"timbre", "tempo", "mode", "drums"}
    return names | {"tonic"} if re.search(r"\bin (the key of )?[CDE]\b", text) else names


def fit_probe(clips: Sequence[Clip], copies: Tensor, sample_rate: int) -> AttributeProbe:
    """Classifiers trained on clips, and on the sounds [B, N] of the first of them after the codec's way."""
    attributes = [clip.piece.attributes() for clip in clips]
    features = features_of([*sounds_of(clips), *copies], sample_rate)
    return AttributeProbe().fit(features, attributes + attributes[: len(copies)])


def through_codec(model: MusicGen, clips: Sequence[Clip]) -> Tensor:
    """The sounds of clips after the codec's way to codes and back: [B, N]."""
    return decoded(model.codec, encoded(model.codec, sounds_of(clips)))


def accuracy(found: list[dict], wanted: list[dict], counts: Callable[[int, str], bool]) -> dict[str, float]:
    """Share of clips that have the wanted attribute, over the clips for which `counts(i, name)` is true."""
    return {
        name: float(
            np.mean([f[name] == w[name] for i, (f, w) in enumerate(zip(found, wanted, strict=True)) if counts(i, name)])
        )
        for name in CHANCE
    }


def judged(probe: AttributeProbe, sounds: Tensor, sample_rate: int) -> list[dict]:
    """What the probe hears in sounds [B, N]: the attributes of each."""
    return probe.predict(features_of(sounds, sample_rate))


def real_rows(model: MusicGen, probe: AttributeProbe) -> dict[str, dict[str, float]]:
    """How often the probe hears the attributes of real clips: as they are, and through the codec, the ceiling."""
    clips = make_clips(HELD_OUT_SEED, HELD_OUT, FRAMES)
    attributes = [clip.piece.attributes() for clip in clips]
    heard = {
        "the generator's own clips": judged(probe, sounds_of(clips), model.sample_rate),
        "their reconstructions (ceiling)": judged(probe, through_codec(model, clips), model.sample_rate),
    }
    rows = {"chance": CHANCE}
    rows |= {name: accuracy(found, attributes, lambda i, name: True) for name, found in heard.items()}
    ceiling = rows["their reconstructions (ceiling)"]
    return rows | {"two thirds of the way": {n: CHANCE[n] + 2 / 3 * (ceiling[n] - CHANCE[n]) for n in CHANCE}}


def generated_rows(model: MusicGen, probe: AttributeProbe) -> dict[str, dict[str, float]]:
    """How often generated clips have what their caption promises, by guidance scale; and what another one promises."""
    rng, rows = np.random.default_rng(CAPTION_SEED), {}
    pieces = [random_piece(rng) for _ in range(CAPTIONS)]
    texts = [caption(piece, rng, mention=1.0) for piece in pieces]
    wanted, names = [piece.attributes() for piece in pieces], [promised(text) for text in texts]
    shuffled = rng.permutation(CAPTIONS)
    for scale in SCALES:
        found = []
        for i in range(0, CAPTIONS, BATCH):
            condition = model.condition(texts[i : i + BATCH])
            seeds = list(range(i, i + len(condition.states)))
            codes = generate_codes(QuickLM(model.lm), FRAMES, seeds, condition, Sampling(guidance_scale=scale))
            found += judged(probe, decoded(model.codec, codes), model.sample_rate)
        rows[f"guidance {scale:g}"] = accuracy(found, wanted, lambda i, name: name in names[i])
        if scale == 3.0:
            other = [wanted[j] for j in shuffled]
            control = accuracy(found, other, lambda i, name: name in names[shuffled[i]])
    return rows | {"guidance 3, captions shuffled": control}


def caption_table(model: MusicGen) -> str:
    """How often a generated clip has what its caption promises, between chance and ceiling."""
    clips = make_clips(PROBE_SEED, PROBED, FRAMES)
    probe = fit_probe(clips, through_codec(model, clips), model.sample_rate)
    rows = real_rows(model, probe) | generated_rows(model, probe)
    cells = [[title, *(f"{values[name]:.2f}" for name in CHANCE)] for title, values in rows.items()]
    return table(["", *CHANCE], cells)


def report(name: str, write: bool) -> None:
    """Measure a model and print the tables; with `write` also into the README beside it."""
    model = MusicGen.from_pretrained(name, device="cpu")
    clips = sounds_of(make_clips(HELD_OUT_SEED, HELD_OUT, FRAMES))
    text = (
        f"### Codec: {HELD_OUT} held-out clips of 8 s\n\n{codec_table(model.codec, clips)}\n\n"
        f"### Captions: {CAPTIONS} held-out captions, clips of 8 s, top-k 250\n\n{caption_table(model)}\n"
    )
    print(text)
    if write:
        write_below_mark(Path(find(name)) / "README.md", text)
