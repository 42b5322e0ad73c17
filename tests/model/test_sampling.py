"""Guidance in both spaces and negative prompts: what each promises, on random logits and a random model."""

from __future__ import annotations

import pytest
import torch

from helpers.judges import our_lm, their_musicgen
from musicgen_edu.model.decoder import Condition
from musicgen_edu.model.generation import both_halves, generate_codes, next_tokens
from musicgen_edu.model.sampling import Sampling, distribution, draw, guide, guide_probabilities, uniform_numbers

SAMPLINGS = [
    Sampling(guidance_scale=3.0, top_k=8),
    Sampling(guidance_scale=-1.5, top_k=8),
    Sampling(guidance_scale=0.2, top_k=8, guidance_space="probabilities"),
    Sampling(guidance_scale=2.0, temperature=0, top_k=0),
]


@pytest.fixture(scope="module")
def lm():
    torch.manual_seed(0)
    return our_lm(their_musicgen())


def condition(lm, lengths):
    """Random texts of these lengths, padded to the longest."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return lm.project_text(torch.randn(len(lengths), max(lengths), lm.config.text_dim), mask)


def row_of(condition, row):
    """One row without its padding."""
    length = int(condition.mask[row].sum())
    return Condition(condition.states[row : row + 1, :length], condition.mask[row : row + 1, :length])


def test_guidance_formula():
    conditional, unconditional = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert guide(conditional, unconditional, 3.0).tolist() == [3.0, -2.0]
    assert torch.equal(guide(conditional, unconditional, 0.0), unconditional)
    assert torch.equal(guide(conditional, unconditional, 1.0), conditional)


def test_distribution_filters():
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()
    torch.testing.assert_close(distribution(logits), torch.tensor([0.1, 0.4, 0.2, 0.3]))
    torch.testing.assert_close(distribution(logits, top_k=2), torch.tensor([0, 4 / 7, 0, 3 / 7]))
    torch.testing.assert_close(distribution(logits, top_p=0.5), torch.tensor([0, 4 / 7, 0, 3 / 7]))
    torch.testing.assert_close(distribution(logits, top_p=0.4), torch.tensor([0.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(distribution(logits, temperature=0), torch.tensor([0.0, 1.0, 0.0, 0.0]))
    cold, hot = distribution(logits, temperature=0.5), distribution(logits, temperature=2.0)
    assert cold.max() > 0.4 > hot.max()


@pytest.mark.parametrize("trial", range(5))
def test_filters_keep_what_they_promise(trial):
    torch.manual_seed(trial)
    logits, k, p = torch.randn(7, 50), int(torch.randint(1, 50, ())), float(torch.rand(()))
    full = distribution(logits)
    kept = distribution(logits, top_k=k) > 0
    assert (kept.sum(-1) == k).all()
    assert (full.where(kept, 2.0).min(-1).values >= full.where(~kept, 0.0).max(-1).values).all()
    nucleus = distribution(logits, top_p=p) > 0
    total = full.where(nucleus, 0.0).sum(-1)
    assert (total >= p - 1e-5).all()
    assert (total - full.where(nucleus, 2.0).min(-1).values < p + 1e-5).all()  # one token less would not reach p


def test_draw_follows_the_distribution_and_never_takes_probability_zero():
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    uniform = (torch.arange(100_000) + 0.5) / 100_000
    counts = torch.bincount(draw(probabilities.expand(100_000, -1), uniform), minlength=6)
    assert counts.tolist() == pytest.approx([0, 50_000, 0, 30_000, 20_000, 0], abs=2)
    edges = draw(probabilities.expand(2, -1), torch.tensor([0.0, 1 - 2**-24]))
    assert edges.tolist() == [1, 4]


class OnMps(torch.Tensor):
    """A tensor on the GPU of a Mac, which has no float64: as far as `draw` can tell."""

    device = torch.device("mps")

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_a_device_without_float64_draws_the_same_tokens(monkeypatch):
    probabilities, uniform = torch.rand(5, 4, 32), torch.rand(5, 4)
    expected, to, places = draw(probabilities, uniform), torch.Tensor.to, []
    monkeypatch.setattr(
        torch.Tensor, "to", lambda x, where: x if where.type == "mps" and not places.append(where) else to(x, where)
    )
    assert torch.equal(draw(probabilities.as_subclass(OnMps), uniform.as_subclass(OnMps)), expected)
    assert places == [torch.device("mps")]


def test_random_numbers_of_a_row_are_its_own_and_a_longer_run_begins_like_a_shorter_one():
    numbers = uniform_numbers([3, 4], 10, 4)
    assert torch.equal(uniform_numbers([4], 10, 4)[:, 0], numbers[:, 1])
    for steps in (1, 3, 9):
        assert torch.equal(uniform_numbers([3, 4], steps, 4), numbers[:steps])
    assert numbers.unique().numel() > 70


@pytest.mark.parametrize("trial", range(5))
def test_guided_probabilities_are_the_mixture_and_sum_to_1(trial):
    torch.manual_seed(trial)
    sizes = [int(n) for n in torch.randint(1, 5, (2,))] + [int(torch.randint(2, 300, ()))]
    a, b, gamma = 4 * torch.randn(sizes), 4 * torch.randn(sizes), float(torch.rand(()))
    mixed = guide_probabilities(a, b, gamma)
    assert mixed.shape == a.shape
    torch.testing.assert_close(mixed.exp(), gamma * a.softmax(-1) + (1 - gamma) * b.softmax(-1))
    torch.testing.assert_close(mixed.exp().sum(-1), torch.ones(sizes[:-1]))
    # Adding a number to all logits of a model changes none of its probabilities, nor the mixture.
    torch.testing.assert_close(guide_probabilities(a + 7, b - 20, gamma), mixed, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("trial", range(5))
def test_both_spaces_agree_at_the_ends_and_part_between_them(trial):
    torch.manual_seed(trial)
    a, b = 3 * torch.randn(4, 40), 3 * torch.randn(4, 40)
    for mix in (guide, guide_probabilities):
        torch.testing.assert_close(mix(a, b, 1.0).softmax(-1), a.softmax(-1))
        torch.testing.assert_close(mix(a, b, 0.0).softmax(-1), b.softmax(-1))
        torch.testing.assert_close(mix(a, a, 0.3).softmax(-1), a.softmax(-1))
    apart = guide(a, b, 0.5).softmax(-1) - guide_probabilities(a, b, 0.5).softmax(-1)
    assert apart.abs().max() > 0.01


def test_a_mixture_never_leaves_what_lies_between_the_models_but_guidance_in_logits_does():
    torch.manual_seed(0)
    a, b = 2 * torch.randn(50, 30), 2 * torch.randn(50, 30)
    low, high = torch.minimum(a.softmax(-1), b.softmax(-1)), torch.maximum(a.softmax(-1), b.softmax(-1))
    for gamma in (0.0, 0.2, 0.7, 1.0):
        mixed = guide_probabilities(a, b, gamma).exp()
        assert ((low - 1e-6 <= mixed) & (mixed <= high + 1e-6)).all()
    guided = guide(a, b, 3.0).softmax(-1)
    assert (guided > high + 0.1).any()


def test_the_mixture_is_stable_where_probabilities_are_not():
    a, b = torch.tensor([0.0, -200.0, -300.0]), torch.tensor([0.0, -250.0, -400.0])
    mixed = guide_probabilities(a, b, 0.2)
    torch.testing.assert_close(mixed[1:], torch.tensor([-200.0, -300.0]) + torch.tensor(0.2).log())
    assert not (0.2 * a.softmax(-1) + 0.8 * b.softmax(-1))[1:].any()  # what the direct formula makes of them
    assert guide_probabilities(a.half(), b.half(), 0.2).dtype == torch.float32
    shut = torch.tensor([0.0, -torch.inf])  # a token that both models exclude
    torch.testing.assert_close(guide_probabilities(shut, shut, 0.2), shut)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_mixture_is_computed_in_float32_whatever_the_model_computes_in(dtype):
    a, b = (8 * torch.randn(2, 500)).to(dtype)
    exact = 0.3 * a.double().softmax(-1) + 0.7 * b.double().softmax(-1)
    mixed = guide_probabilities(a, b, 0.3)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double(), exact.log(), atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("mix", [guide, guide_probabilities])
def test_tokens_are_chosen_in_float32_whatever_the_model_computes_in(dtype, mix):
    scale, B = {guide: 3.0, guide_probabilities: 0.3}[mix], 400
    a, b = (2 * torch.randn(2, B, 1, 500)).to(dtype)  # [B, K, V]
    uniform = torch.rand(B, 1)
    sampling = Sampling(scale, top_k=0, guidance_space="logits" if mix is guide else "probabilities")
    given = next_tokens(torch.cat([a, b]), uniform, sampling, guided=True)
    assert torch.equal(given, draw(mix(a.float(), b.float(), scale).softmax(-1), uniform))


def test_temperature_and_filters_come_after_the_mixture():
    a, b = torch.tensor([0.7, 0.2, 0.1]).log(), torch.tensor([0.1, 0.1, 0.8]).log()
    mixed = torch.tensor([0.22, 0.12, 0.66])  # 0.2 * a + 0.8 * b
    torch.testing.assert_close(distribution(guide_probabilities(a, b, 0.2)), mixed)
    torch.testing.assert_close(distribution(guide_probabilities(a, b, 0.2), top_k=2), torch.tensor([0.25, 0.0, 0.75]))
    torch.testing.assert_close(
        distribution(guide_probabilities(a, b, 0.2), temperature=0.5), mixed**2 / (mixed**2).sum()
    )
    sampling = Sampling(0.2, temperature=0, guidance_space="probabilities")
    both = torch.stack([a, b])[:, None]  # [2B, K, V]
    assert next_tokens(both, torch.zeros(1, 1), sampling, guided=True).tolist() == [[2]]
    assert next_tokens(both, torch.zeros(1, 1), Sampling(3.0, temperature=0), guided=True).tolist() == [[0]]


@pytest.mark.parametrize("gamma", [-0.1, 1.1, 3.0, float("nan"), float("inf")])
def test_gamma_is_a_share(gamma):
    with pytest.raises(ValueError, match="0 to 1"):
        guide_probabilities(torch.zeros(3), torch.zeros(3), gamma)
    with pytest.raises(ValueError, match="guidance_scale must be"):
        Sampling(gamma, 1.0, 0, 0.0, "probabilities").check(16)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_negative_text_equal_to_the_text_leaves_the_conditional_model(lm, sampling):
    text = condition(lm, [3, 6, 1])
    plain = Sampling(1.0, sampling.temperature, sampling.top_k)
    expected = generate_codes(lm, 20, [1, 2, 3], text, plain)
    assert torch.equal(generate_codes(lm, 20, [1, 2, 3], text, sampling, negative=text), expected)
    assert not torch.equal(generate_codes(lm, 20, [1, 2, 3], text, sampling), expected)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_negative_text_without_words_is_no_negative_text(lm, sampling):
    text, nothing = condition(lm, [3, 6]), condition(lm, [4, 2])
    nothing = Condition(nothing.states, torch.zeros_like(nothing.mask))
    expected = generate_codes(lm, 20, [1, 2], text, sampling)
    assert torch.equal(generate_codes(lm, 20, [1, 2], text, sampling, negative=nothing), expected)


def test_scale_0_hears_the_negative_text_only_and_scale_1_never(lm):
    text, negative = condition(lm, [3, 6]), condition(lm, [7, 2])

    def codes(scale, condition, negative=None):
        return generate_codes(lm, 15, [1, 2], condition, Sampling(scale, top_k=8), negative=negative)

    assert torch.equal(codes(0, text, negative), codes(1, negative))
    assert torch.equal(codes(1e-7, text, negative), codes(1, negative))  # through both halves
    assert torch.equal(codes(1, text, negative), codes(1, text))
    assert torch.equal(codes(1 + 1e-7, text, negative), codes(1, text))
    assert not torch.equal(codes(3, text, negative), codes(3, text))


def test_two_texts_change_places_when_the_scale_is_mirrored(lm):
    """Between two texts, u + g (c - u) equals c + (1 - g) (u - c)."""
    text, negative = condition(lm, [3, 6]), condition(lm, [7, 2])
    for g in (-0.5, 0.25, 2.5):
        one = generate_codes(lm, 15, [1, 2], text, Sampling(g, top_k=8), negative=negative)
        other = generate_codes(lm, 15, [1, 2], negative, Sampling(1 - g, top_k=8), negative=text)
        assert torch.equal(one, other)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_with_negative_texts_a_row_is_the_same_alone_and_in_a_batch(lm, sampling):
    text, negative = condition(lm, [3, 6, 1]), condition(lm, [2, 1, 9])
    together = generate_codes(lm, 20, [7, 8, 9], text, sampling, negative=negative)
    for row, seed in enumerate([7, 8, 9]):
        alone = generate_codes(lm, 20, [seed], row_of(text, row), sampling, negative=row_of(negative, row))
        assert torch.equal(alone[0], together[row])
    assert torch.equal(generate_codes(lm, 9, [7, 8, 9], text, sampling, negative=negative), together[:, :, :9])


@pytest.mark.parametrize("lengths", [([2, 5], [7, 1]), ([7, 1], [2, 5]), ([3, 3], [3, 3])])
def test_the_halves_keep_their_words_and_pad_with_masked_zeros(lm, lengths):
    halves = [condition(lm, one) for one in lengths]
    both = both_halves(*halves)
    assert both.states.shape == (4, max(map(max, lengths)), lm.config.dim)
    assert both.mask.sum(1).tolist() == lengths[0] + lengths[1]
    for half, rows in zip(halves, (slice(0, 2), slice(2, 4)), strict=True):
        assert torch.equal(both.states[rows][both.mask[rows]], half.states[half.mask])
    assert not both.states[~both.mask].any()


def test_conditions_of_the_wrong_number_of_rows_are_named(lm):
    two, three, sampling = condition(lm, [2, 3]), condition(lm, [2, 3, 4]), SAMPLINGS[0]
    with pytest.raises(ValueError, match="condition must have one row for each of the 2 seeds, not 3"):
        generate_codes(lm, 5, [1, 2], three, sampling)
    with pytest.raises(ValueError, match="negative must have one row for each of the 2 seeds, not 3"):
        generate_codes(lm, 5, [1, 2], two, sampling, negative=three)
    with pytest.raises(ValueError, match="negative needs a condition"):
        generate_codes(lm, 5, [1, 2], None, sampling, negative=two)


@pytest.mark.parametrize("trial", range(20))
def test_top_k_and_top_p_together_are_those_of_transformers(trial):
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    torch.manual_seed(trial)
    logits = 3 * torch.randn(5, 40)
    temperature, k, p = 0.3 + torch.rand(1).item(), int(torch.randint(1, 41, ())), torch.rand(1).item()
    theirs = logits
    for warper in (TemperatureLogitsWarper(temperature), TopKLogitsWarper(k), TopPLogitsWarper(p)):
        theirs = warper(None, theirs)
    torch.testing.assert_close(distribution(logits, temperature, k, p), theirs.softmax(-1))


@pytest.mark.parametrize("temperature", [1e-45, 1e-37, 1e-30, 1e-3])
def test_the_smallest_temperatures_are_greedy(temperature):
    torch.testing.assert_close(
        distribution(torch.tensor([50.0, 49.0, 1.0]), temperature), torch.tensor([1.0, 0.0, 0.0])
    )
