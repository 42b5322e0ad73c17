"""Translation of Chinese prompts: a small random translation model stands in for a trained one."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import MarianConfig, MarianMTModel, PreTrainedTokenizerFast

from helpers.instrument import service, words
from musicgen_edu import CheckpointError
from musicgen_edu.app.request import Request
from musicgen_edu.app.translation import Translator, has_chinese
from musicgen_edu.cli.main import main

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
    model = MarianMTModel(marian_config(len(WORDS), EOS, 0))
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
    monkeypatch.setattr("musicgen_edu.app.translation.LONGEST_OUTPUT", 20)
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


def test_code_that_lies_beside_a_translator_is_not_run(folder, tmp_path, monkeypatch):
    """`transformers` would ask, and run it after a "y"."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    code = f"open({str(tmp_path / 'ran')!r}, 'w').close()\nfrom transformers import MarianConfig as Own\n"
    (copy / "own.py").write_text(code)
    own = {"AutoConfig": "own.Own", "AutoModelForSeq2SeqLM": "own.Own", "AutoTokenizer": ["own.Own", "own.Own"]}
    changed = {"config.json": {"model_type": "own"}, "tokenizer_config.json": {"tokenizer_class": "Own"}}
    for name, changes in changed.items():
        settings = json.loads((copy / name).read_text())
        (copy / name).write_text(json.dumps({**settings, **changes, "auto_map": own}))
    monkeypatch.setattr("builtins.input", lambda *words: "y")
    with pytest.raises(CheckpointError, match=r"wants to run code of its own, which is not done$"):
        Translator.from_pretrained(copy)
    assert not (tmp_path / "ran").exists()


def test_a_model_of_many_languages_is_refused(folder, monkeypatch):
    monkeypatch.setattr(PreTrainedTokenizerFast, "src_lang", "zh", raising=False)
    with pytest.raises(CheckpointError, match="many languages"):
        Translator.from_pretrained(folder)


def test_a_tokenizer_whose_package_is_missing_is_named(folder, monkeypatch):
    def missing(name, **options):
        raise ImportError("MarianTokenizer requires the SentencePiece library\nand more")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", missing)
    with pytest.raises(CheckpointError, match=r"needs a package that is not installed: sentencepiece$"):
        Translator.from_pretrained(folder)


# ---- a Marian folder as the published ones are ---------------------------------------------------------------------

CHINESE = ["平静的铃声", "快速欢乐的旋律，有鼓", "悲伤的管风琴曲", "八十年代流行乐，合成器与鼓", "轻快的电子舞曲"]
ENGLISH = ["a calm bell", "a fast happy melody, with drums", "a sad organ piece", "80s pop with synth and drums"]


@pytest.fixture(scope="module")
def marian(tmp_path_factory):
    """The files of a published translation model: two sentencepiece models, a vocabulary, random weights."""
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("marian")
    pieces = []
    for side, lines in (("source", CHINESE), ("target", ENGLISH)):
        where = folder / side
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines * 9), model_prefix=str(where), vocab_size=48, hard_vocab_limit=False,
            character_coverage=1.0, minloglevel=2,
        )  # fmt: skip
        where.with_suffix(".model").rename(where.with_suffix(".spm"))
        pieces += [line.split("\t")[0] for line in where.with_suffix(".vocab").read_text("utf-8").splitlines()]
    known = ["</s>", "<unk>", *(piece for piece in pieces if not piece.startswith("<")), "<pad>"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(known))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    tokenizer = {"tokenizer_class": "MarianTokenizer", "source_lang": "zho", "target_lang": "eng"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    MarianMTModel(marian_config(len(vocabulary), 0, vocabulary["<pad>"])).save_pretrained(folder)
    return folder


def marian_config(words: int, eos: int, pad: int) -> MarianConfig:
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    return MarianConfig(
        vocab_size=words, d_model=16, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=160,
        pad_token_id=pad, eos_token_id=eos, decoder_start_token_id=pad, forced_eos_token_id=None, **sizes,
    )  # fmt: skip


def test_a_marian_folder_translates_by_its_own_tokenizer(marian):
    from transformers import MarianTokenizer

    translator = Translator.from_pretrained(marian)
    theirs = MarianTokenizer.from_pretrained(marian)
    for text in CHINESE:
        made = translator.model.generate(**theirs(text, return_tensors="pt"), num_beams=1, max_new_tokens=128)
        assert theirs.unk_token_id not in theirs(text).input_ids
        expected = theirs.decode(made[0], skip_special_tokens=True).strip()
        assert translator(text) == expected == translator(text)


def test_the_app_shows_what_a_marian_model_made_of_a_chinese_prompt(marian, tiny):
    translator = Translator.from_pretrained(marian)
    app = service(tiny, translator)
    asked = Request("平静的铃声", seconds=0.5, seed=5)
    english = translator(asked.prompt)
    news = list(app.run(asked))
    assert ("translated", {"prompt": english}) in news[-1].lines
    assert f"“{english}”" in words(news[-1], "zh")
    expected = tiny.generate([english], 0.5, seed=5)[0]
    torch.testing.assert_close(news[-1].clip, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    translator.model.generate = lambda **inputs: (_ for _ in ()).throw(RuntimeError("broken weights\nand more"))
    broken = list(app.run(asked))[-1]
    assert broken.state == "error"
    assert words(broken) == "That went wrong: broken weights"
    assert list(app.run(replace(asked, prompt="a calm bell")))[-1].state == "done"


@pytest.mark.parametrize("file", ["source.spm", "vocab.json", "model.safetensors", "config.json"])
@pytest.mark.parametrize("harm", ["missing", "broken"])
def test_a_translator_with_a_broken_file_is_one_sentence(marian, tmp_path, capsys, file, harm):
    folder = tmp_path / "translator"
    shutil.copytree(marian, folder)
    (folder / file).unlink() if harm == "missing" else (folder / file).write_bytes(b"\x00broken")
    assert main(["app", "--translator", str(folder)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"musicgen-edu: {folder} cannot be loaded as a translation model: ")
    assert "\n" not in error


def test_a_translator_without_some_of_its_weights_is_refused(marian, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "translator"
    shutil.copytree(marian, folder)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "encoder_attn.q_proj.weight" in name)
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=f"lacks the weights {re.escape(gone)}"):
        Translator.from_pretrained(folder)


def test_a_model_that_does_not_translate_is_refused(tmp_path, capsys):
    from musicgen_edu.checkpoints import find

    assert main(["app", "--translator", str(find("tiny"))]) == 2
    assert "cannot be loaded as a translation model" in capsys.readouterr().err
