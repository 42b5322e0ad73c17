"""Spoiled input by chance: four kinds of it, each try with a number from which it can be made again."""

from __future__ import annotations

import faulthandler
import json
import math
import random
import shutil
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from musicgen_edu import EncodecConfig, EncodecModel, LMConfig, MusicGen, MusicgenLM, Sampling
from musicgen_edu.checkpoints import read_codec
from musicgen_edu.model import audio as sound
from musicgen_edu.model.continuation import plan_windows
from musicgen_edu.model.patterns import pattern_table

LONGEST_TRY = 60  # seconds after which a try counts as one that does not end
MOST_MEMORY = 2 * 10**9  # bytes that a try may take
SPOILED = ["x", "3", "", None, [], [1], [[8]], {}, {"a": 1}, True, False, 0, -1, 10**9, 3.5, math.nan, math.inf, 1e300]
NUMBERS = [0, 1, 2, 3, 0.5, 1.0, 8, -1, 1e-46, 1e39, 2**64, math.nan, math.inf, None, "3", [1], {}, True, 1j,
           np.float32(1), np.int64(2)]  # fmt: skip
TEXTS = ["a calm bell", "", "  ", "\n\t", "\x00", "a\ud800", "一个铃", "bell " * 400, 5, None, b"a bell", ["a"]]


def audios(chance: random.Random) -> Any:
    """Something that may be taken for audio."""
    shape = chance.choice(
        [(1, 1, 800), (1, 800), (800,), (2, 1, 320), (1, 2, 160), (1, 1, 1), (1, 1, 0), (3, 50, 7), ()]
    )
    plain = torch.randn(shape) * chance.choice([0.1, 1, 3e4, 0])
    changes = [lambda x: x, lambda x: x, Tensor.double, Tensor.half, Tensor.int, Tensor.numpy, Tensor.tolist,
               lambda x: x * math.nan, lambda x: x > 0, lambda x: x * 1j, lambda x: None, lambda x: "x"]  # fmt: skip
    return chance.choice(changes)(plain)


def tokens(chance: random.Random) -> Any:
    """Something that may be taken for codes of the small model: [B, 4, T], 0 to 15."""
    shape = chance.choice([(1, 4, 5), (2, 4, 1), (1, 2, 3), (1, 4, 0), (4, 5), (1, 5, 3), (0, 4, 2), ()])
    plain = torch.randint(chance.choice([16, 16, 17, 10**6]), shape)
    changes = [lambda x: x, lambda x: x, Tensor.int, Tensor.float, lambda x: -x, lambda x: x > 0]
    return chance.choice(changes)(plain)


# ---- outcomes ----------------------------------------------------------------------------------------------------


@contextmanager
def limits():
    """A block that takes too long, or too much memory, ends in an error that nothing promises."""
    import resource  # not on Windows

    def end(*_: Any) -> None:
        raise TimeoutError(f"no end after {LONGEST_TRY} s")

    before, memory = signal.signal(signal.SIGALRM, end), resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, memory[1]))
    signal.alarm(LONGEST_TRY)
    faulthandler.dump_traceback_later(2 * LONGEST_TRY, exit=True)  # for what not even a signal ends
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, memory)


def outcome(attempt: Callable[[], None]) -> tuple[str, str]:
    """ "right", "refused" or "raw", and what was said.

    Refused is what ends in a `ValueError` or `OSError` with one line of at least 10 characters that a line of ours has
    raised; what a library says in its own words is raw.
    """
    try:
        with limits():
            attempt()
    except (ValueError, OSError) as error:
        said, frame = str(error), traceback.extract_tb(error.__traceback__)[-1]
        ours = "/musicgen_edu/" in frame.filename and "site-packages" not in frame.filename
        if len(said) >= 10 and "\n" not in said.strip() and ours and not isinstance(error, TimeoutError):
            return "refused", said
        return "raw", f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {said[:160]}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return "raw", f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(error)[:160]}"
    return "right", ""


def is_sound(audio: Any, rows: int | None = None) -> None:
    """An `AssertionError`, which no try may end in, unless that is audio as it is promised."""
    assert isinstance(audio, Tensor), type(audio)
    assert audio.dtype == torch.float32, audio.dtype
    assert audio.numel(), list(audio.shape)
    assert audio.isfinite().all(), "not finite"
    assert rows is None or audio.shape[0] == rows, list(audio.shape)


# ---- the kinds ---------------------------------------------------------------------------------------------------


class Fuzz:
    """Tries of each kind on a small model.

    Args:
        folder: of a MusicGen in the published format, with 800 Hz, 4 codebooks of 16, and 64 steps.
        scratch: an empty folder.
    """

    def __init__(self, folder: Path, scratch: Path):
        self.folder, self.scratch = folder, scratch
        self.model = MusicGen.from_pretrained(folder, device="cpu")
        self.kinds = {"settings": self.settings, "folders": self.folders, "sounds": self.sounds, "calls": self.calls}
        time_axis = np.arange(1600) / 16000
        for kind in ("WAV", "FLAC", "OGG", "MP3"):
            soundfile.write(scratch / f"sound.{kind.lower()}", 0.5 * np.sin(2764 * time_axis), 16000, format=kind)

    def attempt(self, kind: str, number: int) -> tuple[str, str]:
        """One try: its outcome, and what was tried and said."""
        torch.manual_seed(number)
        what, call = self.kinds[kind](random.Random(f"{kind} {number}"))
        begin = time.monotonic()
        result, said = outcome(call)
        return result, f"{kind} {number} ({what}, {time.monotonic() - begin:.1f} s): {said}"

    def copy(self) -> Path:
        """A fresh copy of the model's folder."""
        copy = self.scratch / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        return shutil.copytree(self.folder, copy)

    def load_and_play(self, folder: Path) -> None:
        """What a folder must bear, or be refused for."""
        model = MusicGen.from_pretrained(folder, device="cpu")
        is_sound(model.generate(["a calm bell"], seconds=4 / model.frame_rate, top_k=2, seed=1), 1)

    def settings(self, chance: random.Random) -> tuple[str, Callable[[], None]]:
        """A value in one of the files of settings exchanged, left out or added."""
        copy, name = self.copy(), chance.choice(["config.json"] * 5 + ["tokenizer_config.json", "tokenizer.json"])
        settings = json.loads((copy / name).read_text())
        place, path = settings, name
        while True:
            key = chance.choice(sorted(place)) if isinstance(place, dict) else chance.randrange(len(place))
            path += f"/{key}"
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner or chance.random() < 0.1:
                break
            place = inner
        value = chance.choice(SPOILED)
        if chance.random() < 0.1:
            del place[key]
            path += " left out"
        else:
            place[key] = value
        (copy / name).write_text(json.dumps(settings))
        return f"{path} = {value!r}", partial(self.load_and_play, copy)

    def folders(self, chance: random.Random) -> tuple[str, Callable[[], None]]:
        """A file of the folder damaged, exchanged or taken away."""
        copy = self.copy()
        path = chance.choice([*sorted(copy.iterdir()), *[copy / "model.safetensors"] * 4])
        return f"{path.name} {damage(path, chance)}", partial(self.load_and_play, copy)

    def sounds(self, chance: random.Random) -> tuple[str, Callable[[], None]]:
        """A sound file damaged, most often in its header."""
        source = chance.choice(sorted(self.scratch.glob("sound.*")))
        shutil.rmtree(self.scratch / "damaged", ignore_errors=True)
        (self.scratch / "damaged").mkdir()
        path = self.scratch / "damaged" / source.name
        shutil.copy(source, path)
        how = damage(path, chance, 64)

        def read() -> None:
            audio, rate = sound.read_audio(path, mono=chance.random() < 0.5)
            assert rate > 0
            is_sound(audio)
            sound.sound_length(path)
            if chance.random() < 0.3:
                options = {"prompt_audio": audio, "prompt_sample_rate": rate, "seed": 1, "top_k": 2}
                is_sound(self.model.generate(["a bell"], 0.5, **options), 1)

        return f"{path.name} {how}", read

    def calls(self, chance: random.Random) -> tuple[str, Callable[[], None]]:
        """A public function with arguments of which some are spoiled."""

        def some(*good: Any, bad: list = NUMBERS) -> Any:
            return chance.choice(good if chance.random() < 0.7 else bad)

        options = {
            "guidance_scale": lambda: some(3.0, 1, 0), "temperature": lambda: some(1.0, 0.5, 0),
            "top_k": lambda: some(0, 2), "top_p": lambda: some(0.9, 0.1), "seed": lambda: some(1, [1], [1, 2]),
            "guidance_space": lambda: some("logits", bad=["probabilities", "x", None, 3]),
            "negative_prompts": lambda: some(["noise"], bad=[[], "noise", [5], None, 3]),
            "prompt_audio": lambda: audios(chance), "prompt_sample_rate": lambda: some(800, 1600),
            "sampling": lambda: some(Sampling(top_k=2), bad=[Sampling(top_k=99), 3, None]),
        }  # fmt: skip
        given = {name: options[name]() for name in chance.sample(sorted(options), chance.randrange(4))}
        if "prompt_audio" in given:
            given.setdefault("prompt_sample_rate", 800)
        if "sampling" not in given:
            given.setdefault("top_k", 4)
        prompts = some(["a bell"], ["a", "b"], bad=[[chance.choice(TEXTS)], chance.choice(TEXTS), []])
        seconds = some(0.1, 0.3, bad=[0.5, *(n for n in NUMBERS if n not in (8, 3, 2, 1, True))])
        file = self.scratch / chance.choice(["out.wav", "out.flac", "out.mp3", "no/out.wav", "out"])
        wide, codec = {"layers": 1, "dim": 8, "num_heads": 2}, {"num_filters": 2}
        lm_fields, codec_fields = sorted(vars(LMConfig())), sorted(vars(EncodecConfig()))
        rate, other = some(800, 1600), chance.choice([800, 1600])
        table = {
            "generate": lambda: is_sound(self.model.generate(prompts, seconds, **given), len(prompts)),
            "stream": lambda: [is_sound(one) for one in self.model.stream(prompts, seconds, some(0.1, 1.5), **given)],
            "encode": lambda: self.model.codec.encode(audios(chance), some(None, 2)),
            "decode": lambda: is_sound(self.model.codec.decode(tokens(chance))),
            "resample": lambda: sound.resample(audios(chance), rate, other),
            "write_audio": lambda: sound.write_audio(file, audios(chance), some(800)),
            "mel_spectrogram": lambda: sound.mel_spectrogram(audios(chance), 800, 8, 64),
            "LMConfig": lambda: on_meta(MusicgenLM, LMConfig, wide, chance.choice(lm_fields), chance.choice(SPOILED)),
            "EncodecConfig": lambda: on_meta(
                EncodecModel, EncodecConfig, codec, chance.choice(codec_fields), chance.choice(SPOILED)
            ),
            "pattern_table": lambda: pattern_table(some("delay", bad=["x", 3, []]), some(4), some(9)),
            "plan_windows": lambda: plan_windows(some(90), some(30), some(12), some(0, 5)),
            "from_pretrained": lambda: MusicGen.from_pretrained(*chance.choice(
                [("",), ("no/such",), (self.scratch,), (5,), (None,), ("x" * 5000,), ("a\x00b",),
                 (self.folder, "cuda:9"), (self.folder, "x"), (self.folder, "cpu", torch.int16),
                 (self.folder, "cpu", "float32")]
            )),
            "read_codec": lambda: read_codec(chance.choice(["", "no/such", self.scratch, 5, None, self.folder / "x"])),
        }  # fmt: skip
        name = chance.choice(sorted(table))
        told = f"{prompts!r:.60}, {seconds!r}, {given!s:.200}" if name in ("generate", "stream") else ""
        return f"{name}({told})", table[name]


def on_meta(model: type, config: type, sizes: dict, field: str, value: Any) -> None:
    """Build a model with one field of its configuration spoiled, without memory."""
    with torch.device("meta"):
        model(config(**{**sizes, field: value}))


def damage(path: Path, chance: random.Random, header: int = 4096) -> str:
    """Harm a file in one of the ways in which files are harmed; in words."""
    data = bytearray(path.read_bytes())
    how = chance.choice(["flip", "flip", "flip", "cut", "empty", "gone", "folder", "link", "noise", "longer", "zeros"])
    if how == "flip":
        for _ in range(chance.choice([1, 1, 3, 20])):
            data[chance.randrange(min(len(data), chance.choice([16, header, len(data)])))] = chance.randrange(256)
    elif how == "cut":
        data = data[: chance.randrange(len(data))]
    elif how == "longer":
        data += chance.randbytes(chance.choice([1, 100, 5000]))
    elif how == "noise":
        data = bytearray(chance.randbytes(len(data)))
    elif how == "zeros":
        data = bytearray(len(data))
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "link":
        path.symlink_to(path.parent / "nowhere")
    elif how != "gone":
        path.write_bytes(b"" if how == "empty" else bytes(data))
    return how
