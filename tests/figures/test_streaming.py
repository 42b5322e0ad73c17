"""The logic in the drawings of lesson 10: when chunks are heard, and that pictures say what they show."""

import pytest
import torch

from musicgen_edu.figures.streaming import correlations, influence, playing, timeline, window_bars
from musicgen_edu.model.continuation import plan_windows


@pytest.mark.parametrize("seed", range(4))
def test_chunks_are_heard_in_order_never_before_they_are_ready_and_without_needless_silence(seed):
    generator = torch.Generator().manual_seed(seed)
    ready = torch.rand(20, generator=generator).cumsum(0).tolist()
    lengths = torch.rand(20, generator=generator).tolist()
    starts = playing(ready, lengths)
    ends = [0.0, *(start + length for start, length in zip(starts, lengths, strict=True))]
    for there, start, before in zip(ready, starts, ends, strict=False):
        assert start >= there
        assert start >= before
        assert start in (there, before)


def test_a_fast_stream_plays_through_and_a_slow_one_stops():
    assert playing([0.5, 0.8, 1.1], [1, 1, 1]) == [0.5, 1.5, 2.5]
    assert playing([1, 3, 5], [1, 1, 1]) == [1, 3, 5]
    with pytest.raises(ValueError, match="each of the 2 chunks, not 1"):
        playing([1, 2], [1])


def test_pictures_say_what_they_show():
    assert "18 to 48 s" in window_bars(plan_windows(3000, 1500, 600), 50).description
    assert "fast, slow" in timeline({"fast": ([1, 2], [1, 1]), "slow": ([1, 4], [1, 1])}).description
    picture = influence({"one": torch.tensor([0.0, 1.0, 0.5])}, 1)
    assert picture.source.startswith("data:image/png")
    assert "one" in picture.description
    assert "0 to 6 s" in correlations(["0 to 6 s", "6 to 12 s"], torch.eye(2)).description
    with pytest.raises(ValueError, match=r"2 names need values of shape \[2, 2\], not \[3, 3\]"):
        correlations(["0 to 6 s", "6 to 12 s"], torch.eye(3))
