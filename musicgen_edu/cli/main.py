"""The command line: `musicgen-edu generate "a calm bell melody" --out calm.wav`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .app import add_command as add_app
from .options import add_model_options, model_loader
from .train_codec import add_command as add_train_codec
from .train_lm import add_command as add_train_lm

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


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        prog="musicgen-edu",
        description="MusicGen, built to be understood: text in, music out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    generate = commands.add_parser(
        "generate",
        help="turn a text into a sound file",
        description="Turn a text into a sound file.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    generate.add_argument("prompt", help="what the music should be like, in English")
    generate.add_argument("--out", type=Path, default=Path("music.wav"), help=".wav or .flac (default: %(default)s)")
    generate.add_argument("--seconds", type=float, default=8.0, help="length of the clip (default: %(default)g)")
    generate.add_argument("--seed", type=int, help="the same prompt and seed give the same music (default: a new one)")
    generate.add_argument(
        "--guidance",
        type=float,
        default=3.0,
        help="how strongly the text steers; 1 is as learned (default: %(default)g)",
    )
    generate.add_argument(
        "--guidance-space",
        choices=("logits", "probabilities"),
        default="logits",
        help="what guidance is done to; in probabilities --guidance is a share, 0 to 1 (default: %(default)s)",
    )
    generate.add_argument("--negative-prompt", metavar="TEXT", help="what guidance leads away from (default: no text)")
    generate.add_argument(
        "--continue",
        dest="recording",
        type=Path,
        metavar="FILE",
        help="a sound file to go on from; it begins the clip and is part of --seconds",
    )
    generate.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        help="0 takes the likeliest code, more is wilder (default: %(default)g)",
    )
    generate.add_argument(
        "--top-k", type=int, default=250, help="draw from the k likeliest codes only; 0 is all (default: %(default)s)"
    )
    generate.add_argument("--top-p", type=float, default=0.0, help="draw from the likeliest codes up to this share")
    generate.add_argument(
        "--model", default="tiny", help="tiny, a folder, or a hub name such as facebook/musicgen-small"
    )
    add_model_options(generate)
    generate.set_defaults(run=run_generate)
    add_app(commands)
    add_train_codec(commands)
    add_train_lm(commands)
    return parser


def progress_bar(done: int, total: int) -> None:
    """Draw the share of steps done on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        return
    filled = 30 * done // total
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (30 - filled)}] step {done} of {total}")
    if done == total:
        sys.stderr.write("\n")
    sys.stderr.flush()


def run_generate(arguments: argparse.Namespace) -> None:
    """Generate one clip and write it whole or not at all."""
    from ..model.audio import check_writable, read_audio, write_audio
    from ..musicgen import check_seeds

    check_writable(arguments.out)  # before the minutes of work, not after
    recording, rate = (None, None) if arguments.recording is None else read_audio(arguments.recording, mono=False)
    model = model_loader(arguments)(arguments.model)
    (seed,) = check_seeds(arguments.seed, 1)
    begin = time.monotonic()
    audio = model.generate(
        [arguments.prompt],
        seconds=arguments.seconds,
        guidance_scale=arguments.guidance,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        temperature=arguments.temperature,
        seed=seed,
        progress=progress_bar,
        guidance_space=arguments.guidance_space,
        negative_prompts=None if arguments.negative_prompt is None else [arguments.negative_prompt],
        prompt_audio=recording,
        prompt_sample_rate=rate,
    )
    write_audio(arguments.out, audio[0], model.sample_rate)
    seconds = audio.shape[-1] / model.sample_rate
    print(
        f"{arguments.out}: {seconds:.2f} s at {model.sample_rate} Hz, seed {seed}, in {time.monotonic() - begin:.1f} s"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a mistake of the user's ends in one sentence and exit status 2, without a traceback."""
    parsed = build_parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except (ValueError, OSError) as error:
        print(f"musicgen-edu: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nmusicgen-edu: stopped; nothing was written", file=sys.stderr)
        return 130
    return 0
