"""The forms of a linear layer: the same product, each where it is the fastest."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from helpers.random_models import random_lm
from musicgen_edu.fast import matrices
from musicgen_edu.fast.matrices import (
    LARGE,
    LONG,
    Linear,
    LinearForFewRows,
    LinearForMoreRows,
    has_onednn_product,
    matrix,
)
from musicgen_edu.fast.quick import QuickLM

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
    shapes = [(n, 2 * LARGE // LONG) for n in (LONG - 1, LONG)]
    assert [type(matrix(torch.nn.Linear(*shape), 2)) for shape in shapes] == [Linear, LinearForFewRows]
    assert {type(matrix(large.bfloat16(), rows)) for rows in (2, 8)} == {Linear}
    for rows in (1, 2, 8):
        assert matrix(large.float(), rows).weight.untyped_storage().nbytes() == 4 * LARGE


@pytest.mark.parametrize("rows", [2, 3, pytest.param(6, marks=WITH_ONEDNN)])
def test_steps_in_the_forms_for_several_rows_equal_the_forward(monkeypatch, rows):
    monkeypatch.setattr(matrices, "LARGE", 1)
    monkeypatch.setattr(matrices, "LONG", 1)
    model = random_lm(bias=True, head_bias=True)
    quick = QuickLM(model)
    sequence, states = torch.randint(0, 17, (rows, 4, 9)), torch.randn(1, 5, 20)
    full = torch.cat([model(sequence[:1], states), model(sequence[1:])])
    state = quick.start(rows, 9, model.project_text(states, torch.ones(1, 5)))
    form = LinearForFewRows if rows < 4 else LinearForMoreRows
    assert isinstance(state.weights.heads, form)
    assert isinstance(state.weights.layers[1].up, form)
    for s in range(9):
        torch.testing.assert_close(quick.step(sequence[..., s : s + 1], state), full[:, :, s], atol=1e-4, rtol=1e-4)


@WITH_ONEDNN
def test_pytorch_still_has_the_private_product():
    assert has_onednn_product(), (
        "torch.ops.mkldnn._linear_pointwise is gone, or takes other arguments: nothing breaks, but batches of two "
        "clips and more fall back on MKL and lose time; look for its successor (benchmarks/step_time.py --batches 8)"
    )


def refuse(*_):
    raise RuntimeError("this build has none")


@pytest.fixture(params=[SimpleNamespace(), SimpleNamespace(_linear_pointwise=refuse)], ids=["gone", "refused"])
def no_product(request, monkeypatch):
    """A PyTorch without oneDNN's product, or one that refuses it."""
    monkeypatch.setattr(torch.ops, "mkldnn", request.param)
    has_onednn_product.cache_clear()
    yield
    has_onednn_product.cache_clear()


def test_without_the_private_product_a_plain_way_stands_beside_it(no_product, monkeypatch):
    assert not has_onednn_product()
    assert type(matrix(torch.nn.Linear(LARGE // 512, 512), 8)) is Linear
    monkeypatch.setattr(matrices, "LARGE", 1)
    monkeypatch.setattr(matrices, "LONG", 1)
    model = random_lm(bias=True, head_bias=True)
    sequence, lm = torch.randint(0, 17, (6, 4, 9)), QuickLM(model)
    full, state = model(sequence), lm.start(6, 9)
    for s in range(9):
        torch.testing.assert_close(lm.step(sequence[..., s : s + 1], state), full[:, :, s], atol=1e-4, rtol=1e-4)
