"""The measures: known values, and that they hear what they claim to hear."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from musicgen_edu.data.procedural import make_clip
from musicgen_edu.evaluation.scores import AttributeProbe, chroma_cosine, clip_features, log_mel_distance, si_sdr


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


def test_chroma_and_log_mel_tell_the_same_from_another():
    a, b = make_clip(1, 250).audio, make_clip(2, 250).audio
    assert chroma_cosine(a, a, 16000) == pytest.approx(1)
    assert chroma_cosine(a, 0.5 * a, 16000) > 0.99
    assert chroma_cosine(a, b, 16000) < 0.9
    pair = torch.from_numpy(np.stack([a, b]))
    assert (log_mel_distance(pair, pair, 16000) == 0).all()
    assert (log_mel_distance(pair, pair.flip(0), 16000) > 0.2).all()


def test_the_probe_reads_what_the_generator_meant_and_shuffled_labels_teach_it_nothing():
    clips = [make_clip(np.random.SeedSequence((99, i)), 400) for i in range(240)]
    features = np.stack([clip_features(clip.audio, 16000) for clip in clips])
    attributes = [clip.piece.attributes() for clip in clips]
    found = AttributeProbe().fit(features[:180], attributes[:180]).predict(features[180:])

    def right(found, name):
        return np.mean([f[name] == a[name] for f, a in zip(found, attributes[180:], strict=True)])

    for name in ("timbre", "tempo", "drums", "tonic", "mode"):
        assert right(found, name) > 0.9, name
    order = np.random.default_rng(0).permutation(180)
    nonsense = AttributeProbe().fit(features[:180], [attributes[i] for i in order]).predict(features[180:])
    assert right(nonsense, "timbre") < 0.5
