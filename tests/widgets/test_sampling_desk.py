"""The sampling desk of lesson 08, driven from code."""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from dataclasses import asdict
from statistics import median

import ipywidgets
import pytest
import torch

from musicgen_edu import MusicGen
from musicgen_edu.model.patterns import interleave, pattern_table
from musicgen_edu.model.sampling import Sampling, distribution, guide, uniform_numbers
from musicgen_edu.widgets.generator import EXAMPLES
from musicgen_edu.widgets.sampling_desk import Desk, SamplingDesk, picture, still
from musicgen_edu.widgets.sampling_desk import state as sampling_desk_state
from musicgen_edu.widgets.sampling_desk.choice import Choice
from musicgen_edu.widgets.sampling_desk.drawing import BASE, LEFT, STRIP, TALL
from musicgen_edu.widgets.sampling_desk.state import EMPTY, KEPT_CAPTIONS, KEPT_CLIPS, divergence, entropy

SECONDS, FRAMES = 0.8, 40


@pytest.fixture(autouse=True)
def no_loop():
    """As in a plain script: a browser test that ran before leaves its event loop running in this thread."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(scope="module")
def model() -> MusicGen:
    return MusicGen.from_pretrained("tiny", device="cpu")


@pytest.fixture(scope="module")
def made(model) -> Desk:
    return Desk(model, seconds=SECONDS)


@pytest.fixture
def desk(made) -> Desk:
    """The desk in its first state; what it has read stays."""
    made.clips, made._made = [], 0
    made.move(**asdict(Choice()))
    return made


@pytest.fixture
def panel(desk) -> SamplingDesk:
    return SamplingDesk(desk)


def press(panel: SamplingDesk) -> None:
    panel.generate.click()
    panel.wait(120)
    assert not panel.generate.disabled


# ---- what the model says -----------------------------------------------------------------------------------------


def test_the_default_state_can_be_read(panel):
    assert panel.state_text().splitlines() == [
        "looks at: codebook 0 of 0 to 3, frame 30",
        f"settings: “{EXAMPLES[0]}”, scale 3 in logits, temperature 1, top-k 250, top-p off, seed 5",
        "clips:    none yet",
    ]


def test_it_reads_what_the_model_says_while_it_generates(desk, model):
    """The logits at once, from the finished clip, are those of the steps in which it was made; at both ends too."""
    codes, logits = desk.read(EXAMPLES[0])
    assert torch.equal(codes[None], model.generate_codes([EXAMPLES[0]], SECONDS, seed=Choice.seed))
    longer = model.generate_codes([EXAMPLES[0]], SECONDS + 0.1, seed=Choice.seed)  # [1, K, T + 5]
    table = pattern_table("delay", 4, longer.shape[2])
    sequence = interleave(longer, table, model.lm.config.special)
    state = model.lm.start(2, FRAMES + 3, model.lm.project_text(*model.text([EXAMPLES[0]])))
    for s in range(FRAMES + 3):
        said = model.lm.step(sequence[:, :, s : s + 1].repeat(2, 1, 1), state)  # [2, K, V]
        for k in range(4):
            if 0 <= s - k < FRAMES:
                torch.testing.assert_close(logits[:, k, s - k], said[:, k], rtol=1e-3, atol=2e-3)


def test_its_seed_draws_the_tokens_of_the_clip(desk):
    """Under the settings of the clip. A uniform number that hits an edge within rounding may fall on either side."""
    codes, _ = desk.read(EXAMPLES[0])
    drawn = 0
    for k in range(4):
        for t in range(FRAMES):
            desk.move(codebook=k, frame=t)
            u = float(uniform_numbers([Choice.seed], t + k + 1, 4)[t + k, 0, k])
            edges = desk.found.after.double().cumsum(0)
            if (edges - u).abs().min() > 1e-3:
                assert desk.token == codes[k, t], f"codebook {k}, frame {t}"
                drawn += 1
    assert drawn > 100


def test_guidance_in_logits_goes_from_one_model_to_the_other_and_beyond(desk):
    for scale, wanted in ((0.0, desk.found.unconditional), (1.0, desk.found.conditional)):
        desk.move(scale=scale, top_k=0)
        torch.testing.assert_close(desk.found.after, wanted.float(), rtol=1e-4, atol=1e-6)
    desk.move(scale=4.0)
    f = desk.found
    ratio = (f.conditional / f.unconditional).log() - (f.before.double() / f.unconditional).log() / 4
    ratio = ratio[f.before > 1e-6]
    assert float(ratio.max() - ratio.min()) < 1e-3, "log p / p_u is 4 times that of the model with text, but for Z"


def test_guidance_in_probabilities_stays_between_the_two(desk):
    for gamma in (0.0, 0.2, 0.7, 1.0):
        desk.move(space="probabilities", gamma=gamma, top_k=0)
        f = desk.found
        mixed = gamma * f.conditional + (1 - gamma) * f.unconditional
        torch.testing.assert_close(f.after.double(), mixed, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("case", range(25))
def test_picture_and_figures_are_those_of_the_distribution(desk, case):
    """For random settings: what is drawn from is `distribution` of the guided logits, and the picture shows it."""
    rng = random.Random(case)
    choice = {
        "caption": rng.choice(EXAMPLES[:3]), "frame": rng.randrange(FRAMES), "codebook": rng.randrange(4),
        "space": rng.choice(["logits", "probabilities"]), "scale": rng.uniform(0, 8), "gamma": rng.uniform(0, 1),
        "temperature": rng.choice([0.0, 0.3, 1.0, 1.7]), "top_k": rng.choice([0, 1, 7, 40, 300, 1024]),
        "top_p": rng.choice([0.0, 0.2, 0.9, 1.0]), "seed": rng.randrange(10_000),
        "axis": rng.choice(["probability", "square root"]),
    }  # fmt: skip
    desk.move(**choice)
    conditional, unconditional = desk.read(choice["caption"])[1][:, choice["codebook"], choice["frame"]]
    guided = guide(conditional, unconditional, choice["scale"])
    if choice["space"] == "probabilities":
        gamma = choice["gamma"]
        guided = (gamma * conditional.double().softmax(-1) + (1 - gamma) * unconditional.double().softmax(-1)).log()
    settings = choice["temperature"], choice["top_k"], choice["top_p"]
    after, before = distribution(guided, *settings), distribution(guided, choice["temperature"])
    torch.testing.assert_close(desk.found.after, after, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(desk.found.before, before, rtol=1e-3, atol=1e-6)
    assert float(desk.found.after.sum()) == pytest.approx(1, abs=1e-4)
    assert desk.found.after[desk.token] > 0
    assert sorted(desk.found.order.tolist()) == list(range(1024))
    assert (desk.found.before[desk.found.order].diff() <= 1e-9).all(), "likeliest first"
    if choice["temperature"] == 0:
        assert desk.kept == 1
    elif choice["top_k"]:
        assert 1 <= desk.kept <= choice["top_k"]
    rest = desk.rest
    shown = float(desk.found.after[desk.shown].sum())
    assert shown + rest["after"] == pytest.approx(1, abs=1e-4)
    assert rest["kept"] == desk.kept - int((desk.found.after[desk.shown] > 0).sum())
    check_picture(desk)


def heights(svg: str, kind: str) -> dict[float, float]:
    """Bars of a kind in an SVG by their left edge, without the one in the legend."""
    paths = re.findall(rf'<path class="{kind}" d="([^"]*)"', svg)[1:]
    bars = [re.findall(r"M([\d.]+) [\d.]+h[\d.]+v-([\d.]+)h", path) for path in paths]
    return {float(x): float(height) for bar in bars for x, height in bar}


def signs(svg: str, kind: str) -> list[float]:
    """How far down the signs of a kind begin, bars first, then the rest; without the one in the legend."""
    paths = re.findall(rf'<path class="{kind}" d="([^"]*)"', svg)[1:]
    return [float(y) for path in paths for y in re.findall(r"M[\d.]+ ([\d.]+)", path)]


def check_picture(desk: Desk) -> None:
    """Kept tokens have a solid bar, cut ones a hatched one, in order, as high as they are likely."""
    svg, f = picture(desk), desk.found
    solid, hatched = heights(svg, "kept"), heights(svg, "cut")
    values = [v[desk.shown].double() for v in (f.after, f.before, f.conditional, f.unconditional)]
    top = max(float(v.max()) for v in values)
    power = 0.5 if desk.choice.axis == "square root" else 1.0
    for i, (after, before) in enumerate(zip(values[0].tolist(), values[1].tolist(), strict=True)):
        x = LEFT + i * STRIP + 3.0
        assert (x in solid, x in hatched) == (after > 0, after == 0)
        drawn = solid[x] if after > 0 else hatched[x]
        assert drawn == pytest.approx(TALL * ((after or before) / top) ** power, abs=0.01)
    assert len(solid) + len(hatched) == 40 + 2, "and the two of the box of the rest"
    others = f.order[40:]
    cut = f.before[others][f.after[others] == 0]
    assert max(solid.items())[1] == pytest.approx(TALL * float(f.after[others].sum()), abs=0.02)
    assert max(hatched.items())[1] == pytest.approx(TALL * float(cut.sum()), abs=0.02)
    for kind, model, off in (("conditional", values[2], 0.0), ("unconditional", values[3], 3.5)):
        wanted = [BASE - TALL * (p / top) ** power for p in model.tolist()]
        assert signs(svg, kind)[:40] == pytest.approx([y - off for y in wanted], abs=0.06)
    numbers = re.findall(r'transform="rotate[^"]*" *>(\d+)</text>', svg)
    assert [int(number) for number in numbers] == desk.shown.tolist()
    assert len(re.findall('class="drawn"', svg)) == 2, "one in the legend, one over the token"
    assert f"{desk.rest['kept']} may be drawn" in svg


def test_entropy_and_divergence_on_small_numbers():
    eighths, one = torch.full((8,), 1 / 8), torch.eye(8)[2]
    assert entropy(eighths) == pytest.approx(3)
    assert entropy(one) == 0
    assert entropy(torch.tensor([0.5, 0.25, 0.25])) == pytest.approx(1.5)
    assert divergence(one, eighths) == pytest.approx(3)
    assert divergence(eighths, eighths) == 0
    assert divergence(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])) == pytest.approx(0.2075, abs=1e-4)


def test_figures_are_told_for_all_three(desk, panel):
    desk.move(temperature=0.0)
    rows = list(desk.measures())
    assert [row[0] for row in rows] == ["model with the text", "model without the text", "drawn from"]
    assert rows[0][1] == pytest.approx(entropy(desk.found.conditional))
    assert rows[0][4] == 0
    assert rows[1][4] == pytest.approx(divergence(desk.found.unconditional, desk.found.conditional))
    likeliest = int(desk.found.after.argmax())
    told = (0.0, 1, 1.0, -float(desk.found.conditional[likeliest].log2()))
    assert rows[2][1:] == pytest.approx(told), "a single token, and what it costs under the model"
    assert desk.measured().startswith("Drawn from 1 of 1024 tokens: 0.00 bits, the likeliest 100.0%")


def test_a_caption_is_read_once_and_a_few_are_kept(model, monkeypatch):
    desk = Desk(model, seconds=0.1, frame=1)
    calls = []
    real = sampling_desk_state.generate_codes
    monkeypatch.setattr(sampling_desk_state, "generate_codes", lambda *a, **k: calls.append(a) or real(*a, **k))
    desk.move(caption="an organ")
    desk.move(frame=2, scale=5.0)
    desk.move(caption=EXAMPLES[0])
    desk.move(caption="an organ")
    assert len(calls) == 1
    for i in range(KEPT_CAPTIONS):
        desk.move(caption=f"organ {i}")
    assert len(desk._read) == KEPT_CAPTIONS
    desk.move(caption="an organ")
    assert len(calls) == 2 + KEPT_CAPTIONS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": FRAMES}, "frame must be 0 to 39, not 40"),
        ({"codebook": 4}, "codebook must be 0 to 3, not 4"),
        ({"seed": -1}, "seed must be 0 to 9999, not -1"),
        ({"temperature": -1.0}, "temperature must be"),
        ({"top_k": 1025}, "top_k must be 0"),
        ({"top_p": 1.5}, "top_p must be 0"),
        ({"space": "waves"}, "guidance_space must be"),
        ({"space": "probabilities", "gamma": 2.0}, "must be 0 to 1"),
        ({"axis": "logarithm"}, "the axis must be one of"),
        ({"caption": "  "}, "The caption is empty"),
        ({"caption": None}, "must be a string"),
        ({"step": 1}, "nothing called step"),
    ],
)
def test_what_cannot_be_chosen_is_one_sentence_and_changes_nothing(desk, changes, message):
    before = desk.in_words(), picture(desk)
    with pytest.raises(ValueError, match=message) as caught:
        desk.move(**{"codebook": 1, **changes})
    assert "\n" not in str(caught.value)
    assert (desk.in_words(), picture(desk)) == before


# ---- the panel ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "value", "told"),
    [
        ("caption", EXAMPLES[2], f"“{EXAMPLES[2]}”"),
        ("frame", 12, "frame 12\n"),
        ("codebook", 3, "codebook 3 of 0 to 3"),
        ("space", "probabilities", "gamma 0.2 in probabilities"),
        ("scale", 6.5, "scale 6.5 in logits"),
        ("temperature", 0.5, "temperature 0.5"),
        ("top_k", 5, "top-k 5"),
        ("top_k", 0, "top-k off"),
        ("top_p", 0.9, "top-p 0.9"),
        ("seed", 77, "seed 77"),
    ],
)
def test_each_control_changes_its_setting_text_picture_and_clip(panel, control, value, told):
    press(panel)
    drawn, figures = panel.picture.value, panel.words.value
    getattr(panel, control).value = value
    assert asdict(panel.desk.choice) == asdict(Choice()) | {control: value}
    assert told in panel.state_text()
    assert panel.picture.value != drawn
    assert panel.words.value != figures
    assert len(panel.desk.clips) == 1, "a control starts nothing"
    press(panel)
    first, second = panel.desk.clips
    assert torch.equal(first.audio, second.audio) == (control in ("frame", "codebook"))


def test_gamma_counts_in_probabilities_and_the_scale_in_logits(panel):
    assert (panel.scale.layout.display, panel.gamma.layout.display) == (None, "none")
    panel.space.value = "probabilities"
    assert (panel.scale.layout.display, panel.gamma.layout.display) == ("none", None)
    drawn = panel.picture.value
    panel.gamma.value = 0.9
    assert "gamma 0.9 in probabilities" in panel.state_text()
    assert panel.picture.value != drawn
    panel.space.value = "logits"
    assert "scale 3 in logits" in panel.state_text()


def test_the_square_root_changes_the_picture_alone(panel):
    drawn, figures, told = panel.picture.value, panel.words.value, panel.state_text()
    panel.axis.value = "square root"
    assert panel.picture.value != drawn
    assert (panel.words.value, panel.state_text()) == (figures, told)


def test_the_seed_moves_the_triangle(panel):
    tokens = set()
    for seed in range(12):
        panel.seed.value = seed
        tokens.add(panel.desk.token)
        assert f"Seed {seed} draws token {panel.desk.token}," in panel.words.value
        kept = int((panel.desk.found.after > 0).sum())
        assert f"Drawn from {kept} of 1024" in panel.desk.measured()
    assert len(tokens) > 3


def test_an_example_fills_the_caption_and_own_words_leave_the_example(panel):
    panel.example.value = EXAMPLES[2]
    assert panel.caption.value == panel.desk.choice.caption == EXAMPLES[2]
    panel.caption.value = "an organ"
    assert panel.example.value == ""
    assert panel.desk.choice.caption == "an organ"


def test_an_empty_caption_is_one_sentence_and_nothing_is_lost(panel):
    press(panel)
    before, clips, drawn = panel.state_text(), panel.desk.clips, panel.picture.value
    panel.caption.value = "   "
    assert f"<b>Error.</b> {EMPTY}" in panel.note.value
    press(panel)
    assert f"<b>Error.</b> {EMPTY}" in panel.status.value
    assert (panel.state_text(), panel.desk.clips, panel.picture.value) == (before, clips, drawn)
    panel.frame.value = 3
    assert EMPTY in panel.note.value, "until there is a caption"
    panel.caption.value = EXAMPLES[1]
    assert panel.note.value == ""
    assert "Error" not in panel.status.value
    press(panel)
    assert "Error" not in panel.status.value
    assert panel.desk.clips[-1].made_with.caption == EXAMPLES[1]


def test_a_clip_is_what_the_model_generates_with_these_settings(panel, model):
    for space, guidance in (("logits", {"scale": 5.0}), ("probabilities", {"gamma": 0.4})):
        panel.desk.move(space=space, **guidance, temperature=0.8, top_k=20, top_p=0.95, seed=9)
        press(panel)
        alone = model.generate(
            [EXAMPLES[0]], SECONDS, guidance_scale=next(iter(guidance.values())), top_k=20, top_p=0.95,
            temperature=0.8, seed=9, guidance_space=space,
        )  # fmt: skip
        assert torch.equal(panel.desk.clips[-1].audio, alone[0])
    assert panel.progress.value == panel.progress.max == FRAMES + 3
    assert "Clip 2 is done" in panel.status.value


def test_two_clips_are_compared_side_by_side(panel):
    assert [player.value.count("appears here") for player in panel._players] == [1, 1]
    press(panel)
    assert [player.value.count("<audio") for player in panel._players] == [1, 1], "the only clip stands in both"
    panel.scale.value, panel.seed.value = 8.0, 6
    press(panel)
    assert (panel.first.value, panel.second.value) == (1, 2)
    assert "differ in guidance: scale 3 in logits against scale 8 in logits; seed: 5 against 6." in (
        panel.difference.value
    )
    assert "Clip 1:" in panel._players[0].value
    assert "Clip 2:" in panel._players[1].value
    panel.first.value = 2
    assert panel._players[0].value == panel._players[1].value.replace("<b>B</b>", "<b>A</b>")
    assert "Both are clip 2." in panel.difference.value
    press(panel)
    assert "Clips 2 and 3 were made with the same settings." in panel.difference.value
    for seed in range(KEPT_CLIPS):
        panel.seed.value = seed
        press(panel)
    assert [clip.number for clip in panel.desk.clips] == list(range(4, 4 + KEPT_CLIPS))
    assert [number for _, number in panel.first.options] == list(range(4, 4 + KEPT_CLIPS))
    assert (panel.first.value, panel.second.value) == (KEPT_CLIPS + 2, KEPT_CLIPS + 3)


def test_generate_is_off_while_it_runs_and_the_controls_are_not(panel, monkeypatch):
    half_way, go_on = threading.Event(), threading.Event()
    real = sampling_desk_state.generate_codes

    def slow(*arguments, progress=None, **options):
        def report(done, total):
            progress(done, total)
            if done == total // 2:
                half_way.set()
                assert go_on.wait(60)

        return real(*arguments, progress=report, **options)

    monkeypatch.setattr(sampling_desk_state, "generate_codes", slow)
    panel.generate.click()
    assert half_way.wait(60)
    assert panel.generate.disabled
    assert 0 < panel.progress.value < panel.progress.max
    drawn = panel.picture.value
    panel.temperature.value = 0.3  # a move meanwhile: the picture follows, the clip keeps its settings
    assert panel.picture.value != drawn
    panel.generate.click()  # does nothing
    go_on.set()
    panel.wait(60)
    assert not panel.generate.disabled
    assert [clip.made_with.temperature for clip in panel.desk.clips] == [1.0]


def test_an_error_of_the_model_is_one_sentence_and_nothing_is_lost(panel, monkeypatch):
    press(panel)

    def broken(*arguments, **options):
        raise RuntimeError("Out of memory.\nTraceback and more lines")

    monkeypatch.setattr(sampling_desk_state, "generate_codes", broken)
    press(panel)
    assert "<b>Error.</b> Out of memory.</div>" in panel.status.value
    assert panel.desk.status == "error"
    assert len(panel.desk.clips) == 1
    monkeypatch.undo()
    press(panel)
    assert panel.desk.status == "done"


def test_captions_are_shown_as_text(panel):
    panel.caption.value = "<script>alert(1)</script> & an <b>organ</b>"
    press(panel)
    page = panel.picture.value + panel.words.value + panel.status.value + still(panel.desk).data
    page += panel.difference.value + panel._players[0].value
    assert "<script" not in page
    assert "<b>organ" not in page
    assert "&lt;b&gt;organ" in page


def test_settings_between_the_places_of_a_slider_have_a_place_too(desk):
    desk.move(top_k=7, top_p=0.33)
    panel = SamplingDesk(desk)
    assert (panel.top_k.value, panel.top_p.value) == (7, 0.33)
    assert [value for _, value in panel.top_k.options][:6] == [1, 2, 3, 5, 7, 10]
    assert panel.top_k.options[-1] == panel.top_p.options[-1] == ("all", 0)


def test_every_control_is_labelled(panel):
    valued = [w for w in _all(panel.view) if isinstance(w, ipywidgets.ValueWidget)]
    controls = [w for w in valued if not isinstance(w, ipywidgets.HTML)]
    assert len(controls) == 15
    assert all(w.description for w in [*controls, panel.generate])
    assert len({w.description for w in controls}) == 15


def _all(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _all(child)


def test_a_move_is_answered_within_a_tenth_of_a_second(panel):
    times = []
    for i in range(60):
        name, value = (("frame", i % FRAMES), ("scale", i % 9), ("temperature", i % 5 / 2), ("top_p", i % 19 / 20))[
            i % 4
        ]
        start = time.perf_counter()
        getattr(panel, name).value = value
        times.append(time.perf_counter() - start)
    print(f"\n60 moves without a browser: median {1000 * median(times):.1f} ms, worst {1000 * max(times):.0f} ms")
    assert median(times) < 0.1


def test_the_picture_is_one_svg_with_a_description(panel):
    svg = panel.picture.value
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert 'role="img" aria-label="looks at: codebook 0 of 0 to 3' in svg
    assert panel.desk.measured() in svg
    assert len(svg) < 40_000


def test_the_still_picture_needs_no_script(panel):
    press(panel)
    page = still(panel.desk).data
    for wanted in ("still picture", "<svg", "<audio", EXAMPLES[0], "KL from the model with the text"):
        assert wanted in page
    assert "<script" not in page


def test_the_defaults_are_those_of_the_generation(desk):
    assert Choice().sampling == Sampling()
