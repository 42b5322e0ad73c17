"""Prompts from Chinese to English by a translation model that the user names, because MusicGen reads English only."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import torch

from ..errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LONGEST_OUTPUT = 128  # tokens; a prompt is a sentence or two
CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")


def has_chinese(text: str) -> bool:
    """Whether a text holds at least one Chinese character."""
    return CHINESE.search(text) is not None


class Translator:
    """One direction of translation, greedy, so that the same prompt always gives the same words.

    Args:
        model: an encoder and decoder of `transformers`.
        tokenizer: the one it was trained with.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        self.model, self.tokenizer = model.eval(), tokenizer

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike) -> Translator:
        """Load a translation model from Chinese to English.

        Args:
            name: a folder, or a hub name such as "Helsinki-NLP/opus-mt-zh-en", which is fetched once.

        Raises:
            CheckpointError: it is not there, is no translation model, or translates between many languages.
        """
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            model, found = AutoModelForSeq2SeqLM.from_pretrained(
                name, output_loading_info=True, trust_remote_code=False
            )
        except ImportError as error:
            missing = "sentencepiece" if "sentencepiece" in str(error).lower() else first_line(error)
            raise CheckpointError(f"the translator {name} needs a package that is not installed: {missing}") from error
        except (OSError, ValueError, KeyError) as error:
            if "trust_remote_code" in str(error):
                raise CheckpointError(f"{name} wants to run code of its own, which is not done") from error
            raise CheckpointError(f"{name} cannot be loaded as a translation model: {first_line(error)}") from error
        except Exception as error:  # each library that reads one of the files has failures of its own
            raise CheckpointError(
                f"{name} cannot be loaded as a translation model: a file is missing or damaged ({first_line(error)})"
            ) from error
        if found["missing_keys"]:  # `transformers` would go on with random numbers in their place
            raise CheckpointError(
                f"{name} cannot be loaded as a translation model: it lacks the weights {min(found['missing_keys'])}"
            )
        if hasattr(tokenizer, "src_lang"):
            raise CheckpointError(
                f"{name} translates between many languages: name a model from Chinese to English alone, "
                "such as Helsinki-NLP/opus-mt-zh-en"
            )
        return cls(model, tokenizer)

    @torch.no_grad()
    def __call__(self, text: str) -> str:
        """Translate a text.

        Raises:
            ValueError: the translation has no words.
        """
        tokens = self.tokenizer(text, return_tensors="pt", truncation=True)
        names = ("input_ids", "attention_mask")
        made = self.model.generate(
            **{name: tokens[name] for name in names}, num_beams=1, do_sample=False, max_new_tokens=LONGEST_OUTPUT
        )
        words = self.tokenizer.decode(made[0], skip_special_tokens=True).strip()
        if not words:
            raise ValueError("the translator gave no words for this prompt")
        return words


def first_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
