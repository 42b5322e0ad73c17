"""What guidance does to the shipped model: the settings, the bench that measures them, and the jobs of a run."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from ...checkpoints.locate import find
from ...data.captions import WORDS, caption
from ...data.pieces import MODES, TEMPI, TIMBRES, TONICS, Piece, random_piece
from ...data.procedural import Clip, make_clip, make_clips, sounds_of
from ...evaluation.probes import AttributeProbe, features_of
from ...evaluation.reconstruction import decoded, encoded
from ...fast.quick import QuickLM
from ...files import replace_when_complete, write_text
from ...model.generation import generate_codes
from ...model.sampling import Sampling
from ...musicgen import MusicGen
from ..tiny.report import CHANCE, FRAMES, PROBE_SEED, promised
from .measures import Interval, Made, RealClips, figures_of, share_interval

GUIDANCE_SEED = 15  # not used in training, nor by another report
SEEDS = 2  # clips of each caption
BATCH = 25  # captions at a time
VERSION = 2  # of the measures: results of another version are not mixed with these


@dataclass(frozen=True)
class Setting:
    """One point of a curve. `negative` is "" (none), "contrary" (a caption that is wrong in every attribute)."""

    scale: float
    space: str = "logits"
    negative: str = ""


SETTINGS = (
    *(Setting(scale) for scale in (0, 1, 1.5, 2, 3, 4, 5, 6, 8)),
    *(Setting(gamma, "probabilities") for gamma in (0.2, 0.5, 0.8, 1)),
    *(Setting(scale, negative="contrary") for scale in (1.5, 3, 5)),
)
DRUMS = ("", "with drums", "no drums")  # negative prompts beside captions that say nothing of drums


@dataclass(frozen=True)
class Task:
    """A caption, what is wanted, what the caption names of it, and a caption that is wrong in everything."""

    text: str
    piece: Piece
    contrary: str


def opposite(piece: Piece, rng: np.random.Generator) -> Piece:
    """A piece that differs in every attribute that a caption names."""

    def other(values, value):
        return str(rng.choice([v for v in values if v != value]))

    return Piece(
        other(TIMBRES, piece.timbre),
        other(TEMPI, piece.tempo),
        other(TONICS, piece.tonic),
        other(MODES, piece.mode),
        not piece.drums,
    )


def tasks_of(count: int) -> list[Task]:
    """A fixed set; its beginning does not depend on the count."""
    rng = np.random.default_rng(GUIDANCE_SEED)
    tasks = []
    for _ in range(count):
        piece = random_piece(rng)
        text = caption(piece, rng, mention=1.0)
        tasks.append(Task(text, piece, caption(opposite(piece, rng), rng, mention=1.0)))
    return tasks


def silent_on_drums(count: int) -> list[str]:
    """Captions that say nothing of drums, of pieces with and without them."""
    rng, words, found = np.random.default_rng(GUIDANCE_SEED + 1), (*WORDS[True], *WORDS[False]), []
    while len(found) < count:
        text = caption(random_piece(rng), rng)
        if not any(word in text for word in words):
            found.append(text)
    return found


def clips_for(tasks: list[Task], first: int) -> list[Clip]:
    """Real clips of the wanted pieces, `SEEDS` of each next to each other; another `first` gives others."""
    seeds = [(i, first + j) for i in range(len(tasks)) for j in range(SEEDS)]
    return [make_clip(np.random.SeedSequence((GUIDANCE_SEED, i, j)), FRAMES, tasks[i].piece) for i, j in seeds]


class Bench:
    """The model with its judges: the probe that reads attributes, and what real clips sound like.

    Real clips have gone through the codec, so that its faults are not laid to guidance.

    Args:
        model: to be measured, on the CPU.
        tasks: what is asked for in every setting.
        cache: where the features of the real clips are kept; they take minutes.
        clips: how many real clips to learn from.
    """

    def __init__(self, model: MusicGen, tasks: list[Task], cache: Path, clips: int = 600):
        self.model, self.tasks = model, tasks
        real = make_clips(PROBE_SEED, clips, FRAMES)
        if not cache.is_file():
            known = {
                "originals": features_of(sounds_of(real), model.sample_rate),
                "copies": self.features(encoded(model.codec, sounds_of(real))),
                "same": self.features(encoded(model.codec, sounds_of(clips_for(tasks, 0)))),
            }
            with replace_when_complete(cache) as temporary, open(temporary, "wb") as file:
                np.savez(file, **known)
        with np.load(cache, allow_pickle=False) as known:
            originals, copies, self.same = known["originals"], known["copies"], known["same"]
        attributes = [clip.piece.attributes() for clip in real]
        self.probe = AttributeProbe().fit(np.concatenate([originals, copies]), attributes + attributes)
        self.real = RealClips(copies)

    def features(self, codes: torch.Tensor) -> np.ndarray:
        """Of the sound of codes [B, K, T]: [B, F]."""
        return features_of(decoded(self.model.codec, codes), self.model.sample_rate)

    def generate(self, texts: list[str], sampling: Sampling, negatives: list[str] | None, first: int = 0):
        """Codes [B, K, T] for texts; the seeds are `first` and those that follow it."""
        seeds = list(range(first, first + len(texts)))
        negative = None if negatives is None else self.model.condition(negatives)
        condition, lm = self.model.condition(texts), QuickLM(self.model.lm)
        return generate_codes(lm, FRAMES, seeds, condition, sampling, negative=negative)

    def figures(self, codes: torch.Tensor) -> dict[str, Interval]:
        """Everything measured on codes [n * SEEDS, K, T], the clips of a task next to each other."""
        audio, shape = decoded(self.model.codec, codes), (len(self.tasks), SEEDS)
        features = features_of(audio, self.model.sample_rate)
        found = self.probe.predict(features)
        right = {name: np.full(shape, np.nan) for name in CHANCE}
        for i, task in enumerate(self.tasks):
            for name in promised(task.text):
                wanted = task.piece.attributes()[name]
                right[name][i] = [found[SEEDS * i + j][name] == wanted for j in range(SEEDS)]
        made = Made(codes.unflatten(0, shape), audio.unflatten(0, shape), features.reshape(*shape, -1), right)
        same = self.same.reshape(*shape, -1)
        return figures_of(made, self.real, same, self.model.sample_rate, self.model.lm.config.codebook_size)

    def measure(self, setting: Setting) -> dict[str, Interval]:
        """Generate and judge."""
        sampling, codes = Sampling(setting.scale, guidance_space=setting.space), []
        for i in range(0, len(self.tasks), BATCH):
            part = [task for task in self.tasks[i : i + BATCH] for _ in range(SEEDS)]
            negatives = [task.contrary for task in part] if setting.negative else None
            codes.append(self.generate([task.text for task in part], sampling, negatives, SEEDS * i))
        return self.figures(torch.cat(codes))

    def ceiling(self) -> dict[str, Interval]:
        """The same for other real clips of the wanted pieces."""
        return self.figures(encoded(self.model.codec, sounds_of(clips_for(self.tasks, SEEDS))))

    def drums(self, negative: str, texts: list[str]) -> Interval:
        """The share of clips with drums at guidance 3, for captions that do not mention them."""
        found = []
        for i in range(0, len(texts), 2 * BATCH):
            part = texts[i : i + 2 * BATCH]
            codes = self.generate(part, Sampling(), [negative] * len(part) if negative else None, i)
            found += self.probe.predict(self.features(codes))
        return share_interval(np.array([one["drums"] for one in found]))


def identity(model: str, captions: int) -> dict:
    """What results must have in common to stand in one table."""
    weights = hashlib.sha256((Path(find(model)) / "model.safetensors").read_bytes()).hexdigest()
    return {"version": VERSION, "weights": weights, "captions": captions, "seeds": SEEDS, "seconds": FRAMES / 50}


def stored(path: Path, head: dict) -> dict:
    """What an earlier run left at `path`, if it measured the same thing; else an empty result."""
    empty = {**head, "ceiling": None, "settings": [], "drums": []}
    if not path.is_file():
        return empty
    result = json.loads(path.read_text())
    return result if {name: result.get(name) for name in head} == head else empty


def left_to_do(result: dict) -> list[tuple[str, object]]:
    """The jobs that a result lacks: ("ceiling", None), ("settings", Setting) and ("drums", negative prompt)."""
    done = [Setting(one["scale"], one["space"], one["negative"]) for one in result["settings"]]
    jobs = [] if result["ceiling"] else [("ceiling", None)]
    jobs += [("settings", setting) for setting in SETTINGS if setting not in done]
    told = [one["negative"] for one in result["drums"]]
    return jobs + [("drums", negative) for negative in DRUMS if negative not in told]


def do(job: tuple[str, object], bench: Bench, result: dict) -> None:
    """Measure one job and add it to the result."""
    kind, what = job
    begin, count = time.process_time(), result["captions"]
    if kind == "ceiling":
        result["ceiling"] = {"figures": bench.ceiling()}
    elif kind == "settings":
        row = {**asdict(what), "figures": bench.measure(what)}
        result["settings"].append({**row, "cpu_seconds": round(time.process_time() - begin)})
    else:
        result["drums"].append({"negative": what, "share": bench.drums(what, silent_on_drums(count))})
    print(f"{kind} {what or ''}: {time.process_time() - begin:.0f} CPU seconds", flush=True)


@torch.no_grad()
def go_on(model: str, captions: int, folder: Path, most: int | None = None) -> dict:
    """Measure what an earlier run has left to do, at most so many jobs, and store each; returns the result so far."""
    head = identity(model, captions)
    path = folder / "guidance.json"
    result = stored(path, head)
    jobs = left_to_do(result)[:most]
    if jobs:
        folder.mkdir(parents=True, exist_ok=True)
        cache = folder / f"real-{head['weights'][:12]}-{captions}.npz"
        bench = Bench(MusicGen.from_pretrained(model, device="cpu"), tasks_of(captions), cache)
        for job in jobs:
            do(job, bench, result)
            write_text(path, json.dumps(result, indent=1))
    return result
