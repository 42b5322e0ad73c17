"""How well a codec reconstructs, by number of codebooks: `python -m musicgen_edu.experiments.codec_report`.

SI-SDR, chroma cosine, log-mel distance and the perplexity of each codebook, on held-out procedural clips and on a
folder of recordings.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor

from ..checkpoints.load import read_codec
from ..data.audio_folder import file_segments, sound_files
from ..data.pieces import GRID, SAMPLE_RATE
from ..data.procedural import make_clips, sounds_of
from ..evaluation.reconstruction import codec_measures
from ..model.audio import resample
from ..model.encodec import EncodecModel
from .pages import table

HELD_OUT_SEED = 11  # no training uses it
SILENT = 0.01  # a clip that stays below this says nothing about a codec
COLUMNS = {  # heading: measure, form
    "codebooks": ("codebooks", "{}"),
    "kbit/s": ("kbit/s", "{:.1f}"),
    "SI-SDR (dB), median": ("SI-SDR median", "{:.2f}"),
    "SI-SDR (dB), mean": ("SI-SDR mean", "{:.2f}"),
    "chroma cosine, mean": ("chroma", "{:.3f}"),
    "log-mel L1, mean": ("log-mel", "{:.3f}"),
    "perplexity": ("perplexity", "{:.0f}"),
}


def procedural_clips(count: int, seconds: float, sample_rate: int) -> Tensor:
    """Held-out procedural clips: [B, N]."""
    frames = round(seconds * SAMPLE_RATE / GRID)
    return resample(sounds_of(make_clips(HELD_OUT_SEED, count, frames)), SAMPLE_RATE, sample_rate)


def music_clips(folder: Path | str, count: int, seconds: float, sample_rate: int) -> Tensor:
    """A fixed set of clips of a folder's recordings, as mono, without the silent ones: up to [count, N]."""
    files = sound_files(folder)
    clips = next(file_segments(files, sample_rate, count, round(seconds * sample_rate), HELD_OUT_SEED))[:, 0]
    heard = clips[clips.abs().amax(1) >= SILENT]
    if not len(heard):
        raise ValueError(f"all clips drawn from {folder} are silent")
    return heard


def codec_table(codec: EncodecModel, audio: Tensor) -> str:
    """`codec_measures` of mono clips [B, N] as a table."""
    rows = [[form.format(row[name]) for name, form in COLUMNS.values()] for row in codec_measures(codec, audio)]
    return table(list(COLUMNS), rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", default="tiny", help="folder of a codec or of a MusicGen, or tiny (the default)")
    parser.add_argument("--music", nargs="*", default=[], metavar="FOLDER", help="folders of recordings")
    parser.add_argument("--clips", type=int, default=256, help="of each set (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each clip (default: %(default)g)")
    arguments = parser.parse_args()
    codec = read_codec(arguments.codec)
    rate, V = codec.config.sampling_rate, codec.config.codebook_size
    sets = {"held-out procedural music": lambda: procedural_clips(arguments.clips, arguments.seconds, rate)}
    for folder in arguments.music:
        sets[Path(folder).name] = lambda folder=folder: music_clips(folder, arguments.clips, arguments.seconds, rate)
    for title, clips in sets.items():
        audio = clips()
        head = f"### {title}: {len(audio)} clips of {arguments.seconds:g} s, codebooks of {V}"
        print(f"{head}\n\n{codec_table(codec, audio)}\n", flush=True)


if __name__ == "__main__":
    main()
