"""What reduced precision does to trained weights: errors of the logits, and how many tokens change.

    python benchmarks/reduced_precision.py

The shipped tiny model on the CPU, guidance on, as many frames as it was trained for. Teacher-forced: every format reads
the tokens that float32 generated (sampled, seed by seed), and says which one it would take, the most likely. Free:
each goes its own way, greedily; from the first other token on it plays other music, so the share says how long it kept
to the way of float32, not how good it is.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from torch import Tensor

from musicgen_edu.fast.int8 import to_int8
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.decoder import Condition
from musicgen_edu.model.generation import delay_table, generate_codes
from musicgen_edu.model.patterns import interleave
from musicgen_edu.model.sampling import Sampling, guide
from musicgen_edu.musicgen import MusicGen

PROMPTS = ["calm organ melody in c major", "fast bell arpeggio in a minor with drums", "slow piano", "plucked strings"]
GUIDANCE = 3.0
FORMATS = ["bfloat16", "float16", "int8, layers", "int8, layers and heads"]


@dataclass
class Way:
    """What a model says along given tokens: raw logits [S, 2B, K, V], and the guided ones [S, B, K, V]."""

    raw: Tensor
    guided: Tensor


@torch.inference_mode()
def follow(lm: QuickLM, condition: Condition, sequence: Tensor) -> Way:
    """Step along a sequence int64 [B, K, S + 1], as generation does."""
    B, _, S = sequence[:, :, :-1].shape
    state, logits = lm.start(2 * B, S, condition), []
    for s in range(S):
        column = sequence[:, :, s : s + 1]
        logits.append(lm.step(torch.cat([column, column]), state).float())
    raw = torch.stack(logits)  # [S, 2B, K, V]
    return Way(raw, guide(*raw.chunk(2, 1), GUIDANCE))


def in_format(name: str) -> MusicGen:
    """The model, its language model (and text encoder, except for int8) in another number format."""
    if not name.startswith("int8"):
        return MusicGen.from_pretrained("tiny", device="cpu", dtype=getattr(torch, name))
    model = MusicGen.from_pretrained("tiny", device="cpu")
    heads = model.lm.heads
    to_int8(model.lm)
    if "heads" not in name:
        model.lm.heads = heads
    return model


def relative(given: Tensor, exact: Tensor) -> float:
    """Norm of the difference / norm, logits taken relative to their mean, which a softmax does not see."""
    given, exact = given - given.mean(-1, keepdim=True), exact - exact.mean(-1, keepdim=True)
    return ((given - exact).norm() / exact.norm()).item()


def kept(codes: Tensor, exact: Tensor) -> tuple[float, float]:
    """Share of equal tokens [B, K, T], and frames until the first other one, mean over the rows."""
    same = codes == exact
    frames = same.all(1).cumprod(-1).sum(-1)  # [B]
    return same.float().mean().item(), frames.float().mean().item()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    exact = in_format("float32")
    frames, seeds = exact.frames(arguments.seconds), list(range(len(PROMPTS)))
    table, greedy = delay_table(exact.lm.config.num_codebooks, frames), Sampling(GUIDANCE, temperature=0)
    table = table[:, :frames]
    with torch.inference_mode():
        condition = exact.condition(PROMPTS)
    lm = QuickLM(exact.lm)
    codes = generate_codes(lm, frames, seeds, condition, Sampling(GUIDANCE), table)
    sequence = interleave(codes, table, exact.lm.config.special)
    way, free = follow(lm, condition, sequence), generate_codes(lm, frames, seeds, condition, greedy)
    print(f"{len(PROMPTS)} prompts, {sequence.shape[2] - 1} steps, guidance {GUIDANCE:g}\n")
    print("| numbers | error of the logits | of guided logits | same most likely token | free: same | frames kept |")
    print("|---|---|---|---|---|---|")
    for name in FORMATS:
        model = in_format(name)
        lm = QuickLM(model.lm)
        with torch.inference_mode():
            condition = model.condition(PROMPTS)
        other = follow(lm, condition, sequence)
        same = (other.guided.argmax(-1) == way.guided.argmax(-1)).float().mean().item()
        share, length = kept(generate_codes(lm, frames, seeds, condition, greedy), free)
        errors = f"{relative(other.raw, way.raw):.2%} | {relative(other.guided, way.guided):.2%}"
        print(f"| {name} | {errors} | {same:.2%} | {share:.1%} | {length:.0f} of {frames} |", flush=True)


if __name__ == "__main__":
    main()
