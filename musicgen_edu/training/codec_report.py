"""How well a codec reconstructs, by number of codebooks: `python -m musicgen_edu.training.codec_report`.

SI-SDR, chroma cosine, log-mel distance and the perplexity of each codebook, on held-out procedural clips and on a
folder of recordings.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.load import read_codec
from ..data.audio_folder import file_segments, sound_files
from ..data.pieces import GRID, SAMPLE_RATE
from ..data.procedural import make_clip
from ..evaluation.scores import chroma_cosine, log_mel_distance, si_sdr
from ..model.audio import resample
from ..model.encodec import EncodecModel
from ..model.quantization import perplexity

HELD_OUT_SEED = 11  # no training uses it
SILENT = 0.01  # a clip that stays below this says nothing about a codec
COLUMNS = "codebooks|kbit/s|SI-SDR (dB), median|SI-SDR (dB), mean|chroma cosine, mean|log-mel L1, mean|perplexity"


def procedural_clips(count: int, seconds: float, sample_rate: int) -> Tensor:
    """Held-out procedural clips: [B, N]."""
    frames = round(seconds * SAMPLE_RATE / GRID)
    clips = [make_clip(np.random.SeedSequence((HELD_OUT_SEED, i)), frames).audio for i in range(count)]
    return resample(torch.from_numpy(np.stack(clips)), SAMPLE_RATE, sample_rate)


def music_clips(folder: Path | str, count: int, seconds: float, sample_rate: int) -> Tensor:
    """A fixed set of clips of a folder's recordings, as mono, without the silent ones: up to [count, N]."""
    files = sound_files(folder)
    clips = next(file_segments(files, sample_rate, count, round(seconds * sample_rate), HELD_OUT_SEED))[:, 0]
    heard = clips[clips.abs().amax(1) >= SILENT]
    if not len(heard):
        raise ValueError(f"all clips drawn from {folder} are silent")
    return heard


def encoded(codec: EncodecModel, audio: Tensor, batch: int = 16) -> Tensor:
    """Codes [B, K, T] of audio [B, N]."""
    return torch.cat([codec.encode(part[:, None]) for part in audio.split(batch)])


def decoded(codec: EncodecModel, codes: Tensor, samples: int, batch: int = 16) -> Tensor:
    """Sound [B, N] of codes [B, up to K, T], cut to so many samples."""
    return torch.cat([codec.decode(part)[:, 0, :samples] for part in codes.split(batch)])


def codec_measures(codec: EncodecModel, audio: Tensor) -> list[dict[str, float]]:
    """For each number of codebooks what is measured on mono clips [B, N] at the codec's sample rate.

    The perplexity is that of the last codebook in use: how many of its V entries are in effective use.
    """
    config, codes, rows = codec.config, encoded(codec, audio), []
    for k in range(1, config.num_codebooks + 1):
        made = decoded(codec, codes[:, :k], audio.shape[1])
        sdr = si_sdr(audio, made)
        pairs = zip(audio.numpy(), made.numpy(), strict=True)
        rows.append(
            {
                "codebooks": k,
                "kbit/s": config.bandwidth * k / config.num_codebooks,
                "SI-SDR median": sdr.median().item(),
                "SI-SDR mean": sdr.mean().item(),
                "chroma": float(np.mean([chroma_cosine(a, b, config.sampling_rate) for a, b in pairs])),
                "log-mel": log_mel_distance(audio, made, config.sampling_rate).mean().item(),
                "perplexity": perplexity(codes[:, k - 1], config.codebook_size),
            }
        )
    return rows


def codec_table(codec: EncodecModel, audio: Tensor) -> str:
    """`codec_measures` as a table."""
    form = "{codebooks}|{kbit/s:.1f}|{SI-SDR median:.2f}|{SI-SDR mean:.2f}|{chroma:.3f}|{log-mel:.3f}|{perplexity:.0f}"
    lines = [COLUMNS, "|".join(["---"] * 7), *(form.format(**row) for row in codec_measures(codec, audio))]
    return "\n".join(f"| {line.replace('|', ' | ')} |" for line in lines)


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
