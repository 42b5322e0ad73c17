"""`musicgen-edu train-lm`: train a text-to-music model on captioned clips, or on the procedural music."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..training.run_folder import SETTINGS, STATE, check_same_run
from .train_codec import chosen_device

if TYPE_CHECKING:  # the options must be readable without waiting for torch
    from ..model.encodec import EncodecModel
    from ..model.lm import LMConfig
    from ..training.clip_sources import ClipSource
    from ..training.processes import Processes
    from ..training.settings import LMTraining
    from ..training.text_to_codes import TextToCodes

NOT_OF_THE_RUN = ("command", "run", "out", "device", "checkpoint_every")  # options that do not change its numbers
PATTERNS = ("delay", "parallel", "flattening", "coarse-first", "partial delay", "partial flattening")
DESCRIPTION = """Train a MusicGen and write it as a folder in the published format.

The data are clips with captions. Their codes are computed once, by the codec, and kept in OUT/codes. The text encoder
stays as it is. A run that was stopped goes on by itself: give the same command again. Its state lies in OUT/run.pt
and may be removed, with the codes, when the run is complete. OUT/validation.jsonl has the losses on clips that were
held out. What is left is a model: musicgen-edu generate --model OUT, or MusicGen.from_pretrained(OUT).

--data is one of
  procedural   the course's own music: nothing else is needed
  TABLE.csv    with the columns file and caption; the files lie in --clips, or where the table is
  TABLE.csv    that of MusicCaps (ytid, start_s, end_s, caption, ...); --clips is a folder of clips named by ytid

The published format knows the delay pattern only. With another --pattern OUT is a model in a format of our own,
which musicgen_edu.checkpoints.own_format.read_with_pattern reads."""
EXAMPLES = """examples:
  musicgen-edu train-lm --steps 2000 --ema 0.99 --out runs/lm
  musicgen-edu train-lm --data musiccaps-public.csv --clips clips --codec facebook/encodec_32khz --text t5-base \\
      --size small --seconds 10 --batch 30 --accumulate 20 --ema 0.99 --word-dropout 0.2 --max-words 250 \\
      --out runs/musiccaps
  accelerate launch --num_processes 4 -m musicgen_edu.cli.main train-lm --out runs/lm

With several processes or GPUs each one computes a part of every batch: the results are those of a single process."""


def add_command(commands) -> None:
    """Add `train-lm` and its options to the command line."""
    parser = commands.add_parser(
        "train-lm",
        help="train a text-to-music model on captioned clips",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the model, its codes and the state of the run")
    add("--steps", type=int, default=2000, help="updates of the weights (default: %(default)s)")
    add("--seed", type=int, default=0, help="the same seed gives the same model (default: %(default)s)")
    add("--float32", action="store_true", help="compute in float32 (default: bfloat16 where it does no harm)")
    add("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    add("--checkpoint-every", type=int, default=250, help="steps between writes of the state (default: %(default)s)")
    add("--validate-every", type=int, default=250, help="steps between validations (default: %(default)s)")
    data = parser.add_argument_group("data").add_argument
    data("--data", default="procedural", help="see above (default: %(default)s)")
    data("--clips", help="folder of the sound files (default: that of the table)")
    data("--good-sound", action="store_true", help="of MusicCaps only clips whose text speaks of no poor recording")
    data("--procedural-clips", type=int, default=1024, help="how many to make (default: %(default)s)")
    data("--validation-clips", type=int, default=256, help="at most so many held-out ones (default: %(default)s)")
    data("--seconds", type=float, default=8.0, help="of a clip; longer ones are cut in pieces (default: %(default)g)")
    data("--codec", default="tiny", help="tiny, a folder, or a hub name (default: %(default)s)")
    data("--text", default="tiny", help="tiny, t5-small, t5-base, a folder, or a hub name (default: %(default)s)")
    size = parser.add_argument_group("size of the model").add_argument
    size("--size", choices=("small", "medium", "large"), help="those of MusicGen (default: the smaller one below)")
    size("--dim", type=int, help="width (default: 192)")
    size("--heads", type=int, help="of attention (default: 3)")
    size("--layers", type=int, help="(default: 6)")
    size("--feed-forward", type=int, help="width inside a layer (default: 640)")
    size("--pattern", choices=PATTERNS, default="delay", help="order of the codes (default: %(default)s)")
    learn = parser.add_argument_group("training").add_argument
    learn("--batch", type=int, default=16, help="clips that are computed at once (default: %(default)s)")
    learn("--accumulate", type=int, default=1, help="batches that make an update together (default: %(default)s)")
    learn("--learning-rate", type=float, default=2e-3, help="its largest value (default: %(default)g)")
    learn("--warmup", type=int, default=100, help="steps until it is reached (default: %(default)s)")
    learn("--hold", type=float, default=0.4, help="share of the run in which it stays (default: %(default)g)")
    learn("--weight-decay", type=float, default=0.05, help="(default: %(default)g)")
    learn("--condition-dropout", type=float, default=0.15, help="clips without caption (default: %(default)g)")
    learn("--word-dropout", type=float, default=0.0, help="words left out of a caption (default: %(default)g)")
    learn("--max-words", type=int, help="of a caption only so many (default: all)")
    learn("--ema", type=float, metavar="DECAY", help="write the moving average of the weights, with this decay")
    learn("--ema-every", type=int, default=1, metavar="STEPS", help="average every n-th update (default: %(default)s)")
    parser.set_defaults(run=run_train_lm)


def check_numbers(arguments: argparse.Namespace) -> None:
    """Raise a `ValueError` that names the option whose value makes no sense."""
    whole = (
        "steps batch accumulate checkpoint_every validate_every procedural_clips validation_clips ema_every max_words "
        "heads layers feed_forward"
    )
    least = dict.fromkeys(whole.split(), 1) | {"seed": 0, "warmup": 0, "weight_decay": 0, "dim": 4}
    for name, smallest in least.items():
        given = getattr(arguments, name)
        if given is not None and not given >= smallest:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {smallest}, not {given}")
    for name in ("condition_dropout", "word_dropout"):
        if not 0 <= getattr(arguments, name) <= 1:
            raise ValueError(f"--{name.replace('_', '-')} must be 0 to 1, not {getattr(arguments, name):g}")
    for name in ("learning_rate", "seconds"):
        if not 0 < getattr(arguments, name) < float("inf"):
            raise ValueError(f"--{name.replace('_', '-')} must be more than 0, not {getattr(arguments, name):g}")
    for name in ("ema", "hold"):
        given = getattr(arguments, name)
        if given is not None and not 0 <= given < 1:
            raise ValueError(f"--{name} must be at least 0 and less than 1, not {given:g}")
    if arguments.ema_every > arguments.steps:
        raise ValueError(f"--ema-every must be at most --steps, {arguments.steps}, not {arguments.ema_every}")


def frames_of(arguments: argparse.Namespace, codec: EncodecModel) -> int:
    """T, the frames of a whole clip."""
    return max(1, round(arguments.seconds * codec.config.frame_rate))


def model_config(arguments: argparse.Namespace, codec: EncodecModel, text_dim: int) -> LMConfig:
    """The sizes that the options ask for, as far as the published format can say them."""
    from ..model.lm import CONFIGS, LMConfig

    sizes = CONFIGS[arguments.size] if arguments.size else LMConfig(dim=192, num_heads=3, layers=6, feed_forward=640)
    named = {"dim": "dim", "num_heads": "heads", "layers": "layers", "feed_forward": "feed_forward"}
    given = {name: getattr(arguments, option) for name, option in named.items()}
    chosen = {name: getattr(sizes, name) if value is None else value for name, value in given.items()}
    if chosen["dim"] % 2 or chosen["dim"] % chosen["num_heads"]:
        raise ValueError(f"--dim must be even and a multiple of --heads {chosen['num_heads']}, not {chosen['dim']}")
    K = codec.config.num_codebooks
    return LMConfig(
        **chosen,
        num_codebooks=K,
        codebook_size=codec.config.codebook_size,
        text_dim=text_dim,
        text_layers=0 if text_dim == chosen["dim"] else 1,  # as in the published models
        max_steps=frames_of(arguments, codec) + K - 1,  # a clip as long as those it was trained on
    )


def training_settings(arguments: argparse.Namespace, frames: int) -> LMTraining:
    """The training that the options ask for."""
    from ..training.settings import LMTraining

    same = "learning_rate warmup hold weight_decay condition_dropout word_dropout max_words ema_every pattern seed"
    return LMTraining(
        phases=((frames, arguments.batch * arguments.accumulate, arguments.steps),),
        accumulation=arguments.accumulate,
        ema_decay=arguments.ema,
        bfloat16=not arguments.float32,
        **{name: getattr(arguments, name) for name in same.split()},
    )


def open_sources(arguments: argparse.Namespace, codec: EncodecModel, tell) -> dict[str, ClipSource]:
    """The clips of "train" and "validation"; what is wrong with the whole of the data is noticed here."""
    from ..data.musiccaps import musiccaps_parts, sounds_good
    from ..data.pieces import SAMPLE_RATE
    from ..training.clip_sources import FileClips, in_pieces, is_musiccaps, procedural_parts, table_parts

    rate = codec.config.sampling_rate
    if arguments.data == "procedural":
        if rate != SAMPLE_RATE:
            raise ValueError(
                f"procedural music comes at {SAMPLE_RATE} Hz, but the codec {arguments.codec} takes {rate}"
            )
        return procedural_parts(arguments.seed, arguments.procedural_clips, arguments.seconds)
    table = Path(arguments.data)
    if table.is_dir():
        raise ValueError(f"--data {table} is a folder: give the table of its captions, and the folder as --clips")
    folder = Path(arguments.clips) if arguments.clips else table.parent
    if is_musiccaps(table):
        keep = sounds_good if arguments.good_sound else None
        parts = musiccaps_parts(table, folder, arguments.seed, keep, tell)
    else:
        parts = table_parts(table, folder, arguments.seed, tell=tell)
    return {name: FileClips(in_pieces(parts[name], arguments.seconds)) for name in ("train", "validation")}


def run_train_lm(arguments: argparse.Namespace) -> None:
    """Train, and write the model; goes on where an earlier run stopped."""
    check_numbers(arguments)
    from ..training.processes import find_processes

    processes = find_processes(cpu=arguments.device == "cpu")
    try:
        train_here(arguments, processes)
    except KeyboardInterrupt:
        print("\nmusicgen-edu: stopped; the same command goes on from the last state written", file=sys.stderr)
        raise SystemExit(130) from None


def train_here(arguments: argparse.Namespace, processes: Processes) -> None:
    """The work of one process."""
    import torch

    from ..checkpoints.load import read_codec
    from ..checkpoints.save import write_json
    from ..data.audio_folder import tell_user
    from ..model.lm import MusicgenLM, count_parameters
    from ..training.lm import train_lm
    from ..training.lm_data import cache_codes
    from ..training.lm_report import run_report
    from ..training.text_to_codes import TextToCodes, read_text_encoder
    from ..training.validation import Validation

    tell = tell_user if processes.main else lambda message: None
    out, device = arguments.out, processes.device or chosen_device(arguments.device)
    codec, text = read_codec(arguments.codec, device), read_text_encoder(arguments.text)
    if codec.config.audio_channels != 1:
        raise ValueError(f"the codec {arguments.codec} has {codec.config.audio_channels} channels: expected 1")
    frames = frames_of(arguments, codec)
    config, settings = model_config(arguments, codec, text.model.config.d_model), training_settings(arguments, frames)
    sources = open_sources(arguments, codec, tell)
    wanted = {name: value for name, value in vars(arguments).items() if name not in NOT_OF_THE_RUN}
    check_same_run(out, wanted)
    out.mkdir(parents=True, exist_ok=True)
    processes.wait()  # nobody may write before all have looked
    if processes.main:
        write_json(out / SETTINGS, wanted)
    clips = {
        name: cache_codes(out / "codes" / name, source, codec, frames, tell, processes)
        for name, source in sources.items()
    }
    torch.manual_seed(arguments.seed)
    model = TextToCodes(text, MusicgenLM(config), frozen=True).to(device)
    if processes.main:
        print(f"{count_parameters(model) / 1e6:.2f} M weights, {len(clips['train'])} clips to train on, on {device}")
    held_out = clips["validation"].in_batches(arguments.batch, frames, arguments.validation_clips)
    train_lm(
        model,
        settings,
        lambda start: clips["train"].batches(settings, start),
        out / STATE,
        arguments.checkpoint_every,
        run_report(out / "validation.jsonl", settings.steps),
        Validation(held_out, arguments.validate_every),
        processes,
    )
    if processes.main:
        write_model(arguments, model, codec)


def write_model(arguments: argparse.Namespace, model: TextToCodes, codec: EncodecModel) -> None:
    """Write what was trained: in the published format if that can say it."""
    from ..checkpoints import own_format
    from ..checkpoints.save import write_checkpoint

    out = arguments.out
    if arguments.pattern == "delay":
        write_checkpoint(out, model.text_model, model.tokenizer, model.lm, codec)
        print(f"{out}: a model after {arguments.steps} steps; musicgen-edu generate --model {out} plays it")
    else:
        own_format.write_model(out, model.text_model, model.tokenizer, model.lm, codec, arguments.pattern)
        print(f"{out}: a model of the pattern {arguments.pattern} after {arguments.steps} steps, in our own format")
