"""Windows, prompts of codes, and frames as they are made."""

import itertools
import random

import pytest
import torch

from helpers.judges import our_lm, their_musicgen
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.continuation import Window, plan_windows, stream_frames
from musicgen_edu.model.decoder import KeyValueCache
from musicgen_edu.model.generation import generate_codes
from musicgen_edu.model.patterns import pattern_table, undo
from musicgen_edu.model.sampling import Sampling, uniform_numbers

SAMPLING = Sampling(guidance_scale=3.0, top_k=8)


@pytest.fixture(scope="module")
def lm():
    torch.manual_seed(0)
    return our_lm(their_musicgen())


@pytest.fixture(scope="module")
def text(lm):
    torch.manual_seed(1)
    return lm.project_text(torch.randn(2, 6, lm.config.text_dim), torch.ones(2, 6, dtype=torch.bool))


def streamed(lm, text, windows, prompt=None, seeds=(1, 2), sampling=SAMPLING, **more) -> torch.Tensor:
    frames = list(stream_frames(lm, windows, list(seeds), text, sampling, prompt=prompt, **more))
    assert all(frame.shape == (len(seeds), 4, 1) for frame in frames)
    return torch.cat(frames if prompt is None else [prompt, *frames], -1)


def test_a_minute_is_cut_as_published() -> None:
    assert plan_windows(3000, 1500, 600) == [Window(0, 1500, 0), Window(900, 2400, 600), Window(1800, 3000, 600)]


@pytest.mark.parametrize("trial", range(30))
def test_windows_cover_a_clip_once(trial: int) -> None:
    random.seed(trial)
    longest = random.randint(2, 60)
    keep, frames = random.randint(1, longest - 1), random.randint(1, 500)
    prompt = random.randrange(min(frames, longest))
    windows = plan_windows(frames, longest, keep, prompt)
    made = [t for window in windows for t in range(window.start + window.known, window.end)]
    assert made == list(range(prompt, frames))
    assert all(window.end - window.start <= longest for window in windows)
    assert all(b.start + b.known == a.end for a, b in itertools.pairwise(windows))


@pytest.mark.parametrize("frames", [1, 2, 4, 17])
def test_one_window_has_the_codes_of_the_plain_loop(lm, text, frames: int) -> None:
    assert torch.equal(
        streamed(lm, text, plan_windows(frames, 100, 40)), generate_codes(lm, frames, [1, 2], text, SAMPLING)
    )


@pytest.mark.parametrize("length", [1, 5, 20, 21, 33])
def test_a_shorter_clip_is_the_beginning_of_a_longer_one(lm, text, length: int) -> None:
    long = streamed(lm, text, plan_windows(50, 20, 8))
    assert torch.equal(streamed(lm, text, plan_windows(length, 20, 8)), long[..., :length])


def test_a_row_is_the_same_alone(lm, text) -> None:
    both, windows = streamed(lm, text, plan_windows(50, 20, 8)), plan_windows(50, 20, 8)
    for row in range(2):
        alone = type(text)(text.states[[row]], text.mask[[row]])
        assert torch.equal(streamed(lm, alone, windows, seeds=[row + 1])[0], both[row])


def test_a_later_window_is_a_continuation_of_what_it_keeps(lm, text) -> None:
    """With no random numbers the second window is the continuation of its 8 frames, by the plain definition."""
    greedy = Sampling(guidance_scale=3.0, temperature=0, top_k=0)

    def clip(windows, prompt=None):
        frames = list(stream_frames(lm, windows, [1, 2], text, greedy, prompt=prompt))
        return torch.cat(frames, -1)

    whole = clip(plan_windows(32, 20, 8))
    kept = whole[..., 12:20]
    assert torch.equal(clip([Window(0, 20, 8)], kept), whole[..., 20:])


@pytest.mark.parametrize("known", [1, 2, 3, 4, 9])
def test_a_prompt_of_ones_own_greedy_codes_changes_nothing(lm, text, known: int) -> None:
    greedy = Sampling(guidance_scale=3.0, temperature=0, top_k=0)
    whole = generate_codes(lm, 16, [1, 2], text, greedy)
    rest = list(stream_frames(lm, [Window(0, 16, known)], [1, 2], text, greedy, prompt=whole[..., :known]))
    assert torch.equal(torch.cat(rest, -1), whole[..., known:])


class Listener:
    """A model whose steps are told: the columns that it was given."""

    def __init__(self, lm, logits=None):
        self.lm, self.config, self.device, self.logits, self.columns = lm, lm.config, lm.device, logits, []

    def start(self, *given):
        return self.lm.start(*given)

    def step(self, columns, state):
        self.columns.append(columns)
        if self.logits is not None:
            return self.logits.expand(len(columns), *self.logits.shape)
        return self.lm.step(columns, state)


@pytest.mark.parametrize("known", [1, 2, 3, 7])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_model_reads_the_prompt_and_no_code_of_it_is_drawn_again(lm, text, known: int, scale: float) -> None:
    """The last codes of a prompt stand beside the first that are drawn: in the delay pattern, in the same columns."""
    prompt, listener = torch.randint(0, 16, (2, 4, known)), Listener(lm)
    sampling = Sampling(scale, top_k=0)
    frames = list(stream_frames(listener, [Window(0, 12, known)], [1, 2], text, sampling, prompt=prompt))
    read = torch.cat(listener.columns, -1)  # [B or 2B, K, S], the start column first
    table = pattern_table("delay", 4, 12)
    fed = torch.cat([read, torch.zeros_like(read[..., :1])], -1)  # what was drawn last is not read any more
    for half in fed.split(2):
        assert torch.equal(undo(half, table[:, :known]), prompt)
        assert torch.equal(undo(half, table)[..., known:9], torch.cat(frames, -1)[..., : 9 - known])
        assert (half[:, :, 0] == 16).all()
        assert (half[:, 3, 1:4] == 16).all()  # before codebook 3 begins


def test_each_window_draws_numbers_of_its_own(lm, text) -> None:
    """Where every token is as likely as any other, the numbers alone decide: one row of them for the whole clip."""
    listener = Listener(lm, logits=torch.zeros(4, 16))
    codes = streamed(listener, text, plan_windows(44, 20, 8), sampling=Sampling(1.0, top_k=0))
    numbers = uniform_numbers([1, 2], 23 + 15 + 15, 4)  # [S, B, K]: 20 + 3 steps, then 12 + 3 twice
    drawn, k = (16 * numbers).long().permute(1, 2, 0), torch.arange(4)[:, None]
    for begin, end, first in ((0, 20, 0), (20, 32, 23), (32, 44, 38)):
        steps = first + torch.arange(end - begin) + k  # [K, T]
        assert torch.equal(codes[..., begin:end], drawn.gather(2, steps.expand(2, -1, -1)))
    assert not torch.equal(codes[..., 20:32], codes[..., 32:44])
    assert not torch.equal(codes[..., 20:32], codes[..., :12])


@pytest.mark.parametrize("quick", [False, True])
def test_a_prompt_is_read_once_as_a_whole_and_room_is_taken_once_a_window(lm, text, monkeypatch, quick) -> None:
    lengths, places = [], []
    room = KeyValueCache.room

    def spy(cache, n):
        lengths.append(n)
        places.append(cache.memory.shape[4])
        return room(cache, n)

    monkeypatch.setattr(KeyValueCache, "room", spy)
    streamed(QuickLM(lm) if quick else lm, text, plan_windows(32, 20, 8))
    layers = lm.config.layers
    first = 23 * (1 if quick else layers)  # of one column each layer asks for itself, or the quick step for all
    assert lengths[:first] == [1] * first  # the first window
    assert lengths[first : first + layers] == [9] * layers  # the second: the start and the eight frames, in one pass
    assert set(lengths[first + layers :]) == {1}
    assert max(places) == 23


def test_a_stream_that_is_left_early_leaves_the_model_as_it_was(lm, text) -> None:
    expected = streamed(lm, text, plan_windows(30, 20, 8))
    stream = stream_frames(lm, plan_windows(30, 20, 8), [1, 2], text, SAMPLING)
    for _ in range(23):
        next(stream)
    stream.close()

    def stop(done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        streamed(lm, text, plan_windows(30, 20, 8), progress=stop)
    assert torch.equal(streamed(lm, text, plan_windows(30, 20, 8)), expected)


def test_progress_counts_the_steps_of_all_windows(lm, text) -> None:
    calls = []
    streamed(lm, text, plan_windows(32, 20, 8), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 38) for i in range(1, 39)]  # 20 + 3, then 12 + 3


def test_what_makes_no_sense_is_named() -> None:
    with pytest.raises(ValueError, match="keep 1 to 19 frames of the one before, not 20"):
        plan_windows(50, 20, 20)
    with pytest.raises(ValueError, match="the prompt has 20 frames"):
        plan_windows(50, 20, 8, prompt=20)
    with pytest.raises(ValueError, match="shorter than the clip"):
        plan_windows(5, 20, 8, prompt=5)


@pytest.mark.parametrize("strange", [2.5, True, "30", None, [30], float("nan")])
@pytest.mark.parametrize("place", range(4))
def test_windows_of_no_whole_number_of_frames_are_named(strange, place):
    numbers = [90, 30, 12, 5]
    numbers[place] = strange
    with pytest.raises(ValueError, match=r"^(frames|longest|keep|prompt) must be a whole number, not"):
        plan_windows(*numbers)


def test_windows_without_end_are_named():
    with pytest.raises(ValueError, match="1000000000 frames are too many for windows of 30 frames that keep 29"):
        plan_windows(10**9, 30, 29)
