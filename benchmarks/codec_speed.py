"""Milliseconds a call: our quantizer and codec against `transformers` and `vector-quantize-pytorch`, same weights.

    pip install --target /tmp/vqp --no-deps vector-quantize-pytorch einops einx frozendict loguru torch-einops-utils
    PYTHONPATH=/tmp/vqp python benchmarks/codec_speed.py

2 threads, one run; each figure is the median over alternating runs. That all give the same codes is checked first.
`vector-quantize-pytorch` is no dependency of the course: without it its column stays empty.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable

import torch
from transformers import EncodecConfig, EncodecModel
from transformers.models.encodec.modeling_encodec import EncodecResidualVectorQuantizer

from musicgen_edu.checkpoints.load import load_codec
from musicgen_edu.checkpoints.published import codec_config
from musicgen_edu.checkpoints.weights import StateReader
from musicgen_edu.model import encodec
from musicgen_edu.model.quantization import ResidualVectorQuantizer

NAMES = ("transformers", "vector-quantize-pytorch", "musicgen_edu")
PUBLISHED = {  # facebook/encodec_32khz
    "sampling_rate": 32000, "num_filters": 64, "upsampling_ratios": [8, 5, 4, 4], "hidden_size": 128,
    "codebook_size": 2048, "target_bandwidths": [2.2], "num_lstm_layers": 2,
}  # fmt: skip
TINY = {  # the codec that the course ships
    "sampling_rate": 16000, "num_filters": 16, "upsampling_ratios": [5, 4, 4, 4], "hidden_size": 64,
    "codebook_size": 1024, "target_bandwidths": [2.0], "num_lstm_layers": 1,
}  # fmt: skip
Contestants = dict[str, Callable[[], object]]


def their_config(sizes: dict) -> EncodecConfig:
    """The configuration of `transformers`, not causal and without shortcut convolutions, as MusicGen's codec is."""
    return EncodecConfig(**sizes, use_causal_conv=False, use_conv_shortcut=False)


def quantizers(sizes: dict, frames: int) -> Contestants:
    """RVQ encoding of random vectors with the same random codebooks, each stage finer than the one before it."""
    config = their_config(sizes)
    K, V, D = config.num_quantizers, config.codebook_size, config.hidden_size
    ours, theirs = ResidualVectorQuantizer(K, V, D).eval(), EncodecResidualVectorQuantizer(config).eval()
    x = torch.randn(1, D, frames)  # [1, D, T]
    codebooks = [torch.randn(V, D) * 0.6**k for k in range(K)]
    for k, codebook in enumerate(codebooks):
        ours.layers[k].embed.copy_(codebook)
        theirs.layers[k].codebook.embed.copy_(codebook)
    codes = ours.encode(x)
    check_equal("transformers", codes, theirs.encode(x).transpose(0, 1))
    found: Contestants = {"transformers": lambda: theirs.encode(x), "musicgen_edu": lambda: ours.encode(x)}
    third = third_quantizer(codebooks)
    if third:
        vectors = x.transpose(1, 2).contiguous()  # its own layout
        check_equal("vector-quantize-pytorch", codes, third(vectors)[1].transpose(1, 2))
        found["vector-quantize-pytorch"] = lambda: third(vectors)
    return found


def third_quantizer(codebooks: list[torch.Tensor]) -> torch.nn.Module | None:
    """`ResidualVQ` with these codebooks, or None where the package is not installed."""
    try:
        from vector_quantize_pytorch import ResidualVQ
    except ImportError:
        return None
    V, D = codebooks[0].shape
    module = ResidualVQ(dim=D, num_quantizers=len(codebooks), codebook_size=V).eval()
    for layer, codebook in zip(module.layers, codebooks, strict=True):
        layer._codebook.embed.copy_(codebook[None])
    return module


def codecs(sizes: dict, seconds: float) -> tuple[Contestants, Contestants]:
    """Encoding noise and decoding it again with the same random weights: two contests."""
    theirs = EncodecModel(their_config(sizes)).eval()
    for layer in theirs.quantizer.layers:
        layer.codebook.embed.normal_(std=0.05)  # fresh ones are zero
    with torch.device("meta"):
        ours = encodec.EncodecModel(codec_config(theirs.config.to_dict()))
    load_codec(ours, StateReader({f"audio_encoder.{k}": v for k, v in theirs.state_dict().items()}, "benchmark"))
    audio = torch.randn(1, 1, round(seconds * theirs.config.sampling_rate)) * 0.3
    codes, encoded = ours.eval().encode(audio), theirs.encode(audio)
    check_equal("transformers", codes, encoded.audio_codes[0])
    encode = {"transformers": lambda: theirs.encode(audio), "musicgen_edu": lambda: ours.encode(audio)}
    decode = {
        "transformers": lambda: theirs.decode(encoded.audio_codes, encoded.audio_scales),
        "musicgen_edu": lambda: ours.decode(codes),
    }
    return encode, decode


def check_equal(name: str, codes: torch.Tensor, others: torch.Tensor) -> None:
    """Stop if the codes [B, K, T] differ: then the work would not be the same."""
    same = (codes == others).float().mean().item()
    if same < 0.999:  # another order of additions may tip a near tie
        sys.exit(f"{name} gives other codes than musicgen_edu: only {same:.1%} are equal")


def medians(contest: Contestants, runs: int, least: float) -> dict[str, float]:
    """Median milliseconds of a call over alternating runs; each repeats short calls for `least` seconds."""
    repeats = {}
    for name, call in contest.items():
        call()
        begin = time.perf_counter()
        call()
        repeats[name] = math.ceil(least / (time.perf_counter() - begin))
    times: dict[str, list[float]] = {name: [] for name in contest}
    for _ in range(runs):
        for name, call in contest.items():
            begin = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            times[name].append(1000 * (time.perf_counter() - begin) / repeats[name])
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="alternating runs of each row (default: %(default)s)")
    parser.add_argument("--least", type=float, default=0.1, help="seconds of a run, at least (default: %(default)g)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of audio (default: %(default)g)")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"{arguments.seconds:g} s of audio, {arguments.threads} threads, medians of {arguments.runs} runs\n")
    print(
        f"| ms a call | {' | '.join(NAMES)} | fastest other / ours | times real time, ours |\n|---|---|---|---|---|---|"
    )
    with torch.inference_mode():
        for title, sizes in (("32 kHz", PUBLISHED), ("tiny", TINY)):
            encode, decode = codecs(sizes, arguments.seconds)
            rows = {
                "RVQ encode": quantizers(sizes, round(50 * arguments.seconds)),
                "EnCodec encode": encode,
                "EnCodec decode": decode,
            }
            for what, contest in rows.items():
                found = medians(contest, arguments.runs, arguments.least)
                ours, other = found["musicgen_edu"], min(v for k, v in found.items() if k != "musicgen_edu")
                figures = " | ".join(f"{found[name]:.2f}" if name in found else "" for name in NAMES)
                speed = 1000 * arguments.seconds / ours
                print(f"| {what}, {title} | {figures} | {other / ours:.2f} | {speed:.0f} |", flush=True)
    if third_quantizer([torch.zeros(2, 2)]) is None:
        print("\nvector-quantize-pytorch is not installed; the head of this file says how to get it")


if __name__ == "__main__":
    main()
