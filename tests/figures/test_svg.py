"""Words in a picture are text, and an image's pixels are the shades that it was given."""

import base64
import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from musicgen_edu.figures.svg import data_url, drawing, label, png, words_at


def test_words_and_descriptions_are_escaped():
    assert "a &lt;b&gt; &amp; c</text>" in label(1, 2, "a <b> & c")
    whole = drawing(words_at(1, 2, "inside"), 30, 20, 'said "so"\nand <so>')
    assert 'role="img" aria-label="said &quot;so&quot;; and &lt;so&gt;"' in whole
    assert 'viewBox="0 0 30 20"' in whole
    assert ">inside</text></svg>" in whole


@pytest.mark.parametrize("colours", ["magma", "gray", "viridis"])
def test_an_image_has_a_pixel_for_each_shade_in_the_colours_asked_for(colours):
    shades = np.array([[0.0, 0.25, 1.0], [0.5, 2.0, -1.0]])
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png(shades, colours).split(",")[1]))).convert("RGB"))
    assert pixels.shape == (2, 3, 3)
    expected = 255 * colormaps[colours](np.rint(255 * shades.clip(0, 1)).astype(int))[..., :3]
    assert np.abs(pixels - expected).max() <= 1


def test_a_data_url_holds_the_file():
    assert base64.b64decode(data_url("text/plain", b"words").removeprefix("data:text/plain;base64,")) == b"words"
