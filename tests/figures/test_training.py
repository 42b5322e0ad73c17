"""The drawings of lesson 07 show the numbers that they are given, and refuse what they cannot draw."""

import base64
import re

import pytest
import torch

from musicgen_edu.figures.training import courses, loss_table, similarity_table


def svg_texts(picture):
    """What is written in an SVG picture."""
    source = base64.b64decode(picture.source.split(",", 1)[1]).decode()
    return re.findall(r">([^<>]+)</text>", source)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_table_writes_every_target_and_the_mean_of_each_row(seed):
    generator = torch.Generator().manual_seed(seed)
    K, S = (int(torch.randint(1, 7, (), generator=generator)) for _ in range(2))
    nats, valid = 9 * torch.rand(K, S, generator=generator), torch.rand(K, S, generator=generator) < 0.6
    valid[:, -1] = True
    texts = svg_texts(loss_table(nats, valid))
    assert texts.count("·") == int((~valid).sum())
    for k in range(K):
        own = nats[k][valid[k]]
        assert f"{own.mean():.3f}  (of {len(own)})" in texts
        assert all(f"{one:.2f}" in texts for one in own)


def test_what_is_no_target_is_not_looked_at():
    nats, valid = torch.tensor([[1.0, float("nan")]]), torch.tensor([[True, False]])
    assert "1.000  (of 1)" in svg_texts(loss_table(nats, valid))


def test_a_table_without_targets_or_with_two_shapes_is_refused():
    with pytest.raises(ValueError, match=r"counts are \[2, 0\]"):
        loss_table(torch.zeros(2, 2), torch.tensor([[True, True], [False, False]]))
    with pytest.raises(ValueError, match=r"not \[2, 2\] and \[2, 3\]"):
        loss_table(torch.zeros(2, 2), torch.ones(2, 3, dtype=torch.bool))


def test_similarities_need_a_row_for_each_name():
    assert "a; b" in similarity_table(["a", "b"], torch.eye(2)).description
    with pytest.raises(ValueError, match=r"2 names need values of shape \[2, 2\], not \[3, 3\]"):
        similarity_table(["a", "b"], torch.eye(3))


def test_courses_name_their_lines_and_need_one():
    picture = courses({"left": {"loss": ([0, 1], [2.0, 1.0])}, "right": {"weight": ([0], [0.5])}}, "step", "nats", [1])
    assert picture.description == "nats against step: left: loss; right: weight"
    for panels in ({}, {"left": {}}):
        with pytest.raises(ValueError, match="at least one line"):
            courses(panels, "step", "nats")
