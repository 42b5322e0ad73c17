"""`musicgen-edu train-lm`: train a text-to-music model on captioned clips, or on the procedural music."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..model.settings import CONFIGS, LMConfig
from ..training.run_folder import SETTINGS, STATE, check_same_run
from ..training.settings import LMTraining
from .options import Fields, add_command, add_run_options, check_numbers, chosen_device, run_settings
from .output import print_result

if TYPE_CHECKING:
    from ..data.audio_folder import Tell
    from ..model.encodec import EncodecModel
    from ..training.clip_sources import ClipSource
    from ..training.processes import Processes
    from ..training.text_to_codes import TextToCodes

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
  accelerate launch --num_processes 4 -m musicgen_edu.cli train-lm --out runs/lm

With several processes or GPUs each one computes a part of every batch: the results are those of a single process."""
SIZE = Fields(
    LMConfig(dim=192, num_heads=3, layers=6, feed_forward=640),
    dim=("dim", "width"),
    heads=("num_heads", "of attention"),
    layers=("layers", "of the decoder"),
    feed_forward=("feed_forward", "width inside a layer"),
)
TRAINING = Fields(
    LMTraining(warmup=100),
    accumulate=("accumulation", "batches that make an update together"),
    learning_rate=("learning_rate", "its largest value"),
    warmup=("warmup", "steps until it is reached"),
    hold=("hold", "share of the run in which it stays"),
    weight_decay=("weight_decay", "of all weights"),
    condition_dropout=("condition_dropout", "share of clips that are trained without caption"),
    word_dropout=("word_dropout", "share of words that are left out of a caption"),
    max_words=("max_words", "of a caption only so many (default: all)"),
    ema=("ema_decay", "write the moving average of the weights, with this decay"),
    ema_every=("ema_every", "average every n-th update"),
    seed=("seed", "the same seed gives the same model"),
    pattern=("pattern", "order of the codes", PATTERNS),
)
BOUNDS = {
    "at least 1": "steps batch accumulate checkpoint_every validate_every procedural_clips validation_clips ema_every "
    "max_words heads layers feed_forward",
    "at least 0": "seed warmup weight_decay",
    "at least 4": "dim",
    "0 to 1": "condition_dropout word_dropout",
    "more than 0": "learning_rate seconds",
    "at most 1e9": "learning_rate",
    "less than 2**63": "seed",
    "at least 0 and less than 1": "ema hold",
}


def add_train_lm(commands: argparse._SubParsersAction) -> None:
    """Add `train-lm` to the command line."""
    told = "train a text-to-music model on captioned clips"
    parser = add_command(commands, "train-lm", told, DESCRIPTION, EXAMPLES)
    add_run_options(parser, "the model, its codes")
    told = "steps between validations (default: %(default)s)"
    parser.add_argument("--validate-every", type=int, default=250, metavar="N", help=told)
    data = parser.add_argument_group("data").add_argument
    data("--data", default="procedural", help="see above (default: %(default)s)")
    data("--clips", help="folder of the sound files (default: that of the table)")
    data("--good-sound", action="store_true", help="of MusicCaps only clips whose text speaks of no poor recording")
    data("--procedural-clips", type=int, default=1024, metavar="N", help="how many to make (default: %(default)s)")
    data("--validation-clips", type=int, default=256, metavar="N",
         help="at most so many held-out ones (default: %(default)s)")  # fmt: skip
    data("--seconds", type=float, default=8.0, metavar="X",
         help="of a clip; longer ones are cut in pieces (default: %(default)g)")  # fmt: skip
    data("--codec", default="tiny", help="tiny, a folder, or a hub name (default: %(default)s)")
    data("--text", default="tiny", help="tiny, t5-small, t5-base, a folder, or a hub name (default: %(default)s)")
    size = parser.add_argument_group("size of the model")
    size.add_argument(
        "--size", choices=("small", "medium", "large"), help="those of MusicGen (default: the smaller one below)"
    )
    SIZE.add_to(size, unset=True)  # what is not given is that of --size
    training = parser.add_argument_group("training")
    learn = training.add_argument
    learn("--steps", type=int, default=2000, metavar="N", help="updates of the weights (default: %(default)s)")
    learn("--batch", type=int, default=16, metavar="N", help="clips that are computed at once (default: %(default)s)")
    TRAINING.add_to(training)
    parser.set_defaults(run=run_train_lm)


def check_options(arguments: argparse.Namespace) -> None:
    """Raise a `ValueError` that names the option whose value makes no sense."""
    check_numbers(arguments, BOUNDS)
    if arguments.ema_every > arguments.steps:
        raise ValueError(f"--ema-every must be at most --steps, {arguments.steps}, not {arguments.ema_every}")


def frames_of(arguments: argparse.Namespace, codec: EncodecModel) -> int:
    """T, the frames of a whole clip."""
    return max(1, round(arguments.seconds * codec.config.frame_rate))


def model_config(arguments: argparse.Namespace, codec: EncodecModel, text_dim: int) -> LMConfig:
    """The sizes that the options ask for, as far as the published format can say them."""
    K = codec.config.num_codebooks
    config = SIZE.make(
        arguments,
        CONFIGS.get(arguments.size),
        num_codebooks=K,
        codebook_size=codec.config.codebook_size,
        text_dim=text_dim,
        max_steps=frames_of(arguments, codec) + K - 1,  # a clip as long as those it was trained on
    )
    if config.dim % 2 or config.dim % config.num_heads:
        raise ValueError(f"--dim must be even and a multiple of --heads {config.num_heads}, not {config.dim}")
    return replace(config, text_layers=0 if text_dim == config.dim else 1)  # as in the published models


def training_settings(arguments: argparse.Namespace, frames: int) -> LMTraining:
    """The training that the options ask for."""
    phase = (frames, arguments.batch * arguments.accumulate, arguments.steps)
    return TRAINING.make(arguments, phases=(phase,), bfloat16=not arguments.float32)


def open_sources(arguments: argparse.Namespace, codec: EncodecModel, tell: Tell) -> dict[str, ClipSource]:
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
    check_options(arguments)
    from ..training.processes import find_processes

    train_here(arguments, find_processes(cpu=arguments.device == "cpu"))


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

    tell = tell_user if processes.main else lambda _: None
    out, device = arguments.out, processes.device or chosen_device(arguments.device)
    codec, text_encoder = read_codec(arguments.codec, device), read_text_encoder(arguments.text)
    if codec.config.audio_channels != 1:
        raise ValueError(f"the codec {arguments.codec} has {codec.config.audio_channels} channels: expected 1")
    frames = frames_of(arguments, codec)
    config = model_config(arguments, codec, text_encoder.model.config.d_model)
    settings = training_settings(arguments, frames)
    sources = open_sources(arguments, codec, tell)
    wanted = run_settings(arguments)
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
    model = TextToCodes(text_encoder, MusicgenLM(config), frozen=True).to(device)
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
        print_result(f"{out}: a model after {arguments.steps} steps; musicgen-edu generate --model {out} plays it")
    else:
        own_format.write_model(out, model.text_model, model.tokenizer, model.lm, codec, arguments.pattern)
        print_result(
            f"{out}: a model of the pattern {arguments.pattern} after {arguments.steps} steps, in our own format"
        )
