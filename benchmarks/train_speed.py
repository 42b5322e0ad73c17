"""Training steps a second: our language model against `transformers`' MusicgenForCausalLM, same weights, same loss.

    python benchmarks/train_speed.py

Both are given the same delayed codes and text states, compute the same loss (cross-entropy per codebook over the valid
positions, then the mean; that both give the same number is checked first), its gradient, and an AdamW update. One run;
the figures are medians over alternating steps.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import MusicgenForCausalLM
from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

from musicgen_edu.checkpoints.load import load_lm
from musicgen_edu.checkpoints.published import lm_dict
from musicgen_edu.checkpoints.weights import StateReader
from musicgen_edu.model.lm import LMConfig, MusicgenLM
from musicgen_edu.training.layout import Batch, Update, make_update, pattern_loss

WORDS = 12
SIZES = {  # name: width, heads, layers, feed-forward, V, batch, frames
    "tiny": (192, 3, 6, 640, 1024, 8, 128),
    "middle": (512, 8, 8, 2048, 2048, 4, 256),
}
Step = Callable[[], Tensor]


def build(dim: int, heads: int, layers: int, feed_forward: int, V: int) -> tuple[MusicgenForCausalLM, MusicgenLM]:
    """The same random weights in both; the text already has the width of the model, so neither projects it."""
    config = LMConfig(dim, heads, layers, feed_forward, codebook_size=V, text_dim=dim, text_layers=0)
    theirs = MusicgenForCausalLM(
        MusicgenDecoderConfig(**lm_dict(config), attention_dropout=0.0, activation_dropout=0.0)
    )
    with torch.device("meta"):
        ours = MusicgenLM(config)
    state = StateReader(
        {f"decoder.{name}": tensor.clone() for name, tensor in theirs.state_dict().items()}, "benchmark"
    )
    load_lm(ours, state)
    return theirs.train(), ours.train().requires_grad_()


def their_loss(model: MusicgenForCausalLM, update: Update, states: Tensor, mask: Tensor) -> Tensor:
    """Their logits with our loss, in the layout that suits theirs: each codebook's logits as they come."""
    B, K, S = update.given.shape
    found = model(update.given.reshape(B * K, S), encoder_hidden_states=states, encoder_attention_mask=mask)
    logits = found.logits.view(B, K, S, -1)
    losses = [
        F.cross_entropy(logits[:, k][update.valid[:, k]].float(), update.targets[:, k][update.valid[:, k]])
        for k in range(K)
    ]
    return torch.stack(losses).mean()


def our_loss(model: MusicgenLM, update: Update, states: Tensor, mask: Tensor) -> Tensor:
    """That of `musicgen_edu.training`, of states that stand for the captions'."""
    return pattern_loss(lambda captions, given, dropped: model(given, states, mask), update)[0]


def training_step(model: nn.Module, loss_of: Callable[[], Tensor], bfloat16: bool) -> Step:
    """A step: loss, gradient, update; returns the loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    device = next(model.parameters()).device

    def step() -> Tensor:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, bfloat16):
            loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step


def contest(sizes: tuple[int, ...], bfloat16: bool, runs: int, device: str) -> tuple[float, float, int]:
    """Median seconds of a step, theirs and ours, and how many codes it trains on."""
    *architecture, B, T = sizes
    theirs, ours = (model.to(device) for model in build(*architecture))
    codes = torch.randint(0, architecture[4], (B, 4, T))
    update = make_update(Batch(codes, [""] * B), "delay", architecture[4]).to(torch.device(device))
    states = torch.randn(B, WORDS, architecture[0], device=device)
    mask = (torch.arange(WORDS, device=device) < torch.randint(4, WORDS + 1, (B, 1), device=device)).long()
    steps = [
        training_step(theirs, lambda: their_loss(theirs, update, states, mask), bfloat16),
        training_step(ours, lambda: our_loss(ours, update, states, mask), bfloat16),
    ]
    found = [step().item() for step in steps]  # warms up, too
    if abs(found[0] - found[1]) > (0.02 if bfloat16 else 1e-4):
        sys.exit(f"the losses differ, {found[0]:.5f} and {found[1]:.5f}: this would not be the same work")
    times: list[list[float]] = [[], []]
    for run in range(runs):
        for i in (0, 1) if run % 2 else (1, 0):
            begin = time.perf_counter()
            steps[i]().item()  # waits for a GPU, too
            times[i].append(time.perf_counter() - begin)
    return statistics.median(times[0]), statistics.median(times[1]), int(update.counts.sum())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="alternating steps of each row (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=SIZES, help="one of the sizes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"{arguments.device}, {arguments.threads} threads, medians of {arguments.runs} steps\n")
    print("| size | number format | transformers, codes a second | musicgen_edu, codes a second | ours / theirs |")
    print("|---|---|---|---|---|")
    for name in [arguments.only] if arguments.only else SIZES:
        for bfloat16 in (False, True):
            theirs, ours, codes = contest(SIZES[name], bfloat16, arguments.runs, arguments.device)
            kind = "bfloat16 autocast" if bfloat16 else "float32"
            print(f"| {name} | {kind} | {codes / theirs:.0f} | {codes / ours:.0f} | {theirs / ours:.2f} |", flush=True)


if __name__ == "__main__":
    main()
