"""`musicgen-edu train-codec`: train an EnCodec on any folder of sound files, or on the procedural music."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..model.settings import EncodecConfig
from ..training.run_folder import SETTINGS, STATE, check_same_run
from ..training.settings import AdversarialTraining, CodecTraining
from .options import (
    Fields,
    add_command,
    add_run_options,
    check_numbers,
    chosen_device,
    run_settings,
    shown,
)
from .output import print_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

DESCRIPTION = """Train an EnCodec and write it as a folder in the published format.

A run that was stopped goes on by itself: give the same command again. Its state lies in OUT/run.pt and may be removed
when the run is complete; config.json and model.safetensors are the codec, which
`musicgen_edu.checkpoints.load.read_codec` and `transformers.EncodecModel.from_pretrained` load."""
EXAMPLES = """examples:
  musicgen-edu train-codec --steps 3000 --out runs/codec
  musicgen-edu train-codec --data ~/Music --sample-rate 32000 --ratios 8 5 4 4 --filters 32 --adversarial --ema 0.999 \\
      --steps 100000 --out runs/music"""
SIZE = Fields(
    EncodecConfig(16000, 1, 16, (5, 4, 4, 4), hidden_size=64, codebook_size=1024, num_lstm_layers=1),
    sample_rate=("sampling_rate", "Hz; other files are resampled"),
    filters=("num_filters", "channels of the first convolution"),
    ratios=("upsampling_ratios", "strides of the decoder"),
    hidden=("hidden_size", "width of the vectors that are quantized"),
    lstm_layers=("num_lstm_layers", "of encoder and decoder each"),
    codebooks=("num_codebooks", "how many; a frame has a code of each"),
    codebook_size=("codebook_size", "entries in each"),
)
TRAINING = Fields(
    CodecTraining(steps=3000),
    steps=("steps", "updates of the weights"),
    batch=("batch", "segments in a step"),
    learning_rate=("learning_rate", "its largest value"),
    seed=("seed", "the same seed gives the same codec"),
    ema=("ema_decay", "write the moving average of the weights, with this decay"),
    waveform_weight=("waveform_weight", "of the loss without --adversarial"),
    mel_weight=("mel_weight", "of the loss without --adversarial"),
)
ADVERSARIAL = Fields(
    AdversarialTraining(),
    discriminator_windows=("windows", "samples that each of its scales sees at once"),
    discriminator_channels=("channels", "of its convolutions"),
)
BOUNDS = {
    "at least 1": "steps batch checkpoint_every sample_rate filters hidden lstm_layers codebooks ratios "
    "discriminator_channels",
    "at least 0": "seed waveform_weight mel_weight shares",
    "at least 2": "codebook_size",
    "at least 32": "discriminator_windows",
    "more than 0": "learning_rate segment_seconds",
    "at most 1e9": "learning_rate",
    "less than 2**63": "seed",
    "at least 0 and less than 1": "ema",
}


def add_train_codec(commands: argparse._SubParsersAction) -> None:
    """Add `train-codec` to the command line."""
    told = "train a codec on a folder of sound files"
    parser = add_command(commands, "train-codec", told, DESCRIPTION, EXAMPLES)
    add_run_options(parser, "the codec")
    add = parser.add_argument
    add("--data", default="procedural", help="a folder of sound files, searched whole (default: %(default)s, 16 kHz)")
    add("--segment-seconds", type=float, default=1.0, metavar="X", help="length of a segment (default: %(default)g)")
    SIZE.add_to(parser.add_argument_group("size of the codec"))
    TRAINING.add_to(parser.add_argument_group("training"))
    group = parser.add_argument_group("training against a discriminator")
    group.add_argument("--adversarial", action="store_true", help="do so, all gradients balanced")
    shares = list(ADVERSARIAL.defaults.shares.values())
    told = f"the balancer's weights (default: {shown(shares)})"
    group.add_argument(
        "--shares", type=float, nargs=4, default=shares, metavar=("WAVEFORM", "MEL", "ADV", "FEAT"), help=told
    )
    ADVERSARIAL.add_to(group)
    group.add_argument(
        "--discriminator-start",
        type=int,
        metavar="STEP",
        help="when it joins in; a codec that has not learned pitch by then learns none from it "
        "(default: after a third of the steps, at the latest 1000)",
    )
    parser.set_defaults(run=run_train_codec)


def check_options(arguments: argparse.Namespace) -> None:
    """Raise a `ValueError` that names the option whose value makes no sense."""
    check_numbers(arguments, BOUNDS)
    shortest = 1024 / arguments.sample_rate  # the mel loss mirrors half a window of 2048
    if not arguments.segment_seconds > shortest:
        raise ValueError(f"--segment-seconds must be more than {shortest:g}, not {arguments.segment_seconds:g}")


def training_settings(arguments: argparse.Namespace) -> CodecTraining:
    """The training that the options ask for."""
    start, adversary = arguments.discriminator_start, None
    if arguments.adversarial:
        shares = dict(zip(ADVERSARIAL.defaults.shares, arguments.shares, strict=True))
        start = min(arguments.steps // 3, 1000) if start is None else start
        adversary = ADVERSARIAL.make(arguments, shares=shares, start=start)
    return TRAINING.make(arguments, bfloat16=not arguments.float32, adversarial=adversary)


def open_data(arguments: argparse.Namespace) -> Callable[[int], Iterator[Tensor]]:
    """What gives the batches from a step on; a missing or broken folder is noticed here."""
    from functools import partial

    if arguments.data == "procedural":
        from ..data.pieces import GRID, SAMPLE_RATE
        from ..training.codec import procedural_segments

        frames = round(arguments.segment_seconds * SAMPLE_RATE / GRID)
        if arguments.sample_rate != SAMPLE_RATE or not 1 <= frames <= 512:
            raise ValueError(
                f"procedural music comes at {SAMPLE_RATE} Hz in segments of {GRID / SAMPLE_RATE:g} to "
                f"{512 * GRID / SAMPLE_RATE:g} s; for other rates give --data a folder of sound files"
            )
        return partial(procedural_segments, arguments.batch, frames, arguments.seed)
    from ..data.audio_folder import file_segments, sound_files

    files = sound_files(arguments.data)
    print(f"{arguments.data}: {len(files)} sound files, {sum(file.seconds for file in files) / 60:.1f} minutes")
    samples = round(arguments.segment_seconds * arguments.sample_rate)
    return partial(file_segments, files, arguments.sample_rate, arguments.batch, samples, arguments.seed)


def run_train_codec(arguments: argparse.Namespace) -> None:
    """Train, and write the codec; goes on where an earlier run stopped."""
    check_options(arguments)
    import torch

    from ..checkpoints.save import write_codec, write_json
    from ..model.encodec import EncodecModel
    from ..training.codec import train_codec
    from ..training.runs import progress_bar

    out, config, settings = arguments.out, SIZE.make(arguments), training_settings(arguments)
    wanted = run_settings(arguments)
    check_same_run(out, wanted)
    segments, device = open_data(arguments), chosen_device(arguments.device)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / SETTINGS, wanted)
    torch.manual_seed(arguments.seed)
    vectors = arguments.batch * arguments.segment_seconds * config.frame_rate  # that each step quantizes
    model = EncodecModel(config, dead_threshold=vectors / config.codebook_size / 8).to(device)
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(f"{weights / 1e6:.2f} M weights, {config.frame_rate:g} frames/s, {config.bandwidth:g} kbit/s, on {device}")
    train_codec(model, settings, segments, out / STATE, arguments.checkpoint_every, progress_bar(settings.steps))
    write_codec(out, model)
    print_result(f"{out}: a codec after {settings.steps} steps")
