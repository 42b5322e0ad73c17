"""Translation of Chinese prompts: a small random translation model stands in for a trained one."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

from musicgen_edu import CheckpointError
from musicgen_edu.translation import Translator, has_chinese

WORDS = ["<pad>", "</s>", "<unk>", "平", "静", "的", "铃", "声", "calm", "bell", "music", "drums"]
EOS = WORDS.index("</s>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Marian model with random weights, and a tokenizer that knows a few characters."""
    folder = tmp_path_factory.mktemp("translator")
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )
    fast.save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = MarianConfig(
        vocab_size=len(WORDS), d_model=16, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=160,
        pad_token_id=0, eos_token_id=EOS, decoder_start_token_id=0, forced_eos_token_id=None, **sizes,
    )  # fmt: skip
    model = MarianMTModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                # What is read must outweigh what was said last, or all texts are translated alike.
                parameter.normal_(std=2.0 if "encoder_attn" in name else 0.3)
    model.generation_config.bad_words_ids = None
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def translator(folder) -> Translator:
    return Translator.from_pretrained(folder)


@pytest.mark.parametrize(
    "text,expected",
    [
        ("平静的铃声", True),
        ("a calm 铃", True),
        ("", False),
        ("a calm bell", False),
        ("ピアノ", False),
        ("né à Paris", False),
        ("\U00020000", True),
    ],
)
def test_chinese_is_seen(text, expected):
    assert has_chinese(text) is expected


def by_hand(translator: Translator, text: str, most: int = 20) -> list[int]:
    """The likeliest token after the likeliest token, from whole forward passes."""
    ids = [[WORDS.index(character) for character in text] + [EOS]]
    made = [0]
    while made[-1] != EOS and len(made) <= most:
        with torch.no_grad():
            logits = translator.model(input_ids=torch.tensor(ids), decoder_input_ids=torch.tensor([made])).logits
        made.append(int(logits[0, -1].argmax()))
    return made[1:]


def test_it_is_the_greedy_translation_and_the_same_each_time(translator, monkeypatch):
    monkeypatch.setattr("musicgen_edu.translation.LONGEST_OUTPUT", 20)
    translations = set()
    for text in ("平静的铃声", "铃", "声声的"):
        made = by_hand(translator, text)
        words = translator(text)
        expected = translator.tokenizer.decode(made[:20], skip_special_tokens=True).strip()
        assert words == expected == translator(text)
        translations.add(words)
    assert len(translations) > 1, "the text makes no difference"


def test_a_translation_without_words_is_an_error(translator, monkeypatch):
    monkeypatch.setattr(translator.model, "generate", lambda **inputs: torch.tensor([[0, EOS]]))
    with pytest.raises(ValueError, match="no words"):
        translator("铃")


def test_what_is_no_translator_is_refused(tmp_path, folder):
    with pytest.raises(CheckpointError, match=r"no/such/model cannot be loaded as a translation model: [^\n]+$"):
        Translator.from_pretrained("no/such/model")
    with pytest.raises(CheckpointError, match="cannot be loaded as a translation model"):
        Translator.from_pretrained(tmp_path)


def test_a_model_of_many_languages_is_refused(folder, monkeypatch):
    monkeypatch.setattr(PreTrainedTokenizerFast, "src_lang", "zh", raising=False)
    with pytest.raises(CheckpointError, match="many languages"):
        Translator.from_pretrained(folder)


def test_a_tokenizer_whose_package_is_missing_is_named(folder, monkeypatch):
    def missing(name):
        raise ImportError("MarianTokenizer requires the SentencePiece library\nand more")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", missing)
    with pytest.raises(CheckpointError, match=r"needs a package that is not installed: sentencepiece$"):
        Translator.from_pretrained(folder)
