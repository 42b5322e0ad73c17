"""The shipped tokenizer: what people type around a word does not cost the word, and captions are cut as ever."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer

from musicgen_edu.checkpoints import find
from musicgen_edu.data.captions import caption
from musicgen_edu.data.pieces import random_piece
from musicgen_edu.experiments.tiny.odd_dress import dressed
from musicgen_edu.experiments.tiny.tokenizer import PIECES, train_tokenizer, with_fillers
from musicgen_edu.model.text import load_tokenizer


@pytest.fixture(scope="module")
def shipped() -> Tokenizer:
    return Tokenizer.from_file(str(find("tiny") / "tokenizer.json"))


@pytest.fixture(scope="module")
def captions() -> list[str]:
    """Plain captions, and some with words that promise nothing."""
    rng = np.random.default_rng(91)
    plain = [caption(random_piece(rng), rng) for _ in range(4000)]
    return plain + [with_fillers(text, rng) for text in plain[:1000]]


def test_the_recipe_makes_the_file_that_is_shipped(tmp_path):
    train_tokenizer(tmp_path)
    made, shipped = tmp_path / "tokenizer" / "tokenizer.json", find("tiny") / "tokenizer.json"
    assert made.read_text() == shipped.read_text()


def test_plain_captions_are_cut_as_they_were_when_the_model_was_trained(shipped, captions):
    """It was trained with compatible forms and lower case alone."""
    then = Tokenizer.from_str(shipped.to_str())
    then.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    was, now = then.encode_batch(captions), shipped.encode_batch(captions)
    assert [one.ids for one in now] == [one.ids for one in was]
    assert not any(2 in one.ids for one in now), "no caption has an unknown letter"


def test_transformers_and_the_library_read_it_alike(shipped, captions):
    rng = np.random.default_rng(92)
    texts = captions[:100] + [dressed(text, rng) for text in captions[100:200]]
    wanted = [one.ids for one in shipped.encode_batch(texts)]
    assert AutoTokenizer.from_pretrained(find("tiny"))(texts).input_ids == wanted
    assert load_tokenizer(find("tiny"), PIECES)(texts).input_ids == wanted


PLAIN = "a slow bell melody"
BETWEEN = [
    "\n", "\r\n", "\r", "\t", "\v", "\f", "\x1c", "\x1f", "\x85", "\x00", "  ", " \n ", "\u00a0", "\u1680", "\u180e",
    *(chr(code) for code in range(0x2000, 0x2010)),  # spaces, zero-width ones, marks of direction
    "\u2028", "\u2029", "\u202a", "\u202f", "\u205f", "\u2060", "\u2066", "\u2800", "\u3000", "\u3164", "\ufeff",
    "\ufffd", "-", " - ", "--", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212", "\u30fb",
    "\uff0d", "/", "\\", "|", "_", "+", "&", "=", "~", "@", "#", "*", "^", "%", "$", "`", "·", "•", "→", "🎵", "👍🏽",
    "👨‍👩‍👧", "❤️", "🇩🇪", "™", "®", "°", "€", "\u2581", "\ue000",
]  # fmt: skip
BETWEEN_PARTS = [
    ".", "...", "…", ";", ":", "!", "?", "?!", ",", ",,", " , ", ". ", "。", "、", "，", "；", "：", "！", "？",
    "،", "؛", "؟",
]  # fmt: skip
AROUND = [
    "{}.", "{},", "{}!", "{}?", "{};", "{}:", "{}...", "{}…", "({})", "[{}]", "{{{}}}", "<{}>", '"{}"', "'{}'",
    "“{}”", "‘{}’", "„{}“", "«{}»", "‹{}›", "「{}」", "【{}】", "（{}）", "*{}*", "**{}**", "_{}_", "`{}`", "#{}",
    "@{}", "¿{}?", "¡{}!", "- {}", "• {}", "— {}", "🔔{}", "{}🔔", "🔔{}🔔", "{}\ufe0f", "\ufeff{}", "\u200b{}\u200b",
    "\u202a{}\u202c", "{}™", "{}®", "({}),", "\n{}\n", ">{}", "~{}~", "ʼ{}ʼ", "´{}´", "^{}", "${}$",
]  # fmt: skip
WORD = [
    "BELL", "Bell", "bElL", "ＢＥＬＬ", "ｂｅｌｌ", "𝐛𝐞𝐥𝐥", "𝓫𝓮𝓵𝓵", "ⓑⓔⓛⓛ", "🄱🄴🄻🄻", "béll", "bèll", "be\u0301ll",
    "b\u0332e\u0332l\u0332l\u0332", "be\u00adll", "be\ufe0fll",
]  # fmt: skip


@pytest.mark.parametrize("sign", BETWEEN, ids=ascii)
def test_whatever_stands_between_two_words_is_a_space(shipped, sign):
    assert shipped.encode(f"a slow{sign}bell melody").tokens == shipped.encode(PLAIN).tokens


@pytest.mark.parametrize("sign", BETWEEN_PARTS, ids=ascii)
def test_a_mark_between_two_parts_is_a_comma(shipped, sign):
    assert shipped.encode(f"a slow{sign}bell melody").tokens == shipped.encode("a slow, bell melody").tokens


@pytest.mark.parametrize("form", AROUND, ids=ascii)
def test_signs_around_a_text_or_a_word_are_dropped(shipped, form):
    assert shipped.encode(form.format(PLAIN)).tokens == shipped.encode(PLAIN).tokens
    tokens = shipped.encode(f"a slow {form.format('bell')} melody").tokens
    assert [one for one in tokens if one != ","] == shipped.encode(PLAIN).tokens


@pytest.mark.parametrize("word", WORD, ids=ascii)
def test_the_letters_of_a_word_may_be_any_form_of_them(shipped, word):
    assert shipped.encode(f"a slow {word} melody").tokens == shipped.encode(PLAIN).tokens


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ("Mid–Tempo organ", "mid-tempo organ"),
        ("fast-organ-tune, bright‑hearted", "fast organ tune, bright-hearted"),
        ("slow -mid-tempo- bell", "slow mid-tempo bell"),
        ("an organ at 150BPM", "an organ at 150 bpm"),
        ("at62bpm", "at 62 bpm"),
        ("- bell\n- no drums\n", "bell no drums"),
        ("Bell melody.\n\nNo drums!", "bell melody, no drums"),
        ("organ tune in ‘C’ major", "organ tune in c major"),
        ("¡slow…!", "slow"),
        ("🎵🎶", ""),
        (" ...\n", ""),
    ],
)  # fmt: skip
def test_a_newcomers_text_is_that_of_the_caption(shipped, odd, plain):
    assert shipped.encode(odd).tokens == shipped.encode(plain).tokens


def test_another_script_stays_unknown_and_leaves_the_words_beside_it(shipped):
    assert shipped.encode("慢bell旋律").tokens == ["▁", "<unk>", "▁bell", "▁", "<unk>", "<unk>", "</s>"]


def test_a_caption_in_odd_dress_has_the_tokens_of_the_plain_one(shipped, captions):
    """But for commas: a mark is read as one, and a line break between two parts is not."""
    rng = np.random.default_rng(93)
    odd = [dressed(text, rng) for text in captions]
    assert sum(map(str.__eq__, odd, captions)) < 0.01 * len(captions)
    comma = shipped.token_to_id(",")
    for strange, text in zip(odd, captions, strict=True):
        found, wanted = ([i for i in shipped.encode(one).ids if i != comma] for one in (strange, text))
        assert found == wanted, (strange, text)


def test_a_prompt_of_signs_alone_is_no_condition():
    from musicgen_edu import MusicGen

    _, mask = MusicGen.from_pretrained("tiny", device="cpu").text(["🎵", "...", "\u200b", "bell"])
    assert mask.any(1).tolist() == [False, False, False, True]
