"""The measures: known values, and that they hear what they claim to hear."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from musicgen_edu.data.procedural import make_clip
from musicgen_edu.evaluation.scores import chroma_cosine, log_mel_distance, si_sdr


@pytest.mark.parametrize("decibels", [0.0, 9.0, 20.0])
def test_si_sdr_of_noise_at_a_known_level_whatever_the_scale(decibels):
    reference, noise = torch.randn(3, 20000), torch.randn(3, 20000)
    noise = noise - (noise * reference).sum(1, keepdim=True) / reference.square().sum(1, keepdim=True) * reference
    noise = noise * reference.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True) * 10 ** (-decibels / 20)
    torch.testing.assert_close(
        si_sdr(reference, 0.3 * (reference + noise)), torch.full((3,), decibels), atol=0.05, rtol=0
    )
    assert (si_sdr(reference, reference) > 60).all()
    with pytest.raises(ValueError, match="N = 20000, not 5"):
        si_sdr(reference, torch.zeros(3, 5))


@pytest.mark.parametrize("offset", [0.5, -2.0])
def test_si_sdr_does_not_hear_a_constant(offset):
    """Means are removed: a constant is no sound, neither of the reference nor of the estimate."""
    reference, noise = torch.randn(3, 2000), 0.1 * torch.randn(3, 2000)
    expected = si_sdr(reference, reference + noise)
    torch.testing.assert_close(si_sdr(reference, reference + noise + offset), expected, atol=0.01, rtol=0)
    torch.testing.assert_close(si_sdr(reference + offset, reference + noise), expected, atol=0.01, rtol=0)
    assert (expected < 25).all()


def test_chroma_and_log_mel_tell_the_same_from_another():
    a, b = make_clip(1, 250).audio, make_clip(2, 250).audio
    assert chroma_cosine(a, a, 16000) == pytest.approx(1)
    assert chroma_cosine(a, 0.5 * a, 16000) > 0.99
    assert chroma_cosine(a, b, 16000) < 0.9
    pair = torch.from_numpy(np.stack([a, b]))
    assert (log_mel_distance(pair, pair, 16000) == 0).all()
    assert (log_mel_distance(pair, pair.flip(0), 16000) > 0.2).all()
