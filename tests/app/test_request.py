"""What may be asked for: a request that cannot be met is told why, in one sentence of either language."""

from __future__ import annotations

import re

import pytest

from helpers.instrument import request, service, words
from musicgen_edu.app.request import Limits


@pytest.mark.parametrize(
    "changes,told",
    [
        ({"prompt": "  \n"}, "The prompt is empty"),
        ({"prompt": "x" * 501}, "The prompt has 501 characters: 500 are the most."),
        ({"seconds": 30.5}, "“Length (s)” must be a number from 0.5 to 30, not 30.5."),
        ({"seconds": 0}, "“Length (s)” must be a number from 0.5 to 30, not 0."),
        ({"seconds": None}, "“Length (s)” needs a number from 0.5 to 30."),
        ({"seconds": float("nan")}, "“Length (s)” must be"),
        ({"chunk_seconds": 0.01}, "“Chunk (s)” must be"),
        ({"guidance_scale": -1}, "“Guidance” must be"),
        ({"temperature": 3}, "“Temperature” must be"),
        ({"seed": -1}, "“Seed” must be a number from 0 to 4294967295, not -1."),
        ({"seed": 2**32}, "“Seed” must be a number from 0 to 4294967295, not 4294967296."),
        ({"seed": 2**64}, "“Seed” must be a number from 0 to 4294967295, not 1.84467440737096e+19."),
        ({"seconds": 12345678}, "“Length (s)” must be a number from 0.5 to 30, not 12345678."),
        ({"prompt": "bell \ud83d"}, r"The prompt holds half a character (\ud83d): type it anew."),
        ({"prompt": "caf\udce9 bell"}, r"The prompt holds half a character (\udce9): type it anew."),
        ({"seed": 2.5}, "“Seed” must be a whole number, not 2.5."),
        ({"top_k": 65}, "“Top-k” must be a number from 0 to 64, not 65."),
        ({"model": "facebook/musicgen-small"}, "There is no model “facebook/musicgen-small” here: choose one of tiny."),
    ],
)
def test_a_bad_request_is_one_sentence_in_both_languages(changes, told):
    app = service()
    news = list(app.run(request(**changes)))
    assert news[-1].state == "error"
    assert words(news[-1]).startswith(told)
    assert len(words(news[-1]).splitlines()) == 1
    assert re.search("[\u4e00-\u9fff]", words(news[-1], "zh"))
    assert list(app.run(request()))[-1].state == "done"


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0.0}, {"seconds": 1e5}, {"seconds": float("nan")}, {"queue": -1}, {"concurrent": 0}]
)
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="not"):
        Limits(**wrong)
