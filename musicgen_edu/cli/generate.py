"""`musicgen-edu generate`: a text to a sound file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..model.settings import GUIDANCE_SPACES, Sampling
from .options import Fields, add_command, add_model_options, model_loader
from .output import print_result, write_or_keep

if TYPE_CHECKING:
    from torch import Tensor

    from ..musicgen import MusicGen

EXAMPLES = """examples:
  musicgen-edu generate "a calm bell melody, no drums" --seconds 8 --seed 5 --out calm.wav
  musicgen-edu generate "a fast organ tune in D major, with drums" --guidance 2
  musicgen-edu generate "a sad bell tune" --negative-prompt "with drums" --guidance 2
  musicgen-edu generate "a fast happy bell melody" --continue calm.wav --seconds 10 --out more.wav
  musicgen-edu generate "80s pop with synth and drums" --model facebook/musicgen-small --seconds 15 --dtype int8
  musicgen-edu app

The model that comes with the package ("tiny") works without a network. It is small and was trained on synthetic
music: it knows plucked string, bell, organ, saw and soft pad, slow to fast, major and minor in C, D and E, with
drums or without. Published weights are fetched from the hub once; they are under CC-BY-NC 4.0."""
SAMPLING = Fields(
    Sampling(),
    guidance=("guidance_scale", "how strongly the text steers; 1 is as learned"),
    guidance_space=(
        "guidance_space",
        "what guidance is done to; in probabilities --guidance is a share, 0 to 1",
        GUIDANCE_SPACES,
    ),
    temperature=("temperature", "0 takes the likeliest code, more is wilder"),
    top_k=("top_k", "draw from the k likeliest codes only; 0 is all"),
    top_p=("top_p", "draw from the likeliest codes up to this share; 0 is all"),
)


def add_generate(commands: argparse._SubParsersAction) -> None:
    """Add `generate` to the command line."""
    told = "turn a text into a sound file"
    parser = add_command(commands, "generate", told, "Turn a text into a sound file.", EXAMPLES)
    add = parser.add_argument
    add("prompt", help="what the music should be like, in English")
    add("--out", type=Path, default=Path("music.wav"), help=".wav or .flac (default: %(default)s)")
    add("--seconds", type=float, default=8.0, metavar="X", help="length of the clip (default: %(default)g)")
    add("--seed", type=int, metavar="N", help="the same prompt and seed give the same music (default: a new one)")
    add("--negative-prompt", metavar="TEXT", help="what guidance leads away from (default: no text)")
    add(
        "--continue",
        dest="recording",
        type=Path,
        metavar="FILE",
        help="a sound file to go on from; it begins the clip and is part of --seconds",
    )
    add("--model", default="tiny", help="tiny, a folder, or a hub name such as facebook/musicgen-small (default: tiny)")
    add_model_options(parser)
    SAMPLING.add_to(parser.add_argument_group("how codes are chosen"))
    parser.set_defaults(run=run_generate)


def run_generate(arguments: argparse.Namespace) -> None:
    """Generate one clip and write it whole or not at all."""
    from ..model.audio import check_writable
    from ..options import check_seeds

    check_writable(arguments.out)  # before the minutes of work, not after
    (seed,) = check_seeds(arguments.seed, 1)
    if arguments.recording and not arguments.recording.is_file():
        raise FileNotFoundError(f"no sound file at {arguments.recording}")
    model = model_loader(arguments)(arguments.model)
    recording, rate = read_recording(arguments.recording, arguments.seconds, model)
    begin = time.monotonic()
    with progress_bar() as progress:
        audio = model.generate(
            [arguments.prompt],
            arguments.seconds,
            sampling=SAMPLING.make(arguments),
            seed=seed,
            progress=progress,
            negative_prompts=None if arguments.negative_prompt is None else [arguments.negative_prompt],
            prompt_audio=recording,
            prompt_sample_rate=rate,
        )
    write_or_keep(arguments.out, audio[0], model.sample_rate, seed)
    seconds, took = audio.shape[-1] / model.sample_rate, time.monotonic() - begin
    print_result(f"{arguments.out}: {seconds:.2f} s at {model.sample_rate} Hz, seed {seed}, in {took:.1f} s")


def read_recording(path: Path | None, seconds: float, model: MusicGen) -> tuple[Tensor | None, int | None]:
    """A recording [C, N] and its rate in Hz, or neither; one that is too long for the clip is not even read."""
    if path is None:
        return None, None
    from ..model.audio import read_audio, sound_length

    samples, rate = sound_length(path)
    frames = samples * model.frame_rate / rate
    model.check_room(frames, model.frames(seconds), f"--continue {path}", f"--seconds {seconds:g}")
    return read_audio(path, mono=False)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """What draws the steps done on standard error, if that is a terminal."""
    from tqdm import tqdm

    with tqdm(unit="step", dynamic_ncols=True, disable=None) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report
