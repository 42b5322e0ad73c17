"""Milliseconds a step: our generation loop against `transformers` on the same random weights.

    python benchmarks/step_time.py

24 layers, guidance on, top-k 250, 2 threads; widths 64 and 1024 (MusicGen small), batch 1 and 8, in float32, bfloat16
and int8. Each figure is the median over alternating runs, all variants in turn, of the time that the steps 9 to 32
take, so that loading, the text and the codec do not count. int8 of `transformers` is PyTorch's dynamic quantization.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn
from transformers import EncodecConfig, MusicgenConfig, MusicgenForConditionalGeneration, T5Config
from transformers.utils import logging

from musicgen_edu.checkpoints.load import load_lm
from musicgen_edu.checkpoints.published import lm_config
from musicgen_edu.checkpoints.weights import StateReader
from musicgen_edu.fast.int8 import to_int8
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.generation import delay_table, generate_codes
from musicgen_edu.model.lm import MusicgenLM
from musicgen_edu.model.sampling import Sampling

SHORT, LONG = 8, 32  # steps
WORDS = 12
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}
CLOCK = time.perf_counter
Measure = Callable[[int], float]  # steps to seconds


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
    theirs = MusicgenForConditionalGeneration(config).eval().requires_grad_(False)
    theirs.generation_config.update(decoder_start_token_id=2048, bos_token_id=2048, pad_token_id=2048)
    with torch.device("meta"):
        ours = MusicgenLM(lm_config(config.to_dict()))
    load_lm(ours, StateReader(theirs.state_dict(), "benchmark"))
    return theirs, ours.eval().requires_grad_(False)


def in_format(theirs: MusicgenForConditionalGeneration, ours: MusicgenLM, name: str) -> tuple[nn.Module, MusicgenLM]:
    """Both models, of float32, in another number format."""
    if name == "float32":
        return theirs, ours
    if name == "int8":
        small = copy.copy(theirs)  # shares everything but the decoder, which is replaced
        small._modules = dict(theirs._modules)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            small.decoder = torch.ao.quantization.quantize_dynamic(theirs.decoder, {nn.Linear}, torch.qint8)
        return small, to_int8(copy.deepcopy(ours))
    return copy.deepcopy(theirs).to(FORMATS[name]), copy.deepcopy(ours).to(FORMATS[name])


def time_theirs(model: nn.Module, batch: int, steps: int) -> float:
    """Seconds for so many steps in `generate`."""
    tokens = torch.arange(2, 2 + WORDS).repeat(batch, 1)
    begin = CLOCK()
    model.generate(
        input_ids=tokens, attention_mask=torch.ones_like(tokens), do_sample=True, top_k=250, guidance_scale=3.0,
        max_new_tokens=steps,
    )  # fmt: skip
    return CLOCK() - begin


def time_ours(model: MusicgenLM, batch: int, steps: int) -> float:
    """Seconds for so many steps in `generate_codes`, by the quick way that `MusicGen` takes."""
    states = torch.randn(batch, WORDS, model.config.text_dim, dtype=model.positions.dtype)
    frames = steps - model.config.num_codebooks + 1
    begin = CLOCK()
    with torch.inference_mode():
        condition = model.project_text(states, torch.ones(batch, WORDS, dtype=states.dtype))
    table = delay_table(4, frames, "special")
    generate_codes(QuickLM(model), frames, list(range(batch)), condition, Sampling(3.0, top_k=250), table)
    return CLOCK() - begin


def measure(variants: dict[str, Measure], runs: int) -> dict[str, float]:
    """Milliseconds a step of each variant: medians over runs in which all take their turn."""
    for variant in variants.values():  # warm up
        variant(SHORT)
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(runs):
        for name, variant in variants.items():
            figures[name].append(1000 * (variant(LONG) - variant(SHORT)) / (LONG - SHORT))
    return {name: statistics.median(times) for name, times in figures.items()}


def main() -> None:
    """Print a table."""
    global CLOCK
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="alternating runs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--cpu-time", action="store_true", help="for a machine that is busy: use with --threads 1")
    arguments = parser.parse_args()
    CLOCK = time.process_time if arguments.cpu_time else CLOCK
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    print("| width | batch | numbers | transformers, ms a step | musicgen_edu, ms a step | ratio | to its float32 |")
    print("|---|---|---|---|---|---|---|")
    for dim in arguments.widths:
        full = build(dim)
        pairs = {name: in_format(*full, name) for name in FORMATS}
        for batch in arguments.batches:
            variants: dict[str, Measure] = {}
            for name, (theirs, ours) in pairs.items():
                variants["theirs " + name] = lambda steps, model=theirs, batch=batch: time_theirs(model, batch, steps)
                variants["ours " + name] = lambda steps, model=ours, batch=batch: time_ours(model, batch, steps)
            times = measure(variants, arguments.runs)
            for name in FORMATS:
                a, b, base = times["theirs " + name], times["ours " + name], times["theirs float32"]
                print(f"| {dim} | {batch} | {name} | {a:.2f} | {b:.2f} | {a / b:.1f} | {base / b:.1f} |", flush=True)


if __name__ == "__main__":
    main()
