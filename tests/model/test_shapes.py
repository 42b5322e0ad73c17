"""The checker of the public borders names the letter that does not fit."""

from __future__ import annotations

import pytest
import torch

from musicgen_edu.model.shapes import check_shape


def test_the_sizes_come_back_in_the_order_of_the_letters():
    assert check_shape("codes", torch.zeros(2, 4, 7), "B K T", K=4) == (2, 4, 7)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 4), r"codes must have shape \[B, K, T\], but its shape is \[2, 4\]"),
        ((2, 3, 7), r"codes \[B, K, T\] must have K = 4, not 3"),
        ((2, 4, 8), r"codes \[B, K, T\] must have T = 7, not 8"),
    ],
)
def test_what_does_not_fit_is_named(shape, message):
    with pytest.raises(ValueError, match=message):
        check_shape("codes", torch.zeros(shape), "B K T", K=4, T=7)
