"""The probe: it reads off a sound what the generator meant, and learns nothing from labels that mean nothing."""

from __future__ import annotations

import numpy as np

from musicgen_edu.data.procedural import make_clips, sounds_of
from musicgen_edu.evaluation.probes import AttributeProbe, features_of


def test_the_probe_reads_what_the_generator_meant_and_shuffled_labels_teach_it_nothing():
    clips = make_clips(99, 240, 400)
    features = features_of(sounds_of(clips), 16000)
    attributes = [clip.piece.attributes() for clip in clips]
    found = AttributeProbe().fit(features[:180], attributes[:180]).predict(features[180:])

    def right(found, name):
        return np.mean([f[name] == a[name] for f, a in zip(found, attributes[180:], strict=True)])

    for name in ("timbre", "tempo", "drums", "tonic", "mode"):
        assert right(found, name) > 0.9, name
    order = np.random.default_rng(0).permutation(180)
    nonsense = AttributeProbe().fit(features[:180], [attributes[i] for i in order]).predict(features[180:])
    assert right(nonsense, "timbre") < 0.5
