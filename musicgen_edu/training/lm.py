"""Training a language model on codes and captions: the delay pattern, the masked loss, condition dropout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..lm import MusicgenLM, codebook_loss
from ..patterns import holds_code, interleave, pattern_table
from ..text import TextEncoder
from .runs import Report, learning_rate, load_run, save_run, set_learning_rate


@dataclass(frozen=True)
class LMTraining:
    """What a language model training run needs to know.

    `phases` are (frames, batch, steps): short clips first, whole ones at the end. `beginnings` are (frames, batch) of
    very short clips that each step trains on besides. `condition_dropout` is the share of rows that are trained
    without their caption, which is what guidance needs.
    """

    phases: tuple[tuple[int, int, int], ...] = ((256, 16, 3400), (512, 8, 2600))
    beginnings: tuple[int, int] | None = None
    learning_rate: float = 2e-3
    warmup: int = 200
    hold: float = 0.4
    weight_decay: float = 0.05
    condition_dropout: float = 0.15
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


def delay_loss(model: TextToCodes, codes: Tensor, captions: list[str], dropped: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and per-codebook losses [K] of codes [B, K, T] under the delay pattern.

    The sequence is cut after T steps: what would follow are columns in which the first codebooks have no code,
    although the music went on. Codebook k then has T - k targets.
    """
    B, K, T = codes.shape
    table = pattern_table("delay", K, T)
    sequence = interleave(codes, table, model.lm.config.special)[:, :, : T + 1]  # [B, K, T + 1]
    logits = model(captions, sequence[:, :, :-1], dropped)  # [B, K, T, V]
    return codebook_loss(logits, sequence[:, :, 1:], holds_code(table)[:, 1 : T + 1].to(codes.device))


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
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=settings.weight_decay
    )
    device, start = next(model.parameters()).device, 0
    if checkpoint and checkpoint.exists():
        start = load_run(checkpoint, model, optimizer)
    else:
        torch.manual_seed(settings.seed)
    model.train()
    source = batches(start)
    for step in range(start, settings.steps):
        rate = learning_rate(step, settings.steps, settings.learning_rate, settings.warmup, settings.hold)
        set_learning_rate(optimizer, rate)
        optimizer.zero_grad()
        losses = []
        for codes, captions in next(source):
            dropped = (torch.rand(len(captions)) < settings.condition_dropout).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
                loss, per_codebook = delay_loss(model, codes.to(device), captions, dropped)
            loss.backward()
            losses.append({"loss": loss.item(), **{f"k{k}": v.item() for k, v in enumerate(per_codebook)}})
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        if report:
            report(step, losses[0] | {f"loss {i}": other["loss"] for i, other in enumerate(losses[1:], 1)})
        if checkpoint and ((step + 1) % checkpoint_every == 0 or step + 1 == settings.steps):
            save_run(checkpoint, model, optimizer, step + 1)
    return model.eval()
