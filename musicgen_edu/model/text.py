"""Text to states: a frozen T5 encoder and its tokenizer, both from `transformers` (lesson 07)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from .settings import LONGEST_PROMPT
from .values import half_character, shown

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
            ValueError: no prompts, or one that is no string of whole characters.
        """
        prompts = check_prompts(prompts)
        tokens = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.model.device)
        states = self.model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        mask, end = tokens.attention_mask.bool(), len(self.tokenizer("").input_ids)
        spoken = torch.tensor([bool(prompt.strip()) for prompt in prompts], device=states.device)
        return states, mask & (spoken & (mask.sum(1) > end))[:, None]

    def train(self, mode: bool = True) -> TextEncoder:
        """It is frozen: no dropout, whatever the rest of a model is about to do."""
        return super().train(False)

    def tokens(self, prompt: str) -> list[str]:
        """The pieces that the tokenizer cuts a prompt into, for labels; the last one is the end of the sentence."""
        check_prompt(prompt)
        return self.tokenizer.convert_ids_to_tokens(self.tokenizer(prompt).input_ids)


TOKENIZER_FILES = ("tokenizer.json", "spiece.model")  # a T5's tokenizer is in either


def load_tokenizer(folder: Path, vocab_size: int) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint's folder.

    Args:
        folder: with `tokenizer.json` or `spiece.model`; code that lies there is not run.
        vocab_size: rows in the text encoder's table of words.

    Raises:
        CheckpointError: there is none, it cannot be read, or it does not belong to this text encoder.
    """
    from transformers import AutoTokenizer, T5Config
    from transformers.utils import logging

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):  # `transformers` would make one without words
        raise CheckpointError(
            f"{folder} has no tokenizer, neither {' nor '.join(TOKENIZER_FILES)}: without one no word is understood; "
            "copy or download it, too"
        )
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        # As that of a T5: config.json is of a MusicGen, and `transformers` would read and judge all of it.
        options = {"config": T5Config(), "local_files_only": True, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        rows = tokenizer(["a calm bell", ""], padding=True, return_tensors="pt").input_ids  # the way of each prompt
        words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
        most = max(int(rows.max()), *tokenizer.get_vocab().values())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # each of its files has failures of its own; a panic of Rust is no Exception
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"the tokenizer in {folder} cannot be used: {reason}; copy or download it again"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    if not any(word.strip("\u2581 ") for word in words):  # U+2581 stands for a space
        raise CheckpointError(f"the tokenizer in {folder} knows no words; copy or download it again")
    if most >= vocab_size:
        raise CheckpointError(
            f"the tokenizer in {folder} is not that of this model: its tokens reach to {most}, the text encoder's to "
            f"{vocab_size - 1}"
        )
    return tokenizer


def check_prompts(prompts: list[str], name: str = "prompt") -> list[str]:
    """Prompts as a list.

    Raises:
        ValueError: a single string, none at all, something that is no string, or half a character in one.
    """
    if isinstance(prompts, str):
        raise ValueError(f"{name}s must be a list of strings: write [{prompts!r}] for a single one")
    try:
        prompts = list(prompts)
    except TypeError:
        raise ValueError(f"{name}s must be a list of strings, not {shown(prompts)}") from None
    if not prompts:
        raise ValueError(f"{name}s is empty: give at least one text, or [''] for music without a prompt")
    for prompt in prompts:
        check_prompt(prompt, name)
    return prompts


def check_prompt(prompt: str, name: str = "prompt") -> None:
    """Raise a `ValueError` unless a prompt is a string of whole characters, and no more than a model should read."""
    if not isinstance(prompt, str):
        raise ValueError(f"each {name} must be a string, not {type(prompt).__name__}")
    if len(prompt) > LONGEST_PROMPT:
        raise ValueError(f"a {name} must have at most {LONGEST_PROMPT} characters, not {len(prompt)}: shorten it")
    if half := half_character(prompt):
        raise ValueError(
            f"a {name} holds half a character, {half}: it comes from a cut text, or bytes that are not UTF-8"
        )
