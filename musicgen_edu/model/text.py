"""Text to states: a frozen T5 encoder and its tokenizer, both from `transformers` (lesson 07)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, T5EncoderModel


class TextEncoder(nn.Module):
    """Prompts to one vector a token.

    Args:
        model: a T5 encoder.
        tokenizer: the one it was trained with.
    """

    def __init__(self, model: T5EncoderModel, tokenizer: PreTrainedTokenizerBase):
        super().__init__()
        self.model, self.tokenizer = model, tokenizer

    @torch.no_grad()
    def forward(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """Encode prompts.

        Args:
            prompts: B texts; one that is empty, or of which the tokenizer leaves nothing but the end, means "no
                condition" and gets a mask of zeros.

        Returns:
            states: [B, L, text_dim]; mask: bool [B, L], true where a state belongs to a token of the prompt.

        Raises:
            ValueError: no prompts, or one that is not a string.
        """
        check_prompts(prompts)
        tokens = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.model.device)
        states = self.model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        mask, end = tokens.attention_mask.bool(), len(self.tokenizer("").input_ids)
        spoken = torch.tensor([bool(prompt.strip()) for prompt in prompts], device=states.device)
        return states, mask & (spoken & (mask.sum(1) > end))[:, None]

    def tokens(self, prompt: str) -> list[str]:
        """The pieces that the tokenizer cuts a prompt into, for labels; the last one is the end of the sentence."""
        return self.tokenizer.convert_ids_to_tokens(self.tokenizer(prompt).input_ids)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint's folder."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    # transformers looks at config.json, too, and warns that the special token is no code. It is not meant to be one.
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    finally:
        logging.set_verbosity(verbosity)


def check_prompts(prompts: list[str]) -> None:
    """Raise a `ValueError` unless prompts is a list of at least one string."""
    if isinstance(prompts, str):
        raise ValueError(f"prompts must be a list of strings: write [{prompts!r}] for a single one")
    if not prompts:
        raise ValueError("prompts is empty: give at least one text, or [''] for music without a prompt")
    for prompt in prompts:
        if not isinstance(prompt, str):
            raise ValueError(f"each prompt must be a string, not {type(prompt).__name__}")
