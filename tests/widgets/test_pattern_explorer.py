"""The pattern explorer of lesson 05, driven from code."""

from __future__ import annotations

import asyncio
import re
import time
from statistics import median
from types import SimpleNamespace

import ipywidgets
import pytest
import torch

from musicgen_edu.model.patterns import PATTERNS, num_steps, pattern_table
from musicgen_edu.widgets.pattern_explorer import Exploration, PatternExplorer, PatternSound, picture, still
from musicgen_edu.widgets.pattern_explorer.panel import PAUSE
from musicgen_edu.widgets.pattern_explorer.sound import FRAMES
from musicgen_edu.widgets.pattern_explorer.state import FOUR, attention_cost, first_frame_steps

HOP = 320


class Organ:
    """Stands in for a codec: frame t of a clip with n codebooks is a tone whose loudness says n."""

    config = SimpleNamespace(sampling_rate=16000, frame_rate=50.0)

    def decode(self, codes):
        _, K, T = codes.shape
        tone = torch.sin(torch.arange(T * HOP) * 0.2)
        return (0.1 * K * tone)[None, None]


@pytest.fixture(autouse=True)
def no_loop():
    """As in a plain script: a browser test that ran before leaves its event loop running in this thread."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(scope="module")
def sound() -> PatternSound:
    return PatternSound(Organ(), torch.zeros(4, 24 * FRAMES, dtype=torch.int64), 24)


@pytest.fixture
def panel(sound) -> PatternExplorer:
    return PatternExplorer(sound=sound)


def cells(svg: str, kind: str) -> int:
    """How many cells of a kind an SVG holds."""
    return sum(path.count("z") for path in re.findall(rf'<path class="{kind}" d="([^"]*)"', svg))


def signs(svg: str, kind: str, sign: str) -> int:
    found = re.findall(rf'<text class="{kind}" x="([^"]*)"[^>]*>([^<]*)</text>', svg)
    assert all(len(xs.split()) == len(text) and set(text) == {sign} for xs, text in found)
    return sum(len(text) for _, text in found)


# ---- the logic ---------------------------------------------------------------------------------------------------


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


# ---- the drawing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [{}, {"K": 8, "T": 24, "now": 40}, {"K": 1, "T": 2, "k": 0, "t": 1, "now": 1}])
def test_the_picture_shows_what_the_logic_says(choice):
    exploration = Exploration(**choice)
    svg = picture(exploration)
    known = sum(int(exploration.known(name).sum()) for name in FOUR)
    written = sum(int(exploration.written(name).sum()) for name in FOUR)
    total = 4 * exploration.choice.K * exploration.choice.T
    assert cells(svg, "known") == known + 1  # one more in the legend
    assert cells(svg, "now") == written + 1
    assert cells(svg, "later") == total - known - written + 1
    seen = sum(int(exploration.seen(name).sum()) for name in FOUR)
    assert signs(svg, "seen", "•") == seen + 1
    assert signs(svg, "ignored", "×") == total - 4 - seen + 1
    assert signs(svg, "chosen", "◆") == 5
    for name in FOUR:
        assert f"{name}: {exploration.facts(name).split(';')[0]}" in svg


def test_looking_closely_shows_the_sequence_too():
    exploration = Exploration(view="two closely", K=3, T=4, now=2)
    svg = picture(exploration)
    assert cells(svg, "special") == 3 * 5 + 3 * 7 - 2 * 12  # columns S + 1 of both, less their codes
    assert svg.count("columns 0 to 2 are read, column 3 is written") == 2
    exploration.move(now=4)
    assert "the sequence is complete" in picture(exploration)  # parallel, which has 4 steps
    assert "columns 0 to 4 are read, column 5 is written" in picture(exploration)


def test_the_picture_is_one_svg_with_a_description():
    svg = picture(Exploration())
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert svg.count("<svg") == 1
    assert 'role="img" aria-label="Step 5. parallel: 5 of 12 steps done' in svg
    assert len(svg) < 60_000


# ---- the panel ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "value", "told"),
    [
        ("view_as", "two closely", "step 5 of 15"),
        ("K", 6, "K = 6, T = 12"),
        ("T", 20, "K = 4, T = 20"),
        ("now", 9, "step 9 of 48"),
        ("k", 3, "chosen: codebook 3, frame 3"),
        ("t", 7, "chosen: codebook 1, frame 7"),
    ],
)
def test_each_control_changes_state_text_and_picture(panel, control, value, told):
    svg, words = panel.picture.value, panel.words.value
    getattr(panel, control).value = value
    assert told in panel.state_text().splitlines()[0]
    assert panel.picture.value != svg
    assert panel.words.value != words


def test_any_two_can_be_compared(panel):
    assert panel.first.disabled
    panel.view_as.value = "two closely"
    assert not panel.second.disabled
    for name in PATTERNS:
        before = panel.picture.value
        panel.second.value = name
        assert f"\n{name}: " in panel.state_text()
        assert panel.picture.value != before or name == "delay"


def test_the_play_button_moves_the_step(panel):
    panel.play.value = 0
    for step in range(1, 4):
        panel.play.value = step
        assert panel.now.value == panel.exploration.choice.now == step
    panel.now.value = 8
    assert panel.play.value == 8
    panel.T.value = 24
    assert panel.play.max == panel.now.max == 96


def test_the_limits_of_the_sliders_follow_the_sizes(panel):
    panel.now.value, panel.k.value, panel.t.value = 48, 3, 11
    panel.K.value = 1
    assert panel.k.disabled
    assert panel.exploration.choice.k == panel.k.value == 0
    assert (panel.now.max, panel.t.max) == (12, 11)
    panel.T.value = 5
    assert (panel.t.value, panel.t.max, panel.now.value) == (4, 4, 5)
    panel.K.value = 8
    assert not panel.k.disabled
    assert panel.k.max == 7


def test_an_own_pattern_that_fails_is_told_and_nothing_is_lost(sound):
    own = {"only four": lambda K, T: pattern_table("delay", 4, T)}
    panel = PatternExplorer(own, sound, view="two closely", second="only four")
    before = panel.state_text()
    panel.K.value = 5
    assert "<b>Error.</b> only four gives a table [4, 12] for K = 5" in panel.words.value
    assert panel.K.value == 4
    assert panel.state_text() == before
    panel.now.value = 2
    assert "Error" not in panel.words.value


def test_every_control_is_labelled(panel):
    valued = [w for w in _all(panel.view) if isinstance(w, ipywidgets.ValueWidget)]
    controls = [w for w in valued if not isinstance(w, ipywidgets.HTML)]
    assert len(controls) == 10
    assert all(w.description for w in controls)
    assert len({w.description for w in controls}) == 10


def _all(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _all(child)


def test_a_move_is_answered_within_a_tenth_of_a_second(sound):
    panel = PatternExplorer(sound=sound, K=8, T=24, now=0)
    panel.K.value = 4
    times = []
    for i in range(50):
        start = time.perf_counter()
        panel.now.value = i + 1
        times.append(time.perf_counter() - start)
    print(f"\n50 moves without a browser: median {1000 * median(times):.0f} ms, worst {1000 * max(times):.0f} ms")
    assert median(times) < 0.1


# ---- the sound ---------------------------------------------------------------------------------------------------


def test_a_code_counts_once_those_above_it_are_known(sound):
    known = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 1, 1]]).bool()
    assert sound.counts(known).tolist() == [4, 2, 1, 0]


def test_each_column_is_decoded_with_the_codebooks_that_count(sound):
    counts = torch.tensor([4, 2, 0, 1])
    audio = sound.audio(counts)
    width = FRAMES * HOP
    assert audio.shape == (4 * width,)
    for t, n in enumerate(counts.tolist()):
        inside = slice(t * width + 100, (t + 1) * width - 100)
        assert torch.allclose(audio[inside], sound.clips[n][inside], atol=1e-6)
    assert audio.diff().abs().max() < 0.12, "a seam clicks"


def test_the_sound_follows_the_step(panel):
    panel.now.value = 0
    assert "<audio" not in panel.player.value
    assert "Sound: delay before step 0: 0 of 12 frames whole, 0 begun." in panel.player.value
    heard = set()
    for now in (1, 4, 15):
        panel.now.value = now
        assert re.search(r'<audio controls [^>]*src="data:audio/wav;base64,', panel.player.value)
        heard.add(panel.player.value)
    assert len(heard) == 3
    assert "12 of 12 frames whole" in panel.player.value
    panel.heard.value = "coarse-first"
    assert panel.player.value not in heard
    assert "coarse-first before step 15: 3 of 12 frames whole, 9 begun" in panel.state_text()


def test_the_player_waits_for_a_pause_in_a_notebook(panel):
    async def play() -> list[str]:
        before, seen = panel.player.value, []
        for now in (1, 2, 3):
            panel.now.value = now
            seen.append(panel.player.value)
        assert set(seen) == {before}, "a player for each move holds up the picture"
        await asyncio.sleep(2 * PAUSE)
        return panel.player.value

    assert "delay before step 3" in asyncio.run(play())


def test_without_a_codec_or_with_too_many_codebooks_there_is_no_sound_but_everything_else(sound):
    silent = PatternExplorer()
    silent.now.value = 3
    assert "sound: none, no codec was given" in silent.state_text()
    assert silent.player.value == ""
    panel = PatternExplorer(sound=sound)
    panel.K.value = 5
    assert "none, the codec has only 4 codebooks" in panel.state_text()
    assert "<audio" not in panel.player.value
    panel.K.value = 2
    assert "<audio" in panel.player.value


def test_too_short_a_clip_is_refused():
    with pytest.raises(ValueError, match="24 columns of 5 frames need 120 frames, not 60"):
        PatternSound(Organ(), torch.zeros(4, 60, dtype=torch.int64), 24)


def test_the_still_picture_needs_no_script(sound):
    page = still(Exploration(sound=sound)).data
    for wanted in ("still picture", "<svg", "<audio", "flattening", "may see"):
        assert wanted in page
    assert "<script" not in page
    evil = Exploration(own={"<b>x": lambda K, T: pattern_table("delay", K, T)}, sound=sound, heard="<b>x")
    evil.move(view="two closely", first="<b>x")
    assert "<b>x" not in still(evil).data
