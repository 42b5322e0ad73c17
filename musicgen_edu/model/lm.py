"""The language model: embeddings, decoder and K heads; and its loss (lessons 06 and 07)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .decoder import Condition, Decoder, KeyValueCache, LayerCondition
from .embedding import CodebookEmbedding, check_tokens, sinusoidal_positions
from .settings import CONFIGS as CONFIGS  # where it is looked for
from .settings import LMConfig
from .shapes import check_shape


@dataclass
class GenerationState:
    """What a model keeps between two steps: each layer's keys and values of the prompt, and of the steps so far."""

    conditions: list[LayerCondition | None]
    cache: KeyValueCache


class MusicgenLM(nn.Module):
    """Sequences of K tokens a step, and a text, to logits of the next K tokens.

    Args:
        config: the sizes.

    Raises:
        ValueError: sizes that no model can have.
    """

    def __init__(self, config: LMConfig):
        super().__init__()
        config.check()
        self.config = config
        self.embedding = CodebookEmbedding(
            config.num_codebooks, config.codebook_size + config.special_tokens, config.dim
        )
        self.decoder = Decoder(
            config.dim, config.num_heads, config.layers, config.feed_forward, config.bias, config.final_norm
        )
        widths = [config.text_dim] + [config.dim] * config.text_layers
        self.text_projection = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(widths)))
        # K heads side by side in one matrix: rows k*V to (k+1)*V - 1 belong to codebook k.
        self.heads = nn.Linear(config.dim, config.num_codebooks * config.codebook_size, bias=config.head_bias)
        self.register_buffer("positions", sinusoidal_positions(config.max_steps, config.dim), persistent=False)

    def reset_buffers(self, dtype: torch.dtype = torch.float32) -> None:
        """Compute what no checkpoint holds: needed after a model was built on the `meta` device and then filled."""
        device = self.embedding.tables.device
        self.positions = sinusoidal_positions(self.config.max_steps, self.config.dim).to(device, dtype)
        self.embedding.reset_buffers(device)

    def project_text(self, states: Tensor, mask: Tensor) -> Condition:
        """Text encoder states [B, L, text_dim] and their mask [B, L] to what the decoder attends to.

        Padding is set to zero after the projection, whose bias would otherwise fill it.
        """
        B, L, _ = check_shape("text states", states, "B L D", D=self.config.text_dim)
        check_shape("text mask", mask, "B L", B=B, L=L)
        return Condition(self.text_projection(states) * mask[..., None], mask.bool())

    @property
    def device(self) -> torch.device:
        """Where the model is, and its input has to be."""
        return self.positions.device

    def forward(self, sequence: Tensor, states: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Logits of every step at once, for training.

        Args:
            sequence: int64 [B, K, S].
            states: of the text encoder [B, L, text_dim], or None for no condition.
            mask: 1 where a state belongs to a word [B, L]; None means all. A row of zeros has no condition.

        Returns:
            logits: [B, K, S, V]; those at position s are computed from columns 0 to s.
        """
        check_tokens(sequence, self.config.num_codebooks, self.config.codebook_size + self.config.special_tokens)
        condition = None
        if states is not None:
            condition = self.project_text(states, states.new_ones(states.shape[:2]) if mask is None else mask)
        return self.logits(self.decoder(self.embed(sequence), self.decoder.prepare(condition)))

    def start(self, rows: int, steps: int, condition: Condition | None = None) -> GenerationState:
        """Prepare to generate: the prompt's keys and values once, and room for `steps` columns of `rows` sequences.

        The condition belongs to the first rows; with guidance the others are the unconditional half, which skips
        cross-attention: without biases that equals attending to zeros.
        """
        return GenerationState(self.decoder.prepare(condition), self.decoder.new_cache(rows, steps))

    @torch.no_grad()
    def step(self, columns: Tensor, state: GenerationState) -> Tensor:
        """Logits [B, K, V] after the next column(s) int64 [B, K, n] of a generation that `start` began; no gradient."""
        x = self.embed(columns, state.cache.length)  # [B, n, D]
        x = self.decoder(x, state.conditions, state.cache)  # [B, n, D]
        return self.logits(x[:, -1:])[:, :, 0]  # [B, K, V]

    def embed(self, columns: Tensor, first: int = 0) -> Tensor:
        """Columns [B, K, S], the first of them at position `first`, to vectors [B, S, D]."""
        S = columns.shape[2]
        self.grow_positions(first + S)
        return self.embedding(columns) + self.positions[first : first + S]

    def logits(self, x: Tensor) -> Tensor:
        """The decoder's vectors [B, S, D] through the K heads: [B, K, S, V]."""
        return self.heads(x).unflatten(-1, (self.config.num_codebooks, self.config.codebook_size)).transpose(1, 2)

    def grow_positions(self, steps: int) -> None:
        """Make the table of positions at least that long."""
        if steps > len(self.positions):
            self.positions = sinusoidal_positions(2 * steps, self.config.dim).to(self.positions)


def codebook_loss(logits: Tensor, codes: Tensor, valid: Tensor, counts: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each codebook over its valid positions, and the mean of those over the codebooks.

    Args:
        logits: [B, K, S, V].
        codes: targets int64 [B, K, S]; what stands in invalid positions is not looked at.
        valid: bool [K, S] or [B, K, S]; each codebook needs at least one valid position.
        counts: what the sums over the valid positions are divided by, [K]; None is their number. Where a batch is
            computed in parts, give each part the counts of the whole: the losses of the parts then add up to it.

    Returns:
        loss: a scalar in nats; per codebook: [K].
    """
    B, K, S, V = check_shape("logits", logits, "B K S V")
    check_shape("codes", codes, "B K S", B=B, K=K, S=S)
    valid = valid.expand(B, K, S)
    targets = codes.masked_fill(~valid, 0).transpose(1, 2)  # [B, S, K], as the heads lay their logits out: no copy
    nats = (
        F.cross_entropy(logits.transpose(1, 2).reshape(-1, V).float(), targets.flatten(), reduction="none")
        .view(B, S, K)
        .transpose(1, 2)
    )  # [B, K, S]
    if counts is None:
        counts = valid.sum((0, 2))  # [K]
        if not (counts > 0).all():
            raise ValueError(f"each codebook needs at least one valid position, but the counts are {counts.tolist()}")
    per_codebook = (nats * valid).sum((0, 2)) / counts  # [K]
    return per_codebook.mean(), per_codebook


def count_parameters(module: nn.Module) -> int:
    """The number of trainable numbers in a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def on_meta(config: LMConfig) -> MusicgenLM:
    """A model without memory for its weights, to count and to name them: large takes no longer than small."""
    with torch.device("meta"):
        return MusicgenLM(config)
