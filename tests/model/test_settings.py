"""Settings that make no sense are named."""

from __future__ import annotations

import pytest

from musicgen_edu.model.settings import Sampling


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((3, -1, 0, 0), "temperature"),
        ((3, 1, 17, 0), "codebook size 16, not 17"),
        ((3, 1, -1, 0), "top_k"),
        ((3, 1, 0, 1.5), "top_p"),
        ((float("inf"), 1, 0, 0), "guidance_scale"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Sampling(*settings).check(16)


def test_the_space_of_guidance_is_one_of_two():
    Sampling(3.0, 1.0, 0, 0.0, "logits").check(16)
    Sampling(1.0, 1.0, 0, 0.0, "probabilities").check(16)
    with pytest.raises(ValueError, match="'logits' or 'probabilities', not 'probs'"):
        Sampling(1.0, 1.0, 0, 0.0, "probs").check(16)


def test_whole_numbers_of_any_size_are_numbers():
    """torch refuses integers beyond 2^63 in words of its own."""
    huge = Sampling(2**64, 2**64, 4, 1)
    huge.check(16)
    assert (huge.guidance_scale, huge.temperature, huge.top_p) == (2.0**64, 2.0**64, 1.0)
    assert all(isinstance(value, float) for value in (huge.guidance_scale, huge.temperature, huge.top_p))
    for settings in ((10**400, 1, 0, 0), (3, 10**400, 0, 0), (3, 1, 0, 10**400)):
        with pytest.raises(ValueError, match=r"guidance_scale|temperature|top_p"):
            Sampling(*settings).check(16)
