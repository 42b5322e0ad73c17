"""The synthetic source: it does what it says, and its best possible values are those of enumeration."""

from __future__ import annotations

import math

import pytest
import torch

from musicgen_edu.analysis.pattern_likelihood import best_nats
from musicgen_edu.experiments.patterns.synthetic_codes import StickySource, exact_nats
from musicgen_edu.model.patterns import PATTERNS, pattern_table


def joint_of(source: StickySource, T: int) -> torch.Tensor:
    """The probability of every case, from the source's own nats: K*T axes of V entries, code (k, t) is axis k*T + t."""
    cells = source.K * T
    cases = torch.cartesian_prod(*[torch.arange(source.V)] * cells).view(-1, source.K, T)
    return (-source.nats(cases).sum((1, 2))).exp().view([source.V] * cells)


@pytest.mark.parametrize("K,T,V", [(2, 3, 3), (3, 3, 2), (4, 3, 2), (4, 2, 3), (1, 4, 3)])
@pytest.mark.parametrize("name", PATTERNS)
def test_the_exact_value_is_that_of_enumeration(name, K, T, V):
    source = StickySource(K, V, stay=0.7, copy=0.6)
    joint, step = joint_of(source, T), pattern_table(name, K, T)
    assert float(joint.sum()) == pytest.approx(1)
    torch.testing.assert_close(exact_nats(source, step), best_nats(joint, step))


def test_the_exact_value_is_that_of_simulation():
    source, T = StickySource(V=11), 20
    nats = source.nats(source.draw(4000, T, torch.Generator().manual_seed(1))).sum(1).mean(1)  # nats a frame, by clip
    exact = float(exact_nats(source, pattern_table("flattening", 4, T)).sum()) / T
    assert abs(nats.mean() - exact) < 4 * nats.std() / math.sqrt(len(nats))


def test_the_source_copies_and_stays_as_often_as_it_says():
    source = StickySource(V=9, stay=0.6, copy=0.9)
    codes = source.draw(500, 200, torch.Generator().manual_seed(2))
    assert codes.min() == 0
    assert codes.max() == 8
    assert (codes[:, 0, 1:] == codes[:, 0, :-1]).double().mean() == pytest.approx(0.6, abs=0.01)
    for k in (1, 2, 3):
        told = source.permutations[k][codes[:, k - 1]]
        assert (codes[:, k] == told).double().mean() == pytest.approx(0.9, abs=0.01)
        errors = torch.bincount(((codes[:, k] - told) % 9).flatten(), minlength=9)[1:]
        assert errors.max() < 1.2 * errors.min()  # evenly


def test_a_pattern_loses_exactly_what_theory_says():
    source, T = StickySource(), 64
    exact = {name: float(exact_nats(source, pattern_table(name, 4, T)).sum()) / T for name in PATTERNS}
    assert exact["delay"] == pytest.approx(exact["flattening"])
    assert exact["coarse-first"] == pytest.approx(exact["partial delay"]) == exact["partial flattening"]
    assert exact["flattening"] + 1 < exact["coarse-first"] < exact["parallel"] - 1


def test_bad_sources_and_tables():
    with pytest.raises(ValueError, match="stay must lie between 0 and 1"):
        StickySource(stay=1.0)
    with pytest.raises(ValueError, match="V >= 2"):
        StickySource(V=1)
    with pytest.raises(ValueError, match="none of which comes before the one above it"):
        exact_nats(StickySource(K=2), torch.tensor([[1, 2], [0, 1]]))
