"""A student project that trained MusicGen from scratch on MusicCaps, retold as a recipe.

    python -m musicgen_edu.experiments.musiccaps_recipe --table musiccaps-public.csv --clips FOLDER --out runs/musiccaps

The table and the folder of clips are yours to get: `musicgen_edu.data.musiccaps` says what they look like. A run that
was stopped goes on when the same command is given again. It writes, below OUT: `split.json` (which clips are in
which part, and what was left out), `codes/` (computed once), `run.pt` (the state of the run), `model/` (the result,
which `musicgen_edu.checkpoints.own_format.read_model` loads) and `samples/` (captions of the test part, heard).

What is theirs, and the default here:

- clips of 48 kHz stereo made 32 kHz mono; their EnCodec codes (`facebook/encodec_32khz`) are the ground truth;
- 65 % to train, 15 % to validate, 20 % to test by a fixed seed: 3522, 813 and 1084 of 5419 clips;
- of a caption the first 250 words, each of them dropped with probability 0.2 while training;
- batches of 30 clips, an update of the weights every 20 batches: here one batch of 600 in 20 parts;
- a moving average of the weights with decay 0.99, which is then the model;
- the delay pattern; MusicGen-1 with 119,171,072 and MusicGen-2 with 844,689,408 parameters (`lm.CONFIGS`); their two
  special tokens are in the tables, of which this code needs one; their text states have the width of t5-small, 512;
- top-k 250, temperature 1.0, and guidance in probabilities, P = 0.2 P_cond + 0.8 P_uncond. That is not guidance as
  MusicGen means it: a mixture exaggerates nothing. To draw a code from it is to draw it without a look at the
  caption in four of five cases (lesson 08 measures what is left of the caption's influence).

What is not known of theirs, and chosen here: the filter of the captions, which left 1343, 302 and 360 clips
(`--good-recordings` is an example of one); how many updates there were; learning rate 1e-4, weight decay 0.1, clipping
at 1.0 (as published for MusicGen), and warm-up; the share of clips that are trained without a caption, 0.2 (as the
MusicGen paper); whether the 20 batches' gradients were added or averaged (here averaged).

The loss here is the cross-entropy, the mean of -log p over all codes. The one that they print has the logarithm
outside the sum: as a mean, -log(mean of p). That is never larger (Jensen's inequality), and a few codes that are
certain make it small whatever the others do: lesson 07 shows both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ..checkpoints.load import read_codec
from ..checkpoints.own_format import read_model, write_model
from ..checkpoints.save import write_json
from ..cli.options import chosen_device
from ..data.audio_folder import tell_user
from ..data.captioned import CaptionedClip
from ..data.musiccaps import aspects_text, musiccaps_parts, sounds_good
from ..model.audio import write_audio
from ..model.encodec import EncodecModel
from ..model.lm import CONFIGS, LMConfig, MusicgenLM, count_parameters
from ..model.sampling import Sampling
from ..musicgen import MusicGen
from ..training.clip_sources import FileClips
from ..training.lm import train_lm
from ..training.lm_data import CodedClips, cache_codes
from ..training.lm_report import run_report
from ..training.processes import Processes, find_processes
from ..training.run_folder import SETTINGS, STATE, check_same_run
from ..training.settings import LMTraining
from ..training.text_to_codes import TextToCodes, read_text_encoder
from ..training.validation import Validation, validation_nats

SAMPLING = Sampling(guidance_scale=0.2, temperature=1.0, top_k=250, guidance_space="probabilities")
NOT_OF_THE_RUN = (  # options that do not change the trained weights
    "out", "device", "checkpoint_every", "validate_every", "samples", "gamma", "top_k", "temperature",
)  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """The options; the defaults are the project's, see the top of this module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--table", type=Path, required=True, help="musiccaps-public.csv")
    add("--clips", type=Path, required=True, metavar="FOLDER", help="the sound files, searched whole")
    add("--out", type=Path, required=True, help="folder for all results")
    add("--codec", default="facebook/encodec_32khz", help="a folder or hub name (default: %(default)s)")
    add("--text", default="t5-small", help="a T5: a folder or hub name (default: %(default)s)")
    add("--seconds", type=number(float, 0.1), default=10.0, help="length of a clip (default: %(default)g)")
    add("--good-recordings", action="store_true", help="leave out captions that speak of poor sound")
    add("--aspects", action="store_true", help="train on the list of aspects instead of the caption")
    add("--split-seed", type=int, default=0, help="of the three parts (default: %(default)s)")
    size = parser.add_argument_group("size of the model").add_argument
    size("--config", choices=("MusicGen-1", "MusicGen-2"), default="MusicGen-1", help="(default: %(default)s)")
    for name in ("dim", "heads", "layers", "feed_forward"):
        size(f"--{name.replace('_', '-')}", type=number(int, 1), help="(default: that of the configuration)")
    run = parser.add_argument_group("training").add_argument
    run("--steps", type=number(int, 1), default=1000, help="updates (default: %(default)s; theirs is not known)")
    run("--batch", type=number(int, 1), default=30, help="clips in a batch (default: %(default)s)")
    run("--accumulate", type=number(int, 1), default=20, help="batches for an update (default: %(default)s)")
    run("--ema", type=number(float, 0, 1), default=0.99, help="decay of the averaged weights (default: %(default)g)")
    run("--max-words", type=number(int, 1), default=250, help="of a caption (default: %(default)s)")
    run("--word-dropout", type=number(float, 0, 1), default=0.2, help="share of words (default: %(default)g)")
    run("--condition-dropout", type=number(float, 0, 1), default=0.2, help="share of captions (default: %(default)g)")
    run("--learning-rate", type=number(float, 0), default=1e-4, help="its largest value (default: %(default)g)")
    run("--warmup", type=number(int, 0), default=50, help="updates up to there (default: %(default)s)")
    run("--weight-decay", type=number(float, 0), default=0.1, help="(default: %(default)g)")
    run("--seed", type=int, default=0, help="of the training (default: %(default)s)")
    run("--float32", action="store_true", help="compute in float32 (default: bfloat16 where the device has it)")
    run("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    run("--validate-every", type=number(int, 1), default=50, help="updates (default: %(default)s)")
    run("--checkpoint-every", type=number(int, 1), default=50, help="updates (default: %(default)s)")
    hear = parser.add_argument_group("samples").add_argument
    hear("--samples", type=number(int, 0), default=4, help="captions of the test part to hear (default: %(default)s)")
    hear("--gamma", type=number(float, 0, 1), default=0.2, help="share of P_cond (default: %(default)g)")
    hear("--top-k", type=number(int, 0), default=250, help="at most the codebook's size (default: %(default)s)")
    hear("--temperature", type=number(float, 0), default=1.0, help="(default: %(default)g)")
    return parser


def number(kind: type, least: float, most: float = float("inf")) -> Callable[[str], float]:
    """A type of argparse: a number within bounds."""

    def read(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            bounds = f"at least {least}" + (f" and at most {most}" if most < float("inf") else "")
            raise argparse.ArgumentTypeError(f"must be {bounds}, not {text}")
        return value

    read.__name__ = kind.__name__  # for argparse's "invalid int value"
    return read


def frames_of(arguments: argparse.Namespace, codec: EncodecModel) -> int:
    """T, the frames of a whole clip."""
    return max(1, round(arguments.seconds * codec.config.frame_rate))


def training_settings(arguments: argparse.Namespace, frames: int) -> LMTraining:
    """The training that was asked for: an update is computed from `accumulate` batches, as theirs was."""
    same = "learning_rate warmup weight_decay condition_dropout word_dropout max_words seed"
    return LMTraining(
        phases=((frames, arguments.batch * arguments.accumulate, arguments.steps),),
        accumulation=arguments.accumulate,
        hold=0.0,
        ema_decay=arguments.ema,
        bfloat16=not arguments.float32,
        **{name: getattr(arguments, name) for name in same.split()},
    )


def model_config(arguments: argparse.Namespace, codec: EncodecModel, text_dim: int) -> LMConfig:
    """The configuration that was asked for, as wide at its two ends as codec and text encoder are."""
    given = {name: getattr(arguments, name) for name in ("dim", "layers", "feed_forward")}
    given["num_heads"] = arguments.heads
    K = codec.config.num_codebooks
    return replace(
        CONFIGS[arguments.config],
        **{name: value for name, value in given.items() if value is not None},
        num_codebooks=K,
        codebook_size=codec.config.codebook_size,
        text_dim=text_dim,
        max_steps=frames_of(arguments, codec) + K - 1,  # no clip is longer, with the steps that the delay adds
    )


def read_parts(arguments: argparse.Namespace, processes: Processes) -> dict[str, list[CaptionedClip]]:
    """The clips of the three parts; `split.json` keeps which they are, and all that was told about the others."""
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)
        if processes.main:
            tell_user(message)

    keep = sounds_good if arguments.good_recordings else None
    describe = aspects_text if arguments.aspects else None
    parts = musiccaps_parts(arguments.table, arguments.clips, arguments.split_seed, keep, tell, describe)
    if processes.main:
        arguments.out.mkdir(parents=True, exist_ok=True)
        files = {name: [str(clip.path) for clip in clips] for name, clips in parts.items()}
        write_json(arguments.out / "split.json", files | {"told": told})
        print(f"{arguments.clips}: {', '.join(f'{len(clips)} clips for {name}' for name, clips in parts.items())}")
    return parts


def train(
    arguments: argparse.Namespace, model: TextToCodes, coded: dict[str, CodedClips], frames: int, processes: Processes
) -> None:
    """Train a model on the codes of the part "train"; goes on where an earlier run stopped."""
    settings = training_settings(arguments, frames)
    train_lm(
        model,
        settings,
        lambda start: coded["train"].batches(settings, start),
        arguments.out / STATE,
        arguments.checkpoint_every,
        run_report(arguments.out / "validation.jsonl", settings.steps),
        Validation(coded["validation"].in_batches(arguments.batch, frames), arguments.validate_every),
        processes,
    )


def write_samples(arguments: argparse.Namespace, model: MusicGen, captions: Sequence[str], frames: int) -> None:
    """Generate as the project did, and write a sound file for each caption, with the captions beside them."""
    folder, rate = arguments.out / "samples", model.sample_rate
    folder.mkdir(exist_ok=True)
    sampling = replace(
        SAMPLING,
        guidance_scale=arguments.gamma,
        temperature=arguments.temperature,
        top_k=min(arguments.top_k, model.lm.config.codebook_size),
    )
    for i, caption in enumerate(captions):
        audio = model.generate([caption], frames / model.frame_rate, seed=arguments.seed + i, **asdict(sampling))
        write_audio(folder / f"{i}.wav", audio[0], rate)
    write_json(folder / "captions.json", {f"{i}.wav": caption for i, caption in enumerate(captions)})


def code_parts(
    arguments: argparse.Namespace, codec: EncodecModel, frames: int, processes: Processes
) -> dict[str, CodedClips]:
    """The codes of the three parts, computed once, for the run that these options describe."""
    out = arguments.out
    wanted = {name: value for name, value in vars(arguments).items() if name not in NOT_OF_THE_RUN}
    wanted = {name: str(value) if isinstance(value, Path) else value for name, value in wanted.items()}
    check_same_run(out, wanted)
    processes.wait()  # nobody may write before all have looked
    parts = read_parts(arguments, processes)
    if processes.main:
        write_json(out / SETTINGS, wanted)
    return {
        name: cache_codes(out / "codes" / name, FileClips(clips), codec, frames, processes=processes)
        for name, clips in parts.items()
    }


def run(arguments: argparse.Namespace, processes: Processes) -> None:
    """The whole recipe: table and clips, codes, training, the model, its loss on the test part, samples."""
    out, device = arguments.out, processes.device or chosen_device(arguments.device)
    codec, text = read_codec(arguments.codec, device), read_text_encoder(arguments.text)
    if codec.config.audio_channels != 1:
        raise ValueError(f"the codec {arguments.codec} has {codec.config.audio_channels} channels: expected 1")
    config, frames = model_config(arguments, codec, text.model.config.d_model), frames_of(arguments, codec)
    torch.manual_seed(arguments.seed)
    model = TextToCodes(text, MusicgenLM(config), frozen=True).to(device)
    if processes.main:
        print(f"{count_parameters(model):,} parameters, {frames} frames a clip, on {device}")
    coded = code_parts(arguments, codec, frames, processes)
    train(arguments, model, coded, frames, processes)
    nats = validation_nats(model, coded["test"].in_batches(arguments.batch, frames), processes=processes)
    if not processes.main:
        return
    print(f"test: {nats.mean():.3f} nats a code; by codebook {', '.join(f'{value:.3f}' for value in nats.tolist())}")
    write_model(out / "model", model.text_model, model.tokenizer, model.lm, codec)
    write_samples(arguments, read_model(out / "model", device), coded["test"].captions[: arguments.samples], frames)
    print(f"{out}: a model after {arguments.steps} updates in model/, {arguments.samples} clips in samples/")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe; a mistake of the user's ends in one sentence and exit status 2, without a traceback."""
    parsed = build_parser().parse_args(arguments)
    try:
        run(parsed, find_processes(cpu=parsed.device == "cpu"))
    except (ValueError, OSError) as error:
        print(f"musiccaps_recipe: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nmusiccaps_recipe: stopped; the same command goes on from the last state written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
