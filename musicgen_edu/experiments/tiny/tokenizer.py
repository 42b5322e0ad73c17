"""The tokenizer of the shipped model: merges learned from captions, and a spelling that keeps a newcomer's words.

What the model knows are words that begin after a space. Whatever else people type around them, line breaks, quotes,
full stops, emoji, becomes a space or a comma before the text is cut; a caption of the training stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.captions import WORDS, caption
from ...data.pieces import random_piece

if TYPE_CHECKING:
    from tokenizers import normalizers
    from transformers import PreTrainedTokenizerFast

TEXT_SEED, CAPTIONS, PIECES = 1, 20_000, 384

# Words that a user may write and that promise nothing the model could keep: it learns not to mind them.
FILLERS = (
    "a beautiful", "a little", "nice", "lovely", "short", "instrumental", "solo", "background", "please", "some",
    "for a film", "for studying", "in the evening", "with feeling", "of the sea", "and", "very", "the", "music",
)  # fmt: skip


def with_fillers(text: str, rng: np.random.Generator) -> str:
    """Put up to two words that promise nothing somewhere into a caption."""
    words = text.split(" ")
    for _ in range(int(rng.choice(3, p=(0.6, 0.25, 0.15)))):
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(FILLERS)))
    return " ".join(words)


def compounds() -> list[str]:
    """The words of the captions that are written with a hyphen: any other hyphen stands between two words."""
    words = " ".join(phrase for phrases in WORDS.values() for phrase in phrases).split()
    return sorted({word for word in words if "-" in word})


def spelling() -> normalizers.Normalizer:
    """What becomes of a prompt before it is cut: lower case, one space between words, commas between parts.

    The alphabet of the captions is a to z, digits, comma, and the hyphen of their compounds. Letters of other scripts
    stay, each an `<unk>`; what is no letter and no digit becomes a space, as in the tokenizer of the published T5.
    """
    from tokenizers import Regex, normalizers

    halves = [word.split("-") for word in compounds()]
    inside = "|".join(rf"(?<=\b{left})-(?={right}\b)" for left, right in halves)
    changes = (
        (r"[\p{M}\u00ad]", ""),  # what NFKD has taken off a letter, other marks on letters, and the soft hyphen
        (r"[\p{Pd}\u2212]", "-"),  # dashes, and the minus
        (r"[.;:!?\u3001\u3002\u060c\u061b\u061f]", ","),  # marks between the parts of a text
        (r"[^\p{Ll}\p{Lu}\p{Lo}\p{Nd},\-]|[\u115f\u1160]", " "),  # the last two count as letters and are blank
        (rf"(?!{inside})-", " "),
        (r"(?<=[0-9])(?=\p{L})|(?<=\p{L})(?=[0-9])", " "),  # 150bpm
        (r"(?<=[a-z])(?=[^\x00-\x7f])|(?<=[^\x00-\x7f])(?=[a-z])", " "),  # a script without spaces beside a word
        (r"[ ,]*,[ ,]*", ", "),
        (r" +", " "),
        (r"^[ ,]+|[ ,]+$", ""),
    )
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"[\u2122\u2120\u00aa\u00ba]"), " "),  # NFKD would make letters of them
            normalizers.NFKD(),
            normalizers.Lowercase(),
            *(normalizers.Replace(Regex(pattern), text) for pattern, text in changes),
            normalizers.NFC(),
        ]
    )


def train_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A tokenizer of our own: byte-pair merges of 20,000 captions, with every letter as a piece of last resort.

    It is written to `folder`/tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    rng = np.random.default_rng(TEXT_SEED)
    texts = [with_fillers(caption(random_piece(rng), rng), rng) for _ in range(CAPTIONS)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = spelling()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'()-"),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )
    wrapped.save_pretrained(folder / "tokenizer")
    return wrapped
