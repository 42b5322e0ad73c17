"""What the lessons share is shown as images with a description."""

import base64
import re

import pytest
import torch

from musicgen_edu import figures

CODES = torch.arange(4 * 12).view(4, 12)
DRAWINGS = {
    "system": lambda: figures.pipeline(),
    "chips": lambda: figures.token_chips(["▁a", "</s>"], [5, 1]),
    "states": lambda: figures.text_states(torch.randn(3, 8), ["▁a", "<b>", "</s>"]),
    "codes": lambda: figures.code_image(CODES, 50.0, 64),
    "sequence": lambda: figures.sequence_table(CODES, special=47, outlined=[(0, 1)]),
    "probabilities": lambda: figures.token_probabilities(
        {"one": torch.rand(64).softmax(0), "two": torch.rand(64).softmax(0)}, chosen=3
    ),
    "sound": lambda: figures.waveform_and_spectrogram(0.1 * torch.randn(1, 16000), 16000),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_is_an_image_with_a_description(name):
    page = DRAWINGS[name]()._repr_html_()
    assert re.fullmatch(r'<img src="data:image/(png|svg\+xml);base64,[\w+/=]+" alt="[^"<>]+" [^<>]*>', page)


def test_a_sequence_writes_its_tokens_dots_the_special_one_and_outlines_what_is_asked_for():
    drawn = base64.b64decode(DRAWINGS["sequence"]().source.split(",")[1]).decode()
    written = re.findall(r">([^<>]+)</text>", drawn)
    cells = [one for one in written if one not in ("column", *(f"codebook {k}" for k in range(4)))][12:]
    assert cells == [*(str(token) for token in range(47)), "·"]
    assert drawn.count('stroke-width="3"') == 1
