"""The training of the shipped model, from nothing but the procedural music: codec, codes, language model, export."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...checkpoints.save import write_checkpoint
from ...model.encodec import EncodecConfig, EncodecModel
from ...model.lm import LMConfig, MusicgenLM
from ...model.text import TextEncoder
from ...training.clip_sources import ProceduralClips
from ...training.codec import CodecTraining, procedural_segments, train_codec
from ...training.layout import Batch
from ...training.lm import train_lm
from ...training.lm_data import CodedClips, cache_codes, write_codes
from ...training.processes import Processes
from ...training.runs import load_run, progress_bar
from ...training.settings import LMTraining
from ...training.text_to_codes import TextToCodes
from .tokenizer import PIECES, TEXT_SEED, train_tokenizer, with_fillers

CODEC = EncodecConfig(
    sampling_rate=16000,
    num_filters=16,
    upsampling_ratios=(5, 4, 4, 4),  # 320 samples, 50 frames/s
    hidden_size=64,
    codebook_size=1024,
    num_codebooks=4,  # 2.0 kbit/s
    num_lstm_layers=1,
)
CODEC_TRAINING = CodecTraining(steps=3000)

FRAMES = 512  # of a training clip: 10.24 s
CLIP_SEED = 2  # kept apart from the codec's clips and from those that the evaluation uses
CLIPS = ProceduralClips(CLIP_SEED, 16384, FRAMES)

TEXT = {  # T5Config
    "vocab_size": PIECES,
    "d_model": 96,
    "d_kv": 24,
    "d_ff": 192,
    "num_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
}
LM = LMConfig(
    dim=192, num_heads=3, layers=6, feed_forward=640, codebook_size=1024, text_dim=TEXT["d_model"], max_steps=FRAMES
)
LM_TRAINING = LMTraining()
# The key is decided in the first chord: in a long clip that is one position in hundreds, and the first stage learned
# to keep a key but not to read it from the caption. So the second one adds many beginnings to each step. (Turn about
# does not do: what a hundred steps on beginnings taught, a hundred steps on whole clips undid.)
LM_REFINING = LMTraining(phases=((512, 8, 700),), beginnings=(8, 256), learning_rate=1e-3, warmup=30, hold=0.3, seed=1)
# What it then lacked was steadiness: its loss on k0 rose from 0.05 nats in the first second to 1 in the eighth, and a
# guided generation lost key and tempo on the way. So the third stage trains on whole clips, with wrong codes in the
# input: after a badly sampled code the music has to go on.
LM_STEADYING = LMTraining(
    phases=((512, 8, 2000),), beginnings=(8, 64), learning_rate=1e-3, warmup=30, hold=0.0, seed=2, input_noise=0.1,
    muon=True,
)  # fmt: skip
LM_STAGES = {"lm.pt": LM_TRAINING, "lm-refined.pt": LM_REFINING, "lm-steadied.pt": LM_STEADYING}


def train_tiny_codec(folder: Path) -> EncodecModel:
    """Train the codec, with its state in `folder`/codec.pt."""
    settings = CODEC_TRAINING
    segments = partial(procedural_segments, settings.batch, settings.segment_frames, settings.seed)
    codec = EncodecModel(CODEC, dead_threshold=0.2)
    return train_codec(codec, settings, segments, folder / "codec.pt", report=progress_bar(settings.steps))


def load_tiny_codec(folder: Path) -> EncodecModel:
    """The trained codec of a run."""
    codec = EncodecModel(CODEC)
    load_run(folder / "codec.pt", codec)
    return codec.eval()


def write_tiny_codes(folder: Path, first: int = 0, every: int = 1) -> None:
    """Encode the training clips once; `first` and `every` share the work among processes."""
    processes = Processes(every, first)
    write_codes(folder / "codes", CLIPS, load_tiny_codec(folder), FRAMES, processes=processes)


def new_tiny_lm(folder: Path) -> TextToCodes:
    """Text encoder and language model of the tiny size, with fresh weights and the run's tokenizer."""
    from transformers import AutoTokenizer, T5Config, T5EncoderModel

    path = folder / "tokenizer"
    tokenizer = AutoTokenizer.from_pretrained(path) if path.exists() else train_tokenizer(folder)
    return TextToCodes(TextEncoder(T5EncoderModel(T5Config(**TEXT)), tokenizer), MusicgenLM(LM))


def batches(clips: CodedClips, settings: LMTraining, start: int) -> Iterator[list[Batch]]:
    """Each step's batches from step `start` on, drawn by the seed; captions get words that promise nothing."""
    for step in range(start, settings.steps):
        rng, drawn = np.random.default_rng((settings.seed, step)), []
        for frames, batch in settings.sizes(step):
            codes, captions, _ = clips.batch(rng.choice(len(clips), batch, replace=False), frames)
            drawn.append(Batch(codes, [with_fillers(text, rng) for text in captions]))
        yield drawn


def train_tiny_lm(folder: Path) -> TextToCodes:
    """Train text encoder and language model in the three stages, with their state in `folder`."""
    torch.manual_seed(TEXT_SEED)
    model = new_tiny_lm(folder)
    clips = cache_codes(folder / "codes", CLIPS, load_tiny_codec(folder), FRAMES)
    for name, settings in LM_STAGES.items():
        report = progress_bar(settings.steps)
        train_lm(model, settings, partial(batches, clips, settings), folder / name, report=report)
    return model


def export(folder: Path, out: Path) -> None:
    """Write the run's weights as a published MusicGen folder."""
    model = new_tiny_lm(folder)
    load_run(folder / list(LM_STAGES)[-1], model)
    write_checkpoint(out, model.text_model, model.tokenizer, model.lm, load_tiny_codec(folder), torch.float16)
