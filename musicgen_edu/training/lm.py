"""Training a language model on codes and captions: the delay pattern, the masked loss, condition dropout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..lm import MusicgenLM, codebook_loss
from ..patterns import holds_code, interleave, pattern_table
from ..text import TextEncoder
from .runs import Report, learning_rate, load_run, save_run, set_learning_rate


@dataclass(frozen=True)
class LMTraining:
    """What a language model training run needs to know.

    `phases` are (frames, batch, steps): short clips first, whole ones at the end. `beginnings` are (frames, batch) of
    very short clips that each step trains on besides. `condition_dropout` is the share of rows that are trained
    without their caption, which is what guidance needs. `input_noise` is the largest share of a row's input codes that
    are replaced by those of other rows, so that the model learns to go on after a code that was sampled badly. With
    `muon` the matrices of the layers are trained by Muon (Jordan 2024), with the rates that suit AdamW.
    """

    phases: tuple[tuple[int, int, int], ...] = ((256, 16, 3400), (512, 8, 2600))
    beginnings: tuple[int, int] | None = None
    learning_rate: float = 2e-3
    warmup: int = 200
    hold: float = 0.4
    weight_decay: float = 0.05
    condition_dropout: float = 0.15
    input_noise: float = 0.0
    muon: bool = False
    clip_norm: float = 1.0
    seed: int = 0
    bfloat16: bool = True

    @property
    def steps(self) -> int:
        return sum(steps for _, _, steps in self.phases)

    def sizes(self, step: int) -> list[tuple[int, int]]:
        """Frames and batch size of each batch that a step trains on."""
        for frames, batch, steps in self.phases:
            if step < steps:
                return [(frames, batch), *([self.beginnings] if self.beginnings else [])]
            step -= steps
        raise ValueError(f"the run has {self.steps} steps")


class TextToCodes(nn.Module):
    """Text encoder and language model, trained together from scratch: no pretrained T5 is this small."""

    def __init__(self, text: TextEncoder, lm: MusicgenLM):
        super().__init__()
        self.text_model, self.tokenizer, self.lm = text.model, text.tokenizer, lm

    def forward(self, captions: list[str], sequence: Tensor, dropped: Tensor) -> Tensor:
        """Logits [B, K, S, V] for a sequence [B, K, S]; rows where `dropped` [B] is true see no caption."""
        tokens = self.tokenizer(captions, padding=True, return_tensors="pt").to(sequence.device)
        states = self.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        mask = tokens.attention_mask.bool() & ~dropped[:, None]
        return self.lm(sequence, states, mask)


def with_noise(sequence: Tensor, table: Tensor, largest: float) -> Tensor:
    """A sequence [B, K, S] in which some codes are those of the next row; of half the rows none.

    Args:
        sequence: interleaved codes.
        table: the pattern [K, T], which tells codes from special tokens.
        largest: of the other half, each row gets a share from 0 to this.
    """
    B, K, S = sequence.shape
    share = (torch.rand(B, 1, 1) * 2 - 1).clamp(min=0) * largest  # [B, 1, 1]
    replaced = (torch.rand(B, K, S) < share) & holds_code(table)[:, :S]
    return torch.where(replaced.to(sequence.device), sequence.roll(1, 0), sequence)


def delay_loss(
    model: TextToCodes, codes: Tensor, captions: list[str], dropped: Tensor, noise: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Loss and per-codebook losses [K] of codes [B, K, T] under the delay pattern, with some wrong codes as input.

    The sequence is cut after T steps: what would follow are columns in which the first codebooks have no code,
    although the music went on. Codebook k then has T - k targets.
    """
    B, K, T = codes.shape
    table = pattern_table("delay", K, T)
    sequence = interleave(codes, table, model.lm.config.special)[:, :, : T + 1]  # [B, K, T + 1]
    given = with_noise(sequence[:, :, :-1], table, noise) if noise else sequence[:, :, :-1]
    logits = model(captions, given, dropped)  # [B, K, T, V]
    return codebook_loss(logits, sequence[:, :, 1:], holds_code(table)[:, 1 : T + 1].to(codes.device))


def make_optimizers(model: TextToCodes, settings: LMTraining) -> tuple[torch.optim.Optimizer, dict]:
    """AdamW, and what else is needed by name: with `muon`, Muon for the matrices of all layers but the heads."""
    matrices = []
    if settings.muon:
        linear = (
            module for module in model.modules() if isinstance(module, nn.Linear) and module is not model.lm.heads
        )
        matrices = [module.weight for module in linear]
    others = {}
    if matrices:
        others["muon"] = torch.optim.Muon(
            matrices, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw"
        )  # its update then has the size of AdamW's, so one rate serves both
    taken = set(map(id, matrices))
    rest = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    return torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=settings.weight_decay), others


def quick_attention(device: torch.device, frames: int):
    """A context in which many short clips train faster: there the CPU's fused kernel is slow backwards."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" and frames < 64 else nullcontext()


Batch = tuple[Tensor, list[str]]
Batches = Callable[[int], Iterator[list[Batch]]]


def train_lm(
    model: TextToCodes,
    settings: LMTraining,
    batches: Batches,
    checkpoint: Path | None = None,
    checkpoint_every: int = 250,
    report: Report | None = None,
) -> TextToCodes:
    """Train; a run that was stopped goes on from its checkpoint and gets the same numbers.

    Args:
        model: trained in place.
        settings: phases, rates and seed.
        batches: called with the first step, gives each step's list of batches: codes int64 [B, K, T] and B captions.
        checkpoint: file that holds the state of the run; read if it exists.
        checkpoint_every: steps between writes of that file.
        report: called after each step with the step and the losses of its first batch in nats.

    Returns:
        the model, in evaluation mode.
    """
    optimizer, others = make_optimizers(model, settings)
    device, start = next(model.parameters()).device, 0
    if checkpoint and checkpoint.exists():
        start = load_run(checkpoint, model, optimizer, **others)
    else:
        torch.manual_seed(settings.seed)
    model.train()
    source = batches(start)
    for step in range(start, settings.steps):
        rate = learning_rate(step, settings.steps, settings.learning_rate, settings.warmup, settings.hold)
        for each in (optimizer, *others.values()):
            set_learning_rate(each, rate)
            each.zero_grad()
        losses = []
        for codes, captions in next(source):
            dropped = (torch.rand(len(captions)) < settings.condition_dropout).to(device)
            codes = codes.to(device)
            with (
                quick_attention(device, codes.shape[2]),
                torch.autocast(device.type, torch.bfloat16, settings.bfloat16),
            ):
                loss, per_codebook = delay_loss(model, codes, captions, dropped, settings.input_noise)
            loss.backward()
            losses.append({"loss": loss.item(), **{f"k{k}": v.item() for k, v in enumerate(per_codebook)}})
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        for each in (optimizer, *others.values()):
            each.step()
        if report:
            report(step, losses[0] | {f"loss {i}": other["loss"] for i, other in enumerate(losses[1:], 1)})
        if checkpoint and ((step + 1) % checkpoint_every == 0 or step + 1 == settings.steps):
            save_run(checkpoint, model, optimizer, step + 1, **others)
    return model.eval()
