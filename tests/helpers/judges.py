"""The judge: models of `transformers` with small random weights, and the same weights in ours."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import EncodecConfig as TheirCodecConfig
from transformers import EncodecModel as TheirCodec
from transformers import MusicgenConfig, MusicgenForCausalLM, MusicgenForConditionalGeneration, T5Config

from musicgen_edu.checkpoints.load import load_codec, load_lm
from musicgen_edu.checkpoints.published import codec_config, lm_config
from musicgen_edu.checkpoints.weights import StateReader
from musicgen_edu.model.encodec import EncodecModel
from musicgen_edu.model.lm import MusicgenLM

PUBLISHED_CODEC = {  # facebook/encodec_32khz
    "sampling_rate": 32000,
    "num_filters": 64,
    "upsampling_ratios": [8, 5, 4, 4],
    "codebook_size": 2048,
    "target_bandwidths": [2.2],
    "use_causal_conv": False,
    "use_conv_shortcut": False,
}
SMALL_CODEC = {
    **PUBLISHED_CODEC,
    "sampling_rate": 800,
    "num_filters": 4,
    "upsampling_ratios": [4, 2, 2],
    "hidden_size": 12,
    "codebook_size": 16,
    "target_bandwidths": [0.8],
    "num_lstm_layers": 1,
}
SMALL_DECODER = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "ffn_dim": 48,
    "num_codebooks": 4,
    "vocab_size": 16,
    "max_position_embeddings": 64,
    "bos_token_id": 16,
    "pad_token_id": 16,
    "dropout": 0.0,
}
SMALL_TEXT = {
    "vocab_size": 40,
    "d_model": 24,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 1,
    "num_heads": 3,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.0,
}


def spread(model: torch.nn.Module) -> None:
    """Give every weight a size that matters, so that a wrong one shows; zero biases and equal codes hide faults."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("bias", "norm.weight")) and tensor.is_floating_point():
                tensor.add_(0.02 * torch.randn_like(tensor))
            elif "lm_heads" in name or "embed_tokens" in name:
                tensor.normal_(std=0.3)
            elif name.endswith("proj.weight") or ".fc" in name:
                tensor.normal_(std=tensor.shape[1] ** -0.5)  # else attention hardly moves a logit


@torch.no_grad()
def fit_codebooks(codec: TheirCodec) -> None:
    """Spread each codebook over what its stage gets, else a random encoder's frames all choose the same code."""
    config = codec.config
    residual = codec.encoder(torch.randn(1, config.audio_channels, 40 * config.hop_length) * 0.3)  # [1, D, T]
    for layer in codec.quantizer.layers:
        mean, deviation = residual.mean(2), residual.std(2)  # [1, D]
        layer.codebook.embed.copy_(mean + deviation * torch.randn_like(layer.codebook.embed))
        residual = residual - layer.decode(layer.encode(residual))


def their_codec(**changes) -> TheirCodec:
    """An EnCodec of `transformers` with random weights and codebooks that fit them."""
    model = TheirCodec(TheirCodecConfig(**{**SMALL_CODEC, **changes})).eval()
    spread(model)
    fit_codebooks(model)
    return model


def state_reader(tensors, prefix: str = "") -> StateReader:
    return StateReader({prefix + name: tensor for name, tensor in tensors.items()}, "test weights")


def our_codec(theirs: TheirCodec) -> EncodecModel:
    """The same codec in our code, through the real loading path."""
    with torch.device("meta"):
        ours = EncodecModel(codec_config(theirs.config.to_dict()))
    reader = state_reader(theirs.state_dict(), "audio_encoder.")
    load_codec(ours, reader)
    reader.check_all_used()
    return ours.eval()


def their_musicgen(decoder: dict | None = None, **codec) -> MusicgenForConditionalGeneration:
    """A whole MusicGen of `transformers` with random weights."""
    config = MusicgenConfig(
        text_encoder=T5Config(**SMALL_TEXT).to_dict() | {"model_type": "t5"},
        audio_encoder={"model_type": "encodec", **SMALL_CODEC, **codec},
        decoder={"model_type": "musicgen_decoder", **SMALL_DECODER, **(decoder or {})},
    )
    model = MusicgenForConditionalGeneration(config).eval()
    spread(model)
    fit_codebooks(model.audio_encoder)
    model.generation_config.update(
        do_sample=False, guidance_scale=3.0, decoder_start_token_id=config.decoder.pad_token_id,
        bos_token_id=config.decoder.pad_token_id, pad_token_id=config.decoder.pad_token_id,
    )  # fmt: skip
    return model


def our_lm(theirs: MusicgenForConditionalGeneration | MusicgenForCausalLM, text_dim: int | None = None) -> MusicgenLM:
    """The language model of a MusicGen of `transformers` in our code, through the real loading path."""
    decoder = theirs.config if isinstance(theirs, MusicgenForCausalLM) else theirs.config.decoder
    tensors = theirs.state_dict()
    if isinstance(theirs, MusicgenForCausalLM):
        tensors, text_dim = {f"decoder.{name}": t for name, t in tensors.items()}, decoder.hidden_size
    config = {"decoder": decoder.to_dict(), "text_encoder": {"d_model": text_dim or theirs.config.text_encoder.d_model}}
    with torch.device("meta"):
        ours = MusicgenLM(lm_config(config))
    load_lm(ours, state_reader(tensors))
    return ours.eval()


def save_musicgen(model: MusicgenForConditionalGeneration, folder: Path) -> Path:
    """Write a MusicGen of `transformers` as a published folder, with a small word tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [
        "<pad>",
        "</s>",
        "<unk>",
        "a",
        "calm",
        "fast",
        "bell",
        "organ",
        "melody",
        "in",
        "c",
        "minor",
        "major",
        "no",
        "drums",
        "with",
        "slow",
        "piano",
        "and",
    ]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder
