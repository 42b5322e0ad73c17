"""What the app says: the same things in both languages."""

from __future__ import annotations

import re
import string

from musicgen_edu.app.texts import EXAMPLES, TEXTS, TINY_EXAMPLES, say


def test_both_languages_say_the_same_things():
    english, chinese = TEXTS["en"], TEXTS["zh"]
    assert set(english) == set(chinese)
    for key in english:
        places = [{field for _, field, _, _ in string.Formatter().parse(text[key]) if field} for text in TEXTS.values()]
        assert places[0] == places[1], key
        has_chinese = re.search("[\u4e00-\u9fff]", chinese[key]) is not None
        assert has_chinese or key == "top_k", f"{key} is not in Chinese"
        assert re.search("[\u4e00-\u9fff]", english[key]) is None, f"{key} is not in English"
    assert all(re.search("[\u4e00-\u9fff]", chinese) for _, chinese in EXAMPLES + TINY_EXAMPLES)


def test_an_unknown_language_is_english_and_labels_are_translated_within_sentences():
    assert say("fr", "generate") == "Generate"
    values = {"label": "seconds", "low": 0.5, "high": 30, "value": "99"}
    assert say("zh", "out_of_range", **values) == "“时长（秒）”必须是 0.5 到 30 之间的数，而不是 99。"
