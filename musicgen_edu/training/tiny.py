"""`make tiny`: train the model that this package ships, from nothing but the procedural music.

Each stage goes on where it was stopped: `python -m musicgen_edu.training.tiny codec`, then `lm`, then `export`.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ..encodec import EncodecConfig, EncodecModel
from .codec import CodecTraining, procedural_segments, progress_printer, train_codec

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


def train_tiny_codec(folder: Path) -> EncodecModel:
    """Train the codec, with its state in `folder`/codec.pt."""
    settings = CODEC_TRAINING
    segments = partial(procedural_segments, settings.batch, settings.segment_frames, settings.seed)
    return train_codec(
        EncodecModel(CODEC, dead_threshold=0.2), settings, segments, folder / "codec.pt", report=progress_printer()
    )


def main() -> None:
    """Run one stage, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("codec",))
    parser.add_argument("--folder", type=Path, default=Path("runs/tiny"), help="where the state of the run lives")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    train_tiny_codec(arguments.folder)


if __name__ == "__main__":
    main()
