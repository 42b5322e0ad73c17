"""What the sampling desk of lesson 08 says is what the model does."""

from __future__ import annotations

import pytest
import torch

from musicgen_edu.model.patterns import interleave, pattern_table
from musicgen_edu.model.sampling import Sampling, uniform_numbers
from musicgen_edu.widgets.generator import EXAMPLES
from musicgen_edu.widgets.sampling_desk import Desk, picture
from musicgen_edu.widgets.sampling_desk import state as desk_state
from musicgen_edu.widgets.sampling_desk.choice import Choice
from musicgen_edu.widgets.sampling_desk.state import KEPT_CAPTIONS, divergence, entropy

SECONDS, FRAMES = 0.8, 40


def test_it_reads_what_the_model_says_while_it_generates(desk, tiny):
    """The logits at once, from the finished clip, are those of the steps in which it was made; at both ends too."""
    codes, logits = desk.read(EXAMPLES[0])
    assert torch.equal(codes[None], tiny.generate_codes([EXAMPLES[0]], SECONDS, seed=Choice.seed))
    longer = tiny.generate_codes([EXAMPLES[0]], SECONDS + 0.1, seed=Choice.seed)  # [1, K, T + 5]
    table = pattern_table("delay", 4, longer.shape[2])
    sequence = interleave(longer, table, tiny.lm.config.special)
    state = tiny.lm.start(2, FRAMES + 3, tiny.lm.project_text(*tiny.text([EXAMPLES[0]])))
    for s in range(FRAMES + 3):
        said = tiny.lm.step(sequence[:, :, s : s + 1].repeat(2, 1, 1), state)  # [2, K, V]
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


def test_entropy_and_divergence_on_small_numbers():
    eighths, one = torch.full((8,), 1 / 8), torch.eye(8)[2]
    assert entropy(eighths) == pytest.approx(3)
    assert entropy(one) == 0
    assert entropy(torch.tensor([0.5, 0.25, 0.25])) == pytest.approx(1.5)
    assert divergence(one, eighths) == pytest.approx(3)
    assert divergence(eighths, eighths) == 0
    assert divergence(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])) == pytest.approx(0.2075, abs=1e-4)


def test_figures_are_told_for_all_three(desk):
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


def test_a_caption_is_read_once_and_a_few_are_kept(tiny, monkeypatch):
    desk = Desk(tiny, seconds=0.1, frame=1)
    calls = []
    real = desk_state.generate_codes
    monkeypatch.setattr(desk_state, "generate_codes", lambda *a, **k: calls.append(a) or real(*a, **k))
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


def test_the_defaults_are_those_of_the_generation(desk):
    assert Choice().sampling == Sampling()
