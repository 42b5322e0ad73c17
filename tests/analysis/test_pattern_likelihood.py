"""What the patterns lose: by enumeration, against theory, against a hand-computed example and a second way to count."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from musicgen_edu.analysis.pattern_likelihood import (
    STRUCTURES,
    best_nats,
    entropy,
    joint_distribution,
    lost_nats,
    mutual_information,
)
from musicgen_edu.model.patterns import PATTERNS, pattern_table

K, T = 4, 3
ALL = torch.ones(K, T, dtype=torch.bool)


@pytest.fixture(scope="module")
def joints() -> dict[str, torch.Tensor]:
    return {name: joint_distribution(parents, K, T) for name, parents in STRUCTURES.items()}


def total_loss(joint, name, K=K, T=T):
    return float(lost_nats(joint, pattern_table(name, K, T)).sum())


def binary(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def cells(*chosen, K=K, T=T):
    mask = torch.zeros(K, T, dtype=torch.bool)
    for k, t in chosen:
        mask[k, t] = True
    return mask


# ---- by hand -----------------------------------------------------------------------------------------------------


def test_two_codes_by_hand():
    """The second copies the first in 9 cases of 10: H = ln 2 + h(0.1), and what they share is ln 2 - h(0.1)."""
    joint = joint_distribution(STRUCTURES["residual"], 2, 1)
    assert torch.allclose(joint, torch.tensor([[0.45, 0.05], [0.05, 0.45]], dtype=torch.float64), rtol=1e-14)
    assert entropy(joint, torch.ones(2, 1, dtype=torch.bool)) == pytest.approx(math.log(2) + binary(0.1))
    assert best_nats(joint, torch.tensor([[0], [0]])).flatten().tolist() == pytest.approx([math.log(2)] * 2)
    assert best_nats(joint, torch.tensor([[0], [1]])).flatten().tolist() == pytest.approx([math.log(2), binary(0.1)])
    assert lost_nats(joint, torch.tensor([[0], [0]])).tolist() == pytest.approx([math.log(2) - binary(0.1)])
    assert lost_nats(joint, torch.tensor([[0], [1]])).tolist() == pytest.approx([0, 0], abs=1e-12)


def test_a_distribution_counted_with_loops():
    """The same probabilities from plain Python: every assignment, every code given its parents."""
    K, T, V, strength = 2, 2, 3, 0.7
    joint = joint_distribution(STRUCTURES["neighbours"], K, T, V, strength)
    assert joint.shape == (V,) * (K * T)
    for codes in itertools.product(range(V), repeat=K * T):
        probability = 1.0
        for k, t in itertools.product(range(K), range(T)):
            parents = [p for p in STRUCTURES["neighbours"](k, t) if 0 <= p[0] < K and p[1] >= 0]
            votes = [sum(codes[a * T + b] == v for a, b in parents) for v in range(V)]
            weights = [math.exp(strength * one) for one in votes]
            probability *= weights[codes[k * T + t]] / sum(weights)
        assert joint[codes].item() == pytest.approx(probability)


def test_best_nats_counted_with_loops():
    """-E[log P(code | past)] from the probabilities themselves, without any entropy of a subset."""
    K, T = 3, 2
    joint, step = joint_distribution(STRUCTURES["neighbours"], K, T), pattern_table("delay", K, T)
    by_hand = torch.zeros(K, T, dtype=torch.float64)
    for k, t in itertools.product(range(K), range(T)):
        past = [i for i in range(K * T) if step.flatten()[i] < step[k, t]]
        own = k * T + t
        table: dict[tuple, list[float]] = {}
        for codes in itertools.product(range(2), repeat=K * T):
            seen = tuple(codes[i] for i in past)
            table.setdefault(seen, [0.0, 0.0])[codes[own]] += joint[codes].item()
        by_hand[k, t] = sum(-p * math.log(p / sum(row)) for row in table.values() for p in row)
    assert torch.allclose(best_nats(joint, step), by_hand, atol=1e-10)


# ---- what theory says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", STRUCTURES)
def test_flattening_pays_the_entropy_and_nobody_pays_less(structure, joints):
    joint = joints[structure]
    exact = entropy(joint, ALL)
    assert joint.sum().item() == pytest.approx(1)
    assert best_nats(joint, pattern_table("flattening", K, T)).sum().item() == pytest.approx(exact)
    for name in PATTERNS:
        step = pattern_table(name, K, T)
        nats, lost = best_nats(joint, step), lost_nats(joint, step)
        assert nats.sum().item() == pytest.approx(exact + lost.sum().item())
        assert (lost > -1e-9).all(), name


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_single_code_a_step_loses_nothing_in_any_order(structure, joints):
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        order = torch.randperm(K * T, generator=generator).view(K, T).sort(1).values
        assert lost_nats(joints[structure], order).abs().max() < 1e-9


def test_the_order_of_the_patterns_for_each_structure(joints):
    loss = {structure: {name: total_loss(joint, name) for name in PATTERNS} for structure, joint in joints.items()}
    for structure in ("independent", "time"):
        assert all(abs(one) < 1e-9 for one in loss[structure].values()), structure
    for structure in ("residual", "both"):
        one = loss[structure]
        assert one["flattening"] == pytest.approx(0, abs=1e-9)
        assert one["delay"] == pytest.approx(0, abs=1e-9), "delay keeps what parallel loses"
        assert 0.1 < one["coarse-first"] < one["parallel"], structure
        assert 0.1 < one["partial delay"] < one["parallel"], structure
    one = loss["neighbours"]
    assert one["flattening"] == pytest.approx(0, abs=1e-9)
    assert 0.01 < one["delay"] < one["coarse-first"] < one["parallel"]
    one = loss["diagonal"]  # made against delay: no other pattern loses anything
    assert one["delay"] > 0.1
    assert all(abs(one[name]) < 1e-9 for name in ("parallel", "flattening", "coarse-first"))


def test_whatever_hangs_on_earlier_steps_only_is_kept(joints):
    """If every code's parents come in earlier steps, a pattern loses nothing."""
    kept = 0
    for structure, name in itertools.product(STRUCTURES, PATTERNS):
        step = pattern_table(name, K, T)
        pairs = [
            ((k, t), p)
            for k, t in itertools.product(range(K), range(T))
            for p in STRUCTURES[structure](k, t)
            if 0 <= p[0] < K and p[1] >= 0
        ]
        if all(step[p] < step[one] for one, p in pairs):
            kept += 1
            assert total_loss(joints[structure], name) == pytest.approx(0, abs=1e-9), (structure, name)
    assert kept >= 12


def test_a_slow_delay_loses_nothing_anywhere(joints):
    """The answer to the puzzle of lesson 05: 2 t + k puts every parent of every structure in an earlier step."""
    step = 2 * torch.arange(T) + torch.arange(K)[:, None]
    assert int(step.max()) + 1 == 2 * T + K - 2
    assert all(lost_nats(joint, step).abs().max() < 1e-9 for joint in joints.values())


# ---- each gap has a name -----------------------------------------------------------------------------------------


def test_the_loss_of_parallel_is_what_the_codes_of_a_frame_share(joints):
    """With residual codes: I(code; the code above it), for three codes of each frame."""
    joint, step = joints["residual"], pattern_table("parallel", K, T)
    for t in range(T):
        shared = [mutual_information(joint, cells((k, t)), cells((k - 1, t)), step < t) for k in range(1, K)]
        assert shared == pytest.approx([math.log(2) - binary(0.1)] * 3)
        assert lost_nats(joint, step)[t].item() == pytest.approx(sum(shared))


def test_the_loss_of_coarse_first_is_what_the_finer_codes_share_given_the_coarse_ones(joints):
    joint, step = joints["residual"], pattern_table("coarse-first", K, T)
    lost = lost_nats(joint, step)
    assert lost[:T].abs().max() < 1e-9
    for t in range(T):
        past = step < T + t
        named = mutual_information(joint, cells((1, t)), cells((2, t)), past)
        named += mutual_information(joint, cells((3, t)), cells((1, t), (2, t)), past)
        assert lost[T + t].item() == pytest.approx(named)
        assert named > 0.1


def test_the_loss_of_delay_is_what_the_codes_on_a_diagonal_share(joints):
    joint, step = joints["diagonal"], pattern_table("delay", K, T)
    lost = lost_nats(joint, step)
    assert lost[0].abs() < 1e-9
    named = mutual_information(joint, cells((0, 1)), cells((1, 0)), step < 1)
    assert lost[1].item() == pytest.approx(named)
    assert named == pytest.approx(math.log(2) - binary(0.1))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", ["parallel", "delay", "coarse-first"])
def test_every_gap_is_a_sum_of_conditional_mutual_informations(structure, name, joints):
    """The chain rule within a step: each code with those of its step that were counted before it, given the past."""
    joint, step = joints[structure], pattern_table(name, K, T)
    for s, lost in enumerate(lost_nats(joint, step).tolist()):
        before, total = torch.zeros(K, T, dtype=torch.bool), 0.0
        for k, t in (step == s).nonzero().tolist():
            total += mutual_information(joint, cells((k, t)), before, step < s)
            before[k, t] = True
        assert lost == pytest.approx(total, abs=1e-9)


def test_strength_zero_makes_all_codes_independent_and_more_strength_more_loss():
    def loss(strength):
        return total_loss(joint_distribution(STRUCTURES["residual"], 3, 2, strength=strength), "parallel", 3, 2)

    found = [loss(strength) for strength in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert found[0] == pytest.approx(0, abs=1e-12)
    assert all(a < b for a, b in itertools.pairwise(found))


# ---- bad requests ------------------------------------------------------------------------------------------------


def test_what_cannot_be_enumerated_is_refused():
    with pytest.raises(ValueError, match="K = 4, T = 20, V = 2"):
        joint_distribution(STRUCTURES["time"], 4, 20)
    with pytest.raises(ValueError, match=r"code \(0, 0\) cannot hang on \(1, 0\), which comes later"):
        joint_distribution(lambda k, t: ((k + 1, t),), 2, 2)
    with pytest.raises(ValueError, match="of 4 codes, but the mask is of 6"):
        entropy(joint_distribution(STRUCTURES["time"], 2, 2), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="must increase"):
        best_nats(joint_distribution(STRUCTURES["time"], 2, 2), torch.zeros(2, 2, dtype=torch.int64))
