"""What the shipped model can do, measured on fixed sets: `python -m musicgen_edu.experiments.tiny.report`.

Prints the tables of `assets/tiny/README.md`; with `--write` it puts them there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ...checkpoints.load import find
from ...data.captions import caption
from ...data.pieces import random_piece
from ...data.procedural import Clip, make_clip
from ...evaluation.scores import AttributeProbe, chroma_cosine, clip_features, log_mel_distance, si_sdr
from ...fast.quick import QuickLM
from ...files import replace_when_complete
from ...model.generation import generate_codes
from ...model.sampling import Sampling
from ...musicgen import MusicGen

CODEC_SEED, CAPTION_SEED, PROBE_SEED = 11, 12, 13  # none of them is used in training
FRAMES = 400  # 8 s
CHANCE = {"timbre": 1 / 5, "tempo": 1 / 3, "tonic": 1 / 3, "mode": 1 / 2, "drums": 1 / 2}
SCALES = (1.0, 2.0, 3.0, 5.0)
MARK = "<!-- measured -->"


def clips_of(seed: int, count: int) -> list[Clip]:
    """A fixed set of clips of 8 s."""
    return [make_clip(np.random.SeedSequence((seed, i)), FRAMES) for i in range(count)]


def stacked(clips: list[Clip]) -> torch.Tensor:
    """Their audio [B, 1, N]."""
    return torch.from_numpy(np.stack([clip.audio for clip in clips]))[:, None]


def encoded(model: MusicGen, clips: list[Clip], batch: int = 32) -> torch.Tensor:
    """Codes of the clips: [B, K, T]."""
    return torch.cat([model.codec.encode(stacked(clips[i : i + batch])) for i in range(0, len(clips), batch)])


def decoded(model: MusicGen, codes: torch.Tensor, batch: int = 32) -> torch.Tensor:
    """Sound of codes [B, up to K, T]: [B, N]."""
    return torch.cat([model.codec.decode(part)[:, 0] for part in codes.split(batch)])


def codec_table(model: MusicGen, count: int = 256) -> str:
    """SI-SDR, chroma cosine and log-mel distance by number of codebooks: median and mean over the set."""
    clips = clips_of(CODEC_SEED, count)
    reference, codes = stacked(clips)[:, 0], encoded(model, clips)
    rows = [
        "| codebooks | kbit/s | SI-SDR (dB), median | SI-SDR (dB), mean | chroma cosine, mean | log-mel L1, mean |",
        "|---|---|---|---|---|---|",
    ]
    for k in range(1, codes.shape[1] + 1):
        made = decoded(model, codes[:, :k])
        sdr = si_sdr(reference, made)
        chroma = [chroma_cosine(a, b, model.sample_rate) for a, b in zip(reference.numpy(), made.numpy(), strict=True)]
        mel = log_mel_distance(reference, made, model.sample_rate)
        rate = model.codec.config.bandwidth * k / codes.shape[1]
        rows.append(
            f"| {k} | {rate:.1f} | {sdr.median():.2f} | {sdr.mean():.2f} | {np.mean(chroma):.3f} | {mel.mean():.3f} |"
        )
    return "\n".join(rows)


def promised(text: str) -> set[str]:
    """Which attributes a caption with every mention names: all but the tonic, which may be left out."""
    names = {"timbre", "tempo", "mode", "drums"}
    return names | {"tonic"} if re.search(r"\bin (the key of )?[CDE]\b", text) else names


def features_of(audio, sample_rate: int) -> np.ndarray:
    """`clip_features` of each clip of [B, N]."""
    return np.stack([clip_features(np.asarray(clip), sample_rate) for clip in audio])


def fit_probe(model: MusicGen, count: int = 600) -> AttributeProbe:
    """Classifiers trained on clips and on their reconstructions."""
    clips = clips_of(PROBE_SEED, count)
    originals = features_of([clip.audio for clip in clips], model.sample_rate)
    copies = features_of(decoded(model, encoded(model, clips)).numpy(), model.sample_rate)
    attributes = [clip.piece.attributes() for clip in clips]
    return AttributeProbe().fit(np.concatenate([originals, copies]), attributes + attributes)


def accuracy(found: list[dict], wanted: list[dict], counts: Callable[[int, str], bool]) -> dict[str, float]:
    """Share of clips that have the wanted attribute, over the clips for which `counts(i, name)` is true."""
    return {
        name: float(
            np.mean([f[name] == w[name] for i, (f, w) in enumerate(zip(found, wanted, strict=True)) if counts(i, name)])
        )
        for name in CHANCE
    }


def caption_table(model: MusicGen, count: int = 300, batch: int = 50) -> str:
    """How often a generated clip has what its caption promises, by guidance scale, between chance and ceiling."""
    probe = fit_probe(model)
    held_out = clips_of(CODEC_SEED, 256)
    attributes = [clip.piece.attributes() for clip in held_out]
    rows = ["| | " + " | ".join(CHANCE) + " |", "|---" * (len(CHANCE) + 1) + "|"]

    def row(title: str, values: dict[str, float]) -> None:
        rows.append(f"| {title} | " + " | ".join(f"{values[name]:.2f}" for name in CHANCE) + " |")

    row("chance", CHANCE)
    original = probe.predict(features_of([clip.audio for clip in held_out], model.sample_rate))
    row("the generator's own clips", accuracy(original, attributes, lambda i, name: True))
    copies = features_of(decoded(model, encoded(model, held_out)).numpy(), model.sample_rate)
    ceiling = accuracy(probe.predict(copies), attributes, lambda i, name: True)
    row("their reconstructions (ceiling)", ceiling)
    row("two thirds of the way", {name: CHANCE[name] + 2 / 3 * (ceiling[name] - CHANCE[name]) for name in CHANCE})

    rng = np.random.default_rng(CAPTION_SEED)
    pieces = [random_piece(rng) for _ in range(count)]
    texts = [caption(piece, rng, mention=1.0) for piece in pieces]
    wanted = [piece.attributes() for piece in pieces]
    names = [promised(text) for text in texts]
    shuffled = rng.permutation(count)
    for scale in SCALES:
        found = []
        for i in range(0, count, batch):
            condition = model.lm.project_text(*model.text(texts[i : i + batch]))
            seeds = list(range(i, i + len(condition.states)))
            codes = generate_codes(QuickLM(model.lm), FRAMES, seeds, condition, Sampling(guidance_scale=scale))
            found += probe.predict(features_of(model.codec.decode(codes)[:, 0].numpy(), model.sample_rate))
        row(f"guidance {scale:g}", accuracy(found, wanted, lambda i, name: name in names[i]))
        if scale == 3.0:
            other = [wanted[j] for j in shuffled]
            control = accuracy(found, other, lambda i, name: name in names[shuffled[i]])
    row("guidance 3, captions shuffled", control)
    return "\n".join(rows)


def main() -> None:
    """Measure and print; with --write also into the README beside the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="folder or name of the model")
    parser.add_argument("--write", action="store_true", help="replace the tables in the model's README.md")
    arguments = parser.parse_args()
    model = MusicGen.from_pretrained(arguments.model, device="cpu")
    text = (
        f"### Codec: 256 held-out clips of 8 s\n\n{codec_table(model)}\n\n"
        f"### Captions: 300 held-out captions, clips of 8 s, top-k 250\n\n{caption_table(model)}\n"
    )
    print(text)
    if arguments.write:
        path = Path(find(arguments.model)) / "README.md"
        head = path.read_text().split(MARK)[0]
        with replace_when_complete(path) as temporary:
            temporary.write_text(f"{head}{MARK}\n\n{text}")


if __name__ == "__main__":
    main()
