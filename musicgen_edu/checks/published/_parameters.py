"""Answers to exercise 5, right and wrong."""

from __future__ import annotations

import torch

from ...model.lm import LMConfig, MusicgenLM

PARTS = ("embedding", "decoder", "heads", "text projection")


def counted(config: LMConfig) -> dict[str, int]:
    D, K, V, F = config.dim, config.num_codebooks, config.codebook_size, config.feed_forward
    return {
        "embedding": K * (V + 1) * D,
        "decoder": config.layers * (8 * D * D + 2 * D * F + 6 * D) + 2 * D,
        "heads": K * V * D,
        "text projection": config.text_dim * D + D,
    }


def measured(config: LMConfig) -> dict[str, int]:
    """The same of the library's model, which is built without memory."""
    with torch.device("meta"):
        model = MusicgenLM(config)
    modules = (model.embedding, model.decoder, model.heads, model.text_projection)
    return {name: sum(one.numel() for one in part.parameters()) for name, part in zip(PARTS, modules, strict=True)}


def _but(config, **parts):
    return counted(config) | {name.replace("_", " "): count for name, count in parts.items()}


def _layers(config, attention=8.0, matrices=2, attention_bias=0, feed_forward_bias=0, norms=6, final=2, F=None):
    """The decoder with other counts, in units of D * D, D * F and D."""
    D, F = config.dim, F or config.feed_forward
    layer = int(attention * D * D) + matrices * D * F + (attention_bias + norms) * D + feed_forward_bias * (D + F)
    return _but(config, decoder=config.layers * layer + final * D)


def total(config):
    return sum(counted(config).values())


def one_table(config):
    return _but(config, embedding=(config.codebook_size + 1) * config.dim)


def no_special(config):
    return _but(config, embedding=config.num_codebooks * config.codebook_size * config.dim)


def shared_special(config):
    return _but(config, embedding=(config.num_codebooks * config.codebook_size + 1) * config.dim)


def learned_positions(config):
    return _but(config, embedding=counted(config)["embedding"] + config.max_steps * config.dim)


def special_heads(config):
    return _but(config, heads=config.num_codebooks * (config.codebook_size + 1) * config.dim)


def biased_heads(config):
    return _but(config, heads=config.num_codebooks * config.codebook_size * (config.dim + 1))


def one_head(config):
    return _but(config, heads=config.codebook_size * config.dim)


def tied_heads(config):
    return _but(config, heads=0)


def unbiased_projection(config):
    return _but(config, text_projection=config.text_dim * config.dim)


def bias_of_text(config):
    return _but(config, text_projection=config.text_dim * config.dim + config.text_dim)


def no_cross_attention(config):
    return _layers(config, attention=4, norms=4)


def one_attention(config):
    return _layers(config, attention=4)


def heads_apart(config):
    """Four matrices D * D for each head."""
    return _layers(config, attention=8 * config.num_heads)


def text_wide_keys(config):
    """Keys and values of cross-attention straight from the text encoder's states."""
    D = config.dim
    extra = 2 * D * config.text_dim - 2 * D * D
    return _but(config, decoder=counted(config)["decoder"] + config.layers * extra)


def no_output_projection(config):
    return _layers(config, attention=6)


def biased_attention(config):
    return _layers(config, attention_bias=8)


def biased_feed_forward(config):
    return _layers(config, feed_forward_bias=1)


def gated(config):
    return _layers(config, matrices=3)


def one_matrix(config):
    return _layers(config, matrices=1)


def two_norms(config):
    return _layers(config, norms=4)


def norms_unbiased(config):
    return _layers(config, norms=3, final=1)


def four_times_wide(config):
    return _layers(config, F=4 * config.dim)


def no_final_norm(config):
    return _layers(config, final=0)


def norm_in_each(config):
    return _layers(config, norms=8, final=0)


def added_up(config):
    """Matrix after matrix."""
    D, parts = config.dim, dict.fromkeys(PARTS, 0)
    for _ in range(config.num_codebooks):
        parts["embedding"] += config.codebook_size * D + D
        parts["heads"] += config.codebook_size * D
    norm = D + D
    for _ in range(config.layers):
        for _ in ("self", "cross"):
            parts["decoder"] += 3 * D * D + D * D + norm
        parts["decoder"] += norm + D * config.feed_forward + config.feed_forward * D
    parts["decoder"] += norm
    parts["text projection"] = (config.text_dim + 1) * D
    return parts


def of_layers(config):
    """Counted on torch's own layers, built without memory."""
    D, K, V = config.dim, config.num_codebooks, config.codebook_size
    options = {"bias": False, "device": "meta"}

    def size(*modules):
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    attention = size(torch.nn.MultiheadAttention(D, 1, **options))
    norm = size(torch.nn.LayerNorm(D, device="meta"))
    ends = size(torch.nn.Linear(D, config.feed_forward, **options), torch.nn.Linear(config.feed_forward, D, **options))
    return {
        "embedding": K * size(torch.nn.Embedding(V + 1, D, device="meta")),
        "decoder": config.layers * (2 * attention + ends + 3 * norm) + norm,
        "heads": K * size(torch.nn.Linear(D, V, **options)),
        "text projection": size(torch.nn.Linear(config.text_dim, D, device="meta")),
    }
