"""`musicgen-edu train-codec`: train an EnCodec on any folder of sound files, or on the procedural music."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..training.run_folder import SETTINGS, STATE, check_same_run

if TYPE_CHECKING:  # the options must be readable without waiting for torch
    from collections.abc import Callable, Iterator

    import torch
    from torch import Tensor

    from ..model.encodec import EncodecConfig
    from ..training.codec import CodecTraining

NOT_OF_THE_RUN = ("command", "run", "out", "device", "checkpoint_every")  # options that do not change its numbers
DESCRIPTION = """Train an EnCodec and write it as a folder in the published format.

A run that was stopped goes on by itself: give the same command again. Its state lies in OUT/run.pt and may be removed
when the run is complete; config.json and model.safetensors are the codec, which
`musicgen_edu.checkpoints.load.read_codec` and `transformers.EncodecModel.from_pretrained` load."""
EXAMPLES = """examples:
  musicgen-edu train-codec --steps 3000 --out runs/codec
  musicgen-edu train-codec --data ~/Music --sample-rate 32000 --ratios 8 5 4 4 --filters 32 --adversarial --ema 0.999 \\
      --steps 100000 --out runs/music"""


def add_command(commands) -> None:
    """Add `train-codec` and its options to the command line."""
    parser = commands.add_parser(
        "train-codec",
        help="train a codec on a folder of sound files",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the codec and the state of the run")
    add("--data", default="procedural", help="a folder of sound files, searched whole, or %(default)s (16 kHz)")
    add("--steps", type=int, default=3000, help="updates of the weights (default: %(default)s)")
    add("--batch", type=int, default=32, help="segments in a step (default: %(default)s)")
    add("--segment-seconds", type=float, default=1.0, help="length of a segment (default: %(default)g)")
    add("--learning-rate", type=float, default=1e-3, help="its largest value (default: %(default)g)")
    add("--seed", type=int, default=0, help="the same seed gives the same codec (default: %(default)s)")
    add("--float32", action="store_true", help="compute in float32 (default: bfloat16 where it does no harm)")
    add("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    add("--checkpoint-every", type=int, default=250, help="steps between writes of the state (default: %(default)s)")
    size = parser.add_argument_group("size of the codec").add_argument
    size("--sample-rate", type=int, default=16000, help="Hz; other files are resampled (default: %(default)s)")
    size("--filters", type=int, default=16, help="channels of the first convolution (default: %(default)s)")
    size("--ratios", type=int, nargs="+", default=[5, 4, 4, 4], help="strides of the decoder (default: 5 4 4 4)")
    size("--hidden", type=int, default=64, help="width of the vectors that are quantized (default: %(default)s)")
    size("--lstm-layers", type=int, default=1, help="(default: %(default)s)")
    size("--codebooks", type=int, default=4, help="(default: %(default)s)")
    size("--codebook-size", type=int, default=1024, help="entries in each (default: %(default)s)")
    loss = parser.add_argument_group("losses").add_argument
    loss("--waveform-weight", type=float, default=60.0, help="without --adversarial (default: %(default)g)")
    loss("--mel-weight", type=float, default=1.0, help="without --adversarial (default: %(default)g)")
    loss("--ema", type=float, metavar="DECAY", help="write the moving average of the weights, with this decay")
    loss("--adversarial", action="store_true", help="train against a discriminator, all gradients balanced")
    loss("--shares", type=float, nargs=4, default=[0.1, 1.0, 3.0, 3.0], metavar=("WAVEFORM", "MEL", "ADV", "FEAT"),
         help="the balancer's weights with --adversarial (default: 0.1 1 3 3)")  # fmt: skip
    loss("--discriminator-windows", type=int, nargs="+", default=[2048, 1024, 512, 256, 128], metavar="SAMPLES",
         help="(default: 2048 1024 512 256 128)")  # fmt: skip
    loss("--discriminator-channels", type=int, default=32, help="(default: %(default)s)")
    loss("--discriminator-start", type=int, metavar="STEP",
         help="when it joins in; a codec that has not learned pitch by then learns none from it "
         "(default: after a third of the steps, at the latest 1000)")  # fmt: skip
    parser.set_defaults(run=run_train_codec)


def check_numbers(arguments: argparse.Namespace) -> None:
    """Raise a `ValueError` that names the option whose value makes no sense."""
    whole = "steps batch checkpoint_every sample_rate filters hidden lstm_layers codebooks discriminator_channels"
    least = dict.fromkeys(whole.split(), 1) | {"codebook_size": 2, "ratios": 1, "discriminator_windows": 32}
    for name, smallest in least.items():
        given = getattr(arguments, name)
        if min(given if isinstance(given, list) else [given]) < smallest:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {smallest}, not {given}")
    if not arguments.learning_rate > 0:
        raise ValueError(f"--learning-rate must be more than 0, not {arguments.learning_rate:g}")
    if arguments.ema is not None and not 0 <= arguments.ema < 1:
        raise ValueError(f"--ema must be at least 0 and less than 1, not {arguments.ema:g}")
    if not arguments.segment_seconds * arguments.sample_rate > 1024:  # the mel loss mirrors half a window of 2048
        raise ValueError(
            f"--segment-seconds must be more than {1024 / arguments.sample_rate:g}, not {arguments.segment_seconds:g}"
        )


def configs(arguments: argparse.Namespace) -> tuple[EncodecConfig, CodecTraining]:
    """The codec's sizes and the training's settings that the options ask for."""
    from ..model.encodec import EncodecConfig
    from ..training.adversarial import AdversarialTraining
    from ..training.codec import CodecTraining

    start = arguments.discriminator_start
    adversarial = AdversarialTraining(
        windows=tuple(arguments.discriminator_windows),
        channels=arguments.discriminator_channels,
        start=min(arguments.steps // 3, 1000) if start is None else start,
        shares=dict(zip(("waveform", "mel", "adversarial", "features"), arguments.shares, strict=True)),
    )
    config = EncodecConfig(
        sampling_rate=arguments.sample_rate,
        num_filters=arguments.filters,
        upsampling_ratios=tuple(arguments.ratios),
        hidden_size=arguments.hidden,
        codebook_size=arguments.codebook_size,
        num_codebooks=arguments.codebooks,
        num_lstm_layers=arguments.lstm_layers,
    )
    settings = CodecTraining(
        steps=arguments.steps,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        waveform_weight=arguments.waveform_weight,
        mel_weight=arguments.mel_weight,
        seed=arguments.seed,
        bfloat16=not arguments.float32,
        adversarial=adversarial if arguments.adversarial else None,
        ema_decay=arguments.ema,
    )
    return config, settings


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


def chosen_device(name: str | None) -> torch.device:
    """The device that was asked for, or the best one."""
    import torch

    from ..musicgen import best_device

    try:
        return torch.zeros(1, device=name or best_device()).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error


def run_train_codec(arguments: argparse.Namespace) -> None:
    """Train, and write the codec; goes on where an earlier run stopped."""
    check_numbers(arguments)
    import torch

    from ..checkpoints.save import write_codec, write_json
    from ..model.encodec import EncodecModel
    from ..training.codec import train_codec
    from ..training.runs import progress_bar

    out, (config, settings) = arguments.out, configs(arguments)
    wanted = {name: value for name, value in vars(arguments).items() if name not in NOT_OF_THE_RUN}
    check_same_run(out, wanted)
    segments, device = open_data(arguments), chosen_device(arguments.device)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / SETTINGS, wanted)
    torch.manual_seed(arguments.seed)
    vectors = arguments.batch * arguments.segment_seconds * config.frame_rate  # that each step quantizes
    model = EncodecModel(config, dead_threshold=vectors / config.codebook_size / 8).to(device)
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(f"{weights / 1e6:.2f} M weights, {config.frame_rate:g} frames/s, {config.bandwidth:g} kbit/s, on {device}")
    try:
        train_codec(model, settings, segments, out / STATE, arguments.checkpoint_every, progress_bar(settings.steps))
    except KeyboardInterrupt:
        print("\nmusicgen-edu: stopped; the same command goes on from the last state written", file=sys.stderr)
        raise SystemExit(130) from None
    write_codec(out, model)
    print(f"{out}: a codec after {settings.steps} steps")
