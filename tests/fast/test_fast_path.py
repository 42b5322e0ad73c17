"""The quick forms of a step: weights read once for two rows, a step of fixed sizes, and reduced number formats."""

from __future__ import annotations

import collections
import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

from helpers.judges import SMALL_DECODER, our_lm, spread
from musicgen_edu.fast import cuda_graph
from musicgen_edu.fast import step as decoder_step
from musicgen_edu.fast.cuda_graph import StaticStep, record
from musicgen_edu.fast.step import (
    LARGE,
    Linear,
    LinearForFewRows,
    LinearForMoreRows,
    StepWeights,
    matrix,
    single_step,
    static_step,
)
from musicgen_edu.model import lm
from musicgen_edu.model.decoder import Condition, Decoder
from musicgen_edu.model.generation import generate_codes, run_steps
from musicgen_edu.model.lm import LMConfig, MusicgenLM
from musicgen_edu.model.patterns import pattern_table
from musicgen_edu.model.sampling import Sampling, UniformNumbers

CONFIG = LMConfig(dim=32, heads=4, layers=3, feed_forward=48, codebook_size=16, text_dim=20, max_steps=16)


def random_lm(**changes) -> MusicgenLM:
    model = MusicgenLM(LMConfig(**{**CONFIG.__dict__, **changes})).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def random_decoder(bias: bool) -> Decoder:
    decoder = Decoder(24, 3, 4, 40, bias=bias).requires_grad_(False)
    for parameter in decoder.parameters():
        parameter.copy_(torch.randn_like(parameter) / 4)
    return decoder


def random_texts(decoder: Decoder, rows: int) -> list:
    """The first row has no words, the others more and more; no rows: no condition."""
    if not rows:
        return decoder.prepare(None)
    mask = torch.arange(7) < torch.arange(rows)[:, None]
    return decoder.prepare(Condition(torch.randn(rows, 7, 24), mask))


WITH_ONEDNN = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="a PyTorch without oneDNN")


@pytest.mark.parametrize("form", [LinearForFewRows, pytest.param(LinearForMoreRows, marks=WITH_ONEDNN)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("trial", range(4))
def test_the_forms_for_several_rows_are_the_same_product(trial, bias, form):
    torch.manual_seed(trial)
    B, inputs, outputs = torch.randint(1, 50, (3,)).tolist()
    layer = torch.nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)
    x, y = torch.randn(B, inputs), torch.randn(B, outputs)
    form = form(layer.weight, layer.bias)
    torch.testing.assert_close(form(x), layer(x), atol=1e-6, rtol=1e-5)
    assert form(x).is_contiguous()  # what follows is four times slower otherwise
    expected = y + layer(x)
    form.add_to(y, x)
    torch.testing.assert_close(y, expected, atol=1e-6, rtol=1e-5)


@WITH_ONEDNN
def test_only_several_long_rows_of_a_large_float32_matrix_take_those_forms():
    large = torch.nn.Linear(LARGE // 512, 512)
    forms = [type(matrix(large, rows)) for rows in range(1, 6)]
    assert forms == [Linear, LinearForFewRows, LinearForFewRows, LinearForMoreRows, LinearForMoreRows]
    assert type(matrix(torch.nn.Linear(LARGE // 512 - 1, 512), 2)) is Linear
    long = decoder_step.LONG
    shapes = [(n, 2 * LARGE // long) for n in (long - 1, long)]
    assert [type(matrix(torch.nn.Linear(*shape), 2)) for shape in shapes] == [Linear, LinearForFewRows]
    assert {type(matrix(large.bfloat16(), rows)) for rows in (2, 8)} == {Linear}
    for rows in (1, 2, 8):
        assert matrix(large.float(), rows).weight.untyped_storage().nbytes() == 4 * LARGE


@pytest.mark.parametrize("rows", [2, 3, pytest.param(6, marks=WITH_ONEDNN)])
def test_steps_in_the_forms_for_several_rows_equal_the_forward(monkeypatch, rows):
    monkeypatch.setattr(decoder_step, "LARGE", 1)
    monkeypatch.setattr(decoder_step, "LONG", 1)
    model = random_lm(bias=True, head_bias=True)
    sequence, states = torch.randint(0, 17, (rows, 4, 9)), torch.randn(1, 5, 20)
    full = torch.cat([model(sequence[:1], states), model(sequence[1:])])
    state = model.start(rows, 9, model.project_text(states, torch.ones(1, 5)))
    form = LinearForFewRows if rows < 4 else LinearForMoreRows
    assert isinstance(state.heads, form)
    assert isinstance(state.weights.layers[1].up, form)
    for s in range(9):
        torch.testing.assert_close(model.step(sequence[..., s : s + 1], state), full[:, :, s], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [0, 2, 5])
def test_the_static_step_equals_the_single_step(bias, rows):
    decoder = random_decoder(bias)
    texts, weights = random_texts(decoder, rows), StepWeights.of(decoder, 5)
    growing, fixed = decoder.new_cache(5, 9), decoder.new_cache(5, 9)
    fixed.memory.fill_(1e4)  # finite, as is asked for, and ruinous if it is seen
    for s in range(9):
        x = torch.randn(5, 24)
        expected = single_step(x, weights, texts, growing)
        torch.testing.assert_close(
            static_step(x, weights, texts, fixed, torch.tensor([s])), expected, atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(fixed.memory[..., : s + 1, :], growing.memory[..., : s + 1, :])
        assert (fixed.memory[..., s + 1 :, :] == 1e4).all()
    assert fixed.length == 0


class Replayed(StaticStep):
    """As a recording has it: the logits of each step lie where those of the step before lay."""

    def run(self):
        place = self.logits
        self.compute()
        if place is not None:
            self.logits = place.copy_(self.logits)


@pytest.mark.parametrize("prompt", [1, 5])
def test_static_steps_of_a_model_equal_its_steps_also_after_a_prompt_and_beyond_the_table_of_positions(prompt):
    model, steps = random_lm(), 30  # the table has 16 rows
    twin = copy.deepcopy(model)  # its table grows by itself
    condition = model.project_text(torch.randn(2, 5, 20), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]))
    sequence = torch.randint(0, 17, (4, 4, steps))
    plain, state = twin.start(4, steps, condition), model.start(4, steps, condition)
    state.cache.memory.fill_(torch.nan)  # memory that nobody has written may hold anything
    twin.step(sequence[:, :, :prompt], plain), model.step(sequence[:, :, :prompt], state)
    static, given = Replayed(model, state), []
    for s in range(prompt, steps):
        expected = twin.step(sequence[:, :, s : s + 1], plain)
        given.append((static(sequence[:, :, s : s + 1]), expected))
    for logits, expected in given:  # only now: a later step must not write over what an earlier one gave
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    assert state.length == steps
    with pytest.raises(ValueError, match="holds 30 steps, but step 31"):
        static(sequence[:, :, :1])


def test_a_static_step_uses_the_same_memory_each_time():
    """What a recording needs: between two steps nothing that it reads changes its place."""
    model = random_lm()
    state = model.start(2, 6)
    static = StaticStep(model, state)

    def places():
        return [t.data_ptr() for t in (static.columns, static.position, static.cache.memory, model.positions)]

    before = places()
    for _ in range(6):
        static(torch.randint(0, 17, (2, 4, 1)))
        assert places() == before


def test_generation_goes_through_the_recorded_step(monkeypatch):
    """As on CUDA, with a recording that is played by computing anew."""
    model = random_lm()
    condition = model.project_text(torch.randn(2, 5, 20), torch.ones(2, 5))
    expected = generate_codes(model, 12, [1, 2], condition, Sampling(top_k=5))
    start, calls = model.start, []

    class Counted(StaticStep):
        def run(self):
            calls.append(1)
            super().run()

    def recordable(*arguments):
        state = start(*arguments)
        state.recordable = True
        return state

    monkeypatch.setattr(model, "start", recordable)
    monkeypatch.setattr(lm, "record", Counted)
    assert torch.equal(generate_codes(model, 12, [1, 2], condition, Sampling(top_k=5)), expected)
    assert len(calls) == 15


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine that cannot record")
def test_generation_goes_on_where_nothing_can_be_recorded():
    model = random_lm()
    state, plain = model.start(2, 3), model.start(2, 3)
    state.recordable = True
    columns = torch.randint(0, 17, (2, 4, 3))
    with pytest.warns(UserWarning, match="could not be recorded as a CUDA graph"):
        first = model.step(columns[..., :1], state)
    assert not state.recordable
    assert torch.equal(first, model.step(columns[..., :1], plain))
    for s in (1, 2):
        assert torch.equal(model.step(columns[..., s : s + 1], state), model.step(columns[..., s : s + 1], plain))
    assert record(model, model.start(1, 1)) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_recorded_step_equals_the_plain_one_on_cuda(dtype):
    model = random_lm().to("cuda", dtype)
    condition = model.project_text(torch.randn(1, 5, 20, device="cuda", dtype=dtype), torch.ones(1, 5, device="cuda"))
    columns = torch.randint(0, 17, (2, 4, 40), device="cuda")
    plain, state = model.start(2, 40, condition), model.start(2, 40, condition)
    plain.recordable = False
    model.step(columns[..., :3], plain), model.step(columns[..., :3], state)
    for s in range(3, 40):
        expected = model.step(columns[..., s : s + 1], plain)
        tolerance = 1e-4 if dtype == torch.float32 else 0.05
        torch.testing.assert_close(model.step(columns[..., s : s + 1], state), expected, atol=tolerance, rtol=tolerance)
    assert isinstance(state.recorded, cuda_graph.RecordedStep)


class Count(TorchDispatchMode):
    """Counts the operations that PyTorch is asked for."""

    def __init__(self):
        super().__init__()
        self.operations = collections.Counter()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.operations[str(function)] += 1
        return function(*arguments, **(options or {}))


@torch.no_grad()
def test_late_steps_ask_for_no_more_operations_than_early_ones():
    model = random_lm(max_steps=256)
    condition = model.project_text(torch.randn(2, 5, 20), torch.ones(2, 5))
    steps = run_steps(
        model, pattern_table("delay", 4, 200), 200, UniformNumbers([1, 2], 4), condition, Sampling(top_k=5)
    )
    counts = []
    for _ in range(200):
        with Count() as count:
            next(steps)
        counts.append(count.operations)
    assert sum(counts[5].values()) > 50
    assert all(count == counts[5] for count in counts[5:-1])  # in the last one a slice is the whole, another operation


@pytest.mark.parametrize("dtype,eps", [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
@torch.no_grad()
def test_reduced_formats_equal_transformers_as_far_as_the_format_goes(dtype, eps):
    """Both sides round some 20 times a layer, in another order: each time by at most eps / 2 of the number.

    Independent roundings add up like the root of their number: sqrt(2 layers * 20 * 2 sides) * eps / 2, about 5 eps.
    And the logits must not be further from those of float32, same weights, than theirs are.
    """
    torch.manual_seed(0)
    theirs = MusicgenForCausalLM(MusicgenDecoderConfig(**SMALL_DECODER)).eval()
    spread(theirs)
    theirs.to(dtype).float()  # weights that the format has
    exact, reduced = our_lm(theirs), our_lm(theirs).to(dtype)
    theirs.to(dtype)
    B, S = 6, 24
    sequence, states, mask = torch.randint(0, 17, (B, 4, S)), torch.randn(B, 7, 32), torch.ones(B, 7)
    mask[1, 3:] = 0
    states = states.to(dtype) * mask[..., None].to(dtype)
    expected = theirs(sequence.view(B * 4, S), encoder_hidden_states=states, encoder_attention_mask=mask.long()).logits
    expected = expected.view(B, 4, S, 16).float()
    reference = exact(sequence, states.float(), mask)
    state = reduced.start(B, S, reduced.project_text(states, mask.to(dtype)))
    steps = [reduced.step(sequence[:, :, s : s + 1], state) for s in range(S)]
    assert steps[0].dtype == dtype
    for logits in (reduced(sequence, states, mask.to(dtype)), torch.stack(steps, 2)):
        difference = (logits.float() - expected).norm() / expected.norm()
        assert difference < 5 * eps
        ours, judge = ((given.float() - reference).norm() / reference.norm() for given in (logits, expected))
        assert 0 < ours < 1.25 * judge
