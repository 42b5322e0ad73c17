"""Milliseconds a step: our generation loop against `transformers` on the same random weights.

    python benchmarks/step_time.py

24 layers, guidance on, top-k 250, 2 threads; widths 64 and 1024 (MusicGen small). Each figure is the median over
alternating runs of the time that the steps 17 to 64 take, so that loading, the text and the codec do not count.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from transformers import EncodecConfig, MusicgenConfig, MusicgenForConditionalGeneration, T5Config
from transformers.utils import logging

from musicgen_edu.checkpoints import StateReader, load_lm
from musicgen_edu.generation import Sampling, delay_table, generate_codes
from musicgen_edu.lm import MusicgenLM
from musicgen_edu.published import lm_config

SHORT, LONG = 16, 64  # steps
WORDS = 12


def build(dim: int) -> tuple[MusicgenForConditionalGeneration, MusicgenLM]:
    """A 24-layer MusicGen of random weights in both implementations; text encoder and codec are as small as can be."""
    config = MusicgenConfig(
        text_encoder=T5Config(vocab_size=64, d_model=48, d_kv=8, d_ff=16, num_layers=1, num_heads=2).to_dict(),
        audio_encoder=EncodecConfig(
            sampling_rate=32000, num_filters=2, upsampling_ratios=[8, 5, 4, 4], hidden_size=8, codebook_size=2048,
            target_bandwidths=[2.2], use_causal_conv=False, use_conv_shortcut=False, num_lstm_layers=1,
        ).to_dict(),
        decoder={
            "model_type": "musicgen_decoder", "hidden_size": dim, "num_attention_heads": max(1, dim // 64),
            "num_hidden_layers": 24, "ffn_dim": 4 * dim, "dropout": 0.0,
        },
    )  # fmt: skip
    theirs = MusicgenForConditionalGeneration(config).eval()
    theirs.generation_config.update(decoder_start_token_id=2048, bos_token_id=2048, pad_token_id=2048)
    with torch.device("meta"):
        ours = MusicgenLM(lm_config(config.to_dict()))
    load_lm(ours, StateReader(theirs.state_dict(), "benchmark"))
    return theirs, ours.eval().requires_grad_(False)


def time_theirs(model: MusicgenForConditionalGeneration, steps: int) -> float:
    """Seconds for so many steps in `generate`."""
    tokens = torch.arange(2, 2 + WORDS)[None]
    begin = time.perf_counter()
    model.generate(
        input_ids=tokens, attention_mask=torch.ones_like(tokens), do_sample=True, top_k=250, guidance_scale=3.0,
        max_new_tokens=steps,
    )  # fmt: skip
    return time.perf_counter() - begin


def time_ours(model: MusicgenLM, steps: int) -> float:
    """Seconds for so many steps in `generate_codes`."""
    states = torch.randn(1, WORDS, model.config.text_dim)
    frames = steps - model.config.num_codebooks + 1
    begin = time.perf_counter()
    with torch.inference_mode():
        condition = model.project_text(states, torch.ones(1, WORDS))
    generate_codes(model, frames, [0], condition, Sampling(3.0, top_k=250), delay_table(4, frames, "special"))
    return time.perf_counter() - begin


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="alternating runs a width (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    print("| width | transformers, ms a step | musicgen_edu, ms a step | ratio |\n|---|---|---|---|")
    for dim in (64, 1024):
        theirs, ours = build(dim)
        time_theirs(theirs, SHORT), time_ours(ours, SHORT)  # warm up
        figures: dict[str, list[float]] = {"theirs": [], "ours": []}
        for _ in range(arguments.runs):
            for name, measure, model in (("theirs", time_theirs, theirs), ("ours", time_ours, ours)):
                figures[name].append(1000 * (measure(model, LONG) - measure(model, SHORT)) / (LONG - SHORT))
        a, b = statistics.median(figures["theirs"]), statistics.median(figures["ours"])
        print(f"| {dim} | {a:.2f} | {b:.2f} | {a / b:.1f} |", flush=True)


if __name__ == "__main__":
    main()
