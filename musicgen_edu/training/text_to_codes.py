"""What is trained: captions and a sequence of codes in, logits out; and where the text encoder comes from."""

from __future__ import annotations

import os
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints import published
from ..checkpoints.load import load_text_model
from ..checkpoints.locate import find
from ..checkpoints.parts import open_text
from ..model.lm import MusicgenLM
from ..model.text import TextEncoder, load_tokenizer

HUB_NAMES = {"t5-small": "google-t5/t5-small", "t5-base": "google-t5/t5-base"}


class TextToCodes(nn.Module):
    """Text encoder and language model.

    Args:
        text: encoder and tokenizer.
        lm: the language model.
        frozen: use the text encoder as it is, as MusicGen does with its T5: no gradient, no dropout, and neither
            parameters nor state of this module. Else both are trained together, from scratch.
    """

    def __init__(self, text: TextEncoder, lm: MusicgenLM, frozen: bool = False):
        super().__init__()
        self.frozen, self.tokenizer, self.lm = frozen, text.tokenizer, lm
        if frozen:
            object.__setattr__(self, "text_model", text.model.eval())  # past nn.Module, which would adopt it
        else:
            self.text_model = text.model

    def _apply(self, fn, recurse: bool = True):
        if self.frozen:  # it moves along, to whatever device
            self.text_model._apply(fn)
        return super()._apply(fn, recurse)

    def __deepcopy__(self, memo: dict) -> TextToCodes:
        """A copy, for averaged weights; what is frozen is the same in both."""
        memo |= {id(self.tokenizer): self.tokenizer} | ({id(self.text_model): self.text_model} if self.frozen else {})
        memo[id(self)] = copy = self.__class__.__new__(self.__class__)
        copy.__dict__ = deepcopy(self.__dict__, memo)
        return copy

    def encode(self, captions: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """States [B, L, text_dim] of captions, and bool [B, L] which of them are words; an empty caption has none."""
        tokens = self.tokenizer(captions, padding=True, return_tensors="pt").to(device)
        with torch.no_grad() if self.frozen else nullcontext():
            states = self.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        words = torch.tensor([bool(caption.strip()) for caption in captions], device=device)
        return states, tokens.attention_mask.bool() & words[:, None]

    def forward(self, captions: list[str], sequence: Tensor, dropped: Tensor) -> Tensor:
        """Logits [B, K, S, V] for a sequence [B, K, S]; rows where `dropped` [B] is true see no caption."""
        states, mask = self.encode(captions, sequence.device)
        return self.lm(sequence, states, mask & ~dropped[:, None])


def read_text_encoder(name: str | os.PathLike = "tiny") -> TextEncoder:
    """A T5 encoder and its tokenizer.

    Args:
        name: "tiny" is that of the model that comes with the package; "t5-small" and "t5-base" are the published ones
            (MusicGen has the latter); else the folder of a T5 or of a whole MusicGen, or a hub name.

    Raises:
        CheckpointError: there is no such thing, or it is no T5.
    """
    if name == "tiny" or ((Path(name) / "config.json").is_file() and _is_musicgen(Path(name))):
        folder = find(name)
        state, config = open_text(folder)
        text_model = load_text_model(config, state)
        return TextEncoder(text_model, load_tokenizer(folder, text_model.config.vocab_size))
    return _read_t5(HUB_NAMES.get(str(name), str(name)))


def _is_musicgen(folder: Path) -> bool:
    try:
        published.read_config(folder)
    except published.CheckpointError:
        return False
    return True


def _read_t5(name: str) -> TextEncoder:
    from transformers import AutoConfig, AutoTokenizer, T5EncoderModel
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # that the decoder's weights are not used is as it should be
    try:
        kind = AutoConfig.from_pretrained(name, trust_remote_code=False).model_type
        if kind != "t5":
            raise published.CheckpointError(f"{name} is no T5 but a model of the kind {kind}")
        model = T5EncoderModel.from_pretrained(name).eval()
        if Path(name).is_dir():
            return TextEncoder(model, load_tokenizer(Path(name), model.config.vocab_size))
        return TextEncoder(model, AutoTokenizer.from_pretrained(name, trust_remote_code=False))
    except published.CheckpointError:
        raise
    except (OSError, ImportError, KeyError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise published.CheckpointError(f"{name} cannot be used as text encoder: {reason}") from error
    finally:
        logging.set_verbosity(verbosity)
