"""What the pattern explorer of lesson 05 reads off the tables."""

from __future__ import annotations

import pytest
import torch

from musicgen_edu.model.patterns import PATTERNS, num_steps, pattern_table
from musicgen_edu.widgets.pattern_explorer import Exploration
from musicgen_edu.widgets.pattern_explorer.state import attention_cost, first_frame_steps


def test_the_default_state_can_be_read():
    assert Exploration(K=2, T=3, now=2, k=1, t=1, view="two closely").in_words().splitlines() == [
        "K = 2, T = 3, step 2 of 4, chosen: codebook 1, frame 1",
        "parallel: 2 of 3 steps done; first whole frame after 1 step = 20 ms; attention x1.0",
        "  4 codes known, 2 predicted now, 0 to come; the chosen code may see 2 and must ignore 3",
        "    KKN   oxx",
        "    KKN   o*x",
        "delay: 2 of 4 steps done; first whole frame after 2 steps = 40 ms; attention x1.7",
        "  3 codes known, 2 predicted now, 1 to come; the chosen code may see 3 and must ignore 2",
        "    KKN   oox",
        "    KN.   o*x",
        "sound: none, no codec was given",
    ]


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize(("K", "T"), [(1, 2), (4, 5), (8, 24)])
def test_everything_is_read_off_the_table(name, K, T):
    step = pattern_table(name, K, T)
    exploration = Exploration(K=K, T=T, now=0, k=K - 1, t=T - 1, view="two closely", first=name, second=name)
    assert exploration.last == num_steps(step)
    assert not exploration.known(name).any()
    for now in range(num_steps(step) + 1):
        exploration.move(now=now)
        assert torch.equal(exploration.known(name), step < now)
        assert torch.equal(exploration.written(name), step == now)
    assert exploration.known(name).all()
    assert torch.equal(exploration.seen(name), step < step[-1, -1])


@pytest.mark.parametrize(
    ("name", "first"), [("parallel", 1), ("delay", 4), ("flattening", 4), ("coarse-first", 1501), ("partial delay", 2)]
)
def test_latency(name, first):
    step = pattern_table(name, 4, 1500)
    assert first_frame_steps(step) == first
    assert (step[:, 0] < first).all()
    assert not (step[:, 0] < first - 1).all()


@pytest.mark.parametrize(("name", "cost"), [("parallel", 1.0), ("delay", 1.004), ("flattening", 15.99)])
def test_cost_is_the_number_of_pairs_of_columns(name, cost):
    step = pattern_table(name, 4, 1500)
    pairs = sum(s + 1 for s in range(num_steps(step))) / sum(t + 1 for t in range(1500))
    assert attention_cost(step) == pytest.approx(pairs)
    assert attention_cost(step) == pytest.approx(cost, abs=0.01)


def test_a_fifth_pattern_is_one_function():
    exploration = Exploration(own={"by twos": lambda K, T: torch.arange(T) + 2 * torch.arange(K)[:, None]})
    exploration.move(view="two closely", second="by twos", K=3, T=4)
    assert "by twos: 5 of 8 steps done; first whole frame after 5 steps = 100 ms" in exploration.in_words()
    with pytest.raises(ValueError, match="a name of its own"):
        Exploration(own={"delay": lambda K, T: torch.zeros(K, T)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": 9}, "K must be 1 to 8, not 9"),
        ({"T": 1}, "T must be 2 to 24, not 1"),
        ({"k": 4}, "k must be 0 to 3, not 4"),
        ({"t": -1}, "t must be 0 to 11, not -1"),
        ({"now": 49}, "now must be 0 to 48, not 49"),
        ({"first": "zigzag"}, "unknown pattern 'zigzag'"),
        ({"view": "three"}, "the view must be one of"),
        ({"frame": 1}, "nothing called frame"),
        ({"view": "two closely", "second": "broken"}, "must increase"),
        ({"view": "two closely", "second": "wide"}, r"wide gives a table \[4, 13\]"),
    ],
)
def test_what_cannot_be_chosen_is_one_sentence_and_changes_nothing(changes, message):
    own = {
        "broken": lambda K, T: torch.zeros(K, T, dtype=torch.int64),
        "wide": lambda K, T: pattern_table("delay", K, T + 1),
    }
    exploration = Exploration(own=own)
    before = exploration.in_words()
    with pytest.raises(ValueError, match=message) as caught:
        exploration.move(**changes)
    assert "\n" not in str(caught.value)
    assert exploration.in_words() == before


def test_when_sizes_shrink_the_moment_and_the_code_stay_inside():
    exploration = Exploration(K=8, T=24, now=192, k=7, t=23)
    exploration.move(K=2, T=5)
    c = exploration.choice
    assert (c.now, c.k, c.t, exploration.last) == (10, 1, 4, 10)
    exploration.move(view="two closely")
    assert (exploration.choice.now, exploration.last) == (6, 6)
