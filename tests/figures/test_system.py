"""The picture of the whole system lights what it is asked to."""

import base64

import pytest

from musicgen_edu import figures


def drawing(*lit):
    return base64.b64decode(figures.pipeline(*lit).source.split(",")[1]).decode()


def test_the_boxes_that_are_named_are_lit_and_no_others():
    assert figures.LIT not in drawing()
    for name in figures.BOXES:
        assert drawing(name).count(f'fill="{figures.LIT}"') == 1
    assert "lit: codes [B, K, T]" in figures.pipeline("codes").description
    with pytest.raises(ValueError, match="no box 'colours'"):
        figures.pipeline("colours")
