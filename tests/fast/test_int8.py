"""int8 weights: the bound on their error, what a row may depend on, memory, and generation with them."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.judges import save_musicgen, their_musicgen
from helpers.random_models import random_lm
from musicgen_edu.fast import int8
from musicgen_edu.fast.int8 import Int8Linear, input_levels, pack, to_int8
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.lm import MusicgenLM
from musicgen_edu.musicgen import MusicGen

SIZES = {"dim": 64, "feed_forward": 96, "codebook_size": 24, "max_steps": 64}


def random_linear(inputs: int, outputs: int, bias: bool) -> nn.Linear:
    """Rows of very different sizes: one scale for the whole matrix would not do."""
    linear = nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)
    linear.weight *= 10 ** torch.empty(outputs, 1).uniform_(-2, 2)
    return linear


def wide_lm(**changes) -> MusicgenLM:
    return random_lm(noise=0.02, **{**SIZES, **changes})


def weight_and_scale(layer: Int8Linear) -> tuple[torch.Tensor, torch.Tensor]:
    """The integers int8 [out, in], and what they are multiplied by, [out]."""
    weight = torch.ops.quantized.linear_unpack(layer.matrix.packed)[0]
    return weight.int_repr(), weight.q_per_channel_scales().float()


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a model's weights, packed ones included."""
    packed = [module for module in model.modules() if isinstance(module, Int8Linear)]
    numbers = [tensor for layer in packed for tensor in (*weight_and_scale(layer), layer.matrix.bias)]
    return sum(tensor.nbytes for tensor in (*model.parameters(), *numbers) if tensor is not None)


def bound(linear: nn.Linear, x: torch.Tensor, levels: int) -> torch.Tensor:
    """How far [B, out] may be from the exact product.

    w = w' + dw and x = x' + dx with |dw| <= s / 2, s = max|w| / 127 in a row, and |dx| <= t / 2, t = max|x| / levels.
    So |w x - w' x'| = |dw x + w' dx| <= sum(s / 2 |x| + (|w| + s / 2) t / 2). Then float32: 1e-5 of all magnitudes.
    """
    w, x = linear.weight.double(), x.double()
    s = w.abs().amax(1) / 127  # [out]
    t = x.abs().amax(1, keepdim=True) / levels  # [B, 1]
    rounding = x.abs().sum(1, keepdim=True) * s / 2 + (w.abs() + s[:, None] / 2).sum(1) * t / 2
    return rounding + 1e-5 * (x.abs() @ w.abs().t() + 1)


@pytest.mark.parametrize("trial", range(8))
def test_the_error_is_within_the_bound_that_the_roundings_allow(trial):
    torch.manual_seed(trial)
    B, inputs, outputs = torch.randint(1, 70, (3,)).tolist()
    linear = random_linear(inputs, outputs, bias=bool(trial % 2))
    x = torch.randn(B, inputs) * 10 ** torch.empty(B, 1).uniform_(-3, 3)
    exact = x.double() @ linear.weight.double().t() + (0 if linear.bias is None else linear.bias.double())
    error = (Int8Linear(linear)(x).double() - exact).abs()
    assert (error <= bound(linear, x, input_levels())).all()


def test_the_error_is_what_eight_bits_make():
    """Not 0, else nothing was rounded; and with normal numbers about a hundredth."""
    linear, x = random_linear(512, 128, bias=False), torch.randn(40, 512)
    exact = linear(x)
    error = (Int8Linear(linear)(x) - exact).norm() / exact.norm()
    assert 0.004 < error < 0.02


def test_integers_come_out_exactly():
    levels = input_levels()
    w, x = torch.randint(-127, 128, (16, 40)).float(), torch.randint(-levels, levels + 1, (5, 40)).float()
    w[:, 3], x[:, 7] = 127, -levels  # so that every scale is 1
    linear = nn.Linear(40, 16, bias=False)
    linear.weight.data = w
    torch.testing.assert_close(Int8Linear(linear)(x), x @ w.t(), atol=0, rtol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_a_row_does_not_depend_on_the_others_and_a_row_of_zeros_gives_the_bias(bias):
    linear = random_linear(48, 33, bias)
    x = torch.randn(6, 48) * torch.tensor([1.0, 100, 1e-4, 0, 3, 1e6])[:, None]
    layer = Int8Linear(linear)
    together = layer(x)
    for row in range(6):
        torch.testing.assert_close(layer(x[row : row + 1])[0], together[row], atol=0, rtol=1e-6)
    assert torch.equal(together[3], linear.bias if bias else torch.zeros(33))


def test_a_row_of_zeros_is_not_divided_by_zero(monkeypatch):
    """What a NaN becomes as an integer is up to the processor."""
    product, seen = int8._product, []
    monkeypatch.setattr(int8, "_product", lambda x, *others: (seen.append(x), product(x, *others))[1])
    Int8Linear(random_linear(48, 33, False))(torch.zeros(2, 48))
    assert torch.equal(seen[-1], torch.zeros(2, 48))


@pytest.mark.parametrize("bias", [False, True])
def test_both_uses_of_a_matrix_agree_for_every_layout(bias):
    layer = Int8Linear(random_linear(48, 33, bias))
    y, x = torch.randn(4, 48), torch.randn(4, 33)
    expected = x + layer(y)
    layer.matrix.add_to(x, y)
    torch.testing.assert_close(x, expected)
    torch.testing.assert_close(layer(y.t().contiguous().t()), layer(y))
    torch.testing.assert_close(layer(y.view(2, 2, 48)).flatten(0, 1), layer(y))


def test_each_weight_is_rounded_to_the_nearest_of_its_rows_levels():
    linear = random_linear(70, 20, bias=False)
    integers, scale = weight_and_scale(Int8Linear(linear))
    assert integers.dtype == torch.int8
    assert (integers.int().abs().amax(1) == 127).all()
    torch.testing.assert_close(scale, linear.weight.abs().amax(1) / 127)
    error = (integers * scale[:, None] - linear.weight).abs()
    assert (error <= scale[:, None] * 0.5001).all()


def test_a_processor_whose_sums_overflow_gets_inputs_of_seven_bits(monkeypatch):
    product = int8._product

    def saturating(x, packed, levels, scale):
        """As without VNNI: what two products add up to is cut at 16 bits; inputs are stored as 0 to 2 * levels + 1."""
        if (2 * levels + 1) * 127 * 2 > 2**15:
            return product(x, packed, levels, scale) * 0.5
        return product(x, packed, levels, scale)

    monkeypatch.setattr(int8, "_product", saturating)
    input_levels.cache_clear()
    try:
        assert input_levels() == 63
        linear, x = random_linear(48, 33, True), torch.randn(5, 48)
        exact = nn.functional.linear(x.double(), linear.weight.double(), linear.bias.double())
        error = (Int8Linear(linear)(x).double() - exact).abs()
        assert (error <= bound(linear, x, 63)).all()
    finally:
        input_levels.cache_clear()


def test_a_processor_whose_sums_are_exact_gets_inputs_of_eight_bits(monkeypatch):
    def exact(x, packed, levels, scale):
        weight = torch.ops.quantized.linear_unpack(packed)[0].dequantize()
        return ((x / scale).round().clamp(-levels - 1, levels) * scale) @ weight.t()

    monkeypatch.setattr(int8, "_product", exact)
    input_levels.cache_clear()
    try:
        assert input_levels() == 127
    finally:
        input_levels.cache_clear()


def test_a_pytorch_without_the_kernels_is_a_clear_error(monkeypatch):
    def missing(weight):
        raise RuntimeError("Didn't find engine for operation quantized::linear_prepack")

    monkeypatch.setattr(int8, "pack", missing)
    input_levels.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"need the FBGEMM kernels .* Didn't find engine"):
            to_int8(wide_lm())
    finally:
        input_levels.cache_clear()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_packed_matrix_takes_a_quarter_and_no_other_copy_stays():
    pack(torch.randn(64, 64))  # the library's own memory
    gc.collect()
    before = resident_bytes()
    linear = nn.Linear(4096, 4096, bias=False).requires_grad_(False)
    full = resident_bytes() - before
    layer = Int8Linear(linear)
    del linear
    gc.collect()
    packed = resident_bytes() - before
    assert full > 60e6
    assert packed < 0.35 * full
    assert layer.out_features == 4096


def test_the_matrices_of_the_layers_and_the_heads_are_packed_and_nothing_else():
    model = wide_lm(dim=128, feed_forward=512)
    before = weight_bytes(model)
    assert before == 4 * sum(parameter.numel() for parameter in model.parameters())
    small = model.embedding.tables.nbytes + sum(p.nbytes for p in model.text_projection.parameters())
    to_int8(model)
    packed = {name for name, module in model.named_modules() if isinstance(module, Int8Linear)}
    names = ["self_attention.qkv", "self_attention.out", "cross_attention.q", "cross_attention.kv"]
    names += ["cross_attention.out", "up", "down"]
    assert packed == {"heads"} | {f"decoder.layers.{i}.{name}" for i in range(3) for name in names}
    assert {name.split(".")[0] for name, m in model.named_modules() if isinstance(m, nn.Linear)} == {"text_projection"}
    assert 0.24 < (weight_bytes(model) - small) / (before - small) < 0.27


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("student", [False, True])
def test_logits_come_close_and_steps_equal_the_forward(student, quick):
    """One level up or down in a few inputs is all that may differ between the two ways of computing."""
    changes = {"bias": True, "head_bias": True, "final_norm": False, "text_layers": 2} if student else {}
    model = wide_lm(**changes)
    sequence, states = torch.randint(0, 25, (3, 4, 20)), torch.randn(3, 5, 20)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
    exact = model(sequence, states, mask)
    to_int8(model)
    rounded = model(sequence, states, mask)
    error = (rounded - exact).norm() / exact.norm()
    assert 1e-4 < error < 0.03
    lm = QuickLM(model) if quick else model
    state = lm.start(3, 20, model.project_text(states, mask))
    starts, differences = [0, *range(6, 20)], []  # the first six columns at once, as a prompt
    for begin, end in zip(starts, [*starts[1:], 20], strict=True):
        logits = lm.step(sequence[:, :, begin:end], state)
        differences.append((logits - rounded[:, :, end - 1]).norm() / rounded[:, :, end - 1].norm())
    assert max(differences) < error  # an input between two levels may go to the other one
    assert torch.stack(differences).median() < 1e-5


def test_a_bfloat16_model_can_be_packed_and_has_the_exact_positions_again():
    model = wide_lm().bfloat16()
    to_int8(model)
    assert torch.equal(model.positions, wide_lm().positions)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.start(1, 2).cache.memory.dtype == torch.float32


def test_it_can_only_generate():
    model = to_int8(wide_lm())
    for attempt in (model.train, model.state_dict, lambda: model.load_state_dict({})):
        with pytest.raises(ValueError, match="can only generate"):
            attempt()
    for attempt in (model.half, lambda: model.to(torch.bfloat16), model.double):
        with pytest.raises(ValueError, match="stay on the CPU, beside float32"):
            attempt()
    layer = model.decoder.layers[0].up
    with pytest.raises(ValueError, match="no gradient"):
        layer(torch.randn(1, 64, requires_grad=True))
    assert model.eval().to("cpu").float() is model
    with torch.device("meta"):
        elsewhere = MusicgenLM(wide_lm().config)
    with pytest.raises(ValueError, match="for the CPU, not for meta"):
        to_int8(elsewhere)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return save_musicgen(their_musicgen(), tmp_path_factory.mktemp("published"))


@pytest.mark.parametrize("dtype", [torch.int8, torch.bfloat16])
def test_generation_in_reduced_precision(folder, dtype):
    """Guidance, unequal prompts, one without words, a recording to go on from, a negative prompt, and streaming."""
    model = MusicGen.from_pretrained(folder, device="cpu", dtype=dtype)
    options = {
        "seconds": 0.6, "seed": [3, 4, 5], "top_k": 8, "prompt_audio": 0.1 * torch.randn(1, 160),
        "prompt_sample_rate": 800, "negative_prompts": ["drums", "", "slow piano"],
    }  # fmt: skip
    prompts = ["a calm bell", "", "fast organ in c minor with no drums"]
    whole = model.generate(prompts, **options)
    assert whole.shape == (3, 1, 480)
    assert whole.isfinite().all()
    pieces = list(model.stream(prompts, chunk_seconds=0.13, **options))
    assert len(pieces) > 2
    torch.testing.assert_close(torch.cat(pieces, -1), whole, atol=1e-5, rtol=0)


def test_in_int8_a_seed_gives_the_same_music_alone_and_in_a_batch(folder):
    model = MusicGen.from_pretrained(folder, dtype=torch.int8)
    prompts, seeds = ["a calm bell", "", "fast organ in c minor"], [3, 4, 5]
    together = model.generate_codes(prompts, 0.6, seed=seeds, top_k=8)
    for row in range(3):
        assert torch.equal(
            model.generate_codes(prompts[row : row + 1], 0.6, seed=seeds[row], top_k=8)[0], together[row]
        )


def test_int8_is_for_the_cpu(folder):
    with pytest.raises(ValueError, match="int8 weights are for the CPU, not for cuda: use bfloat16 there"):
        MusicGen.from_pretrained(folder, device="cuda", dtype=torch.int8)
