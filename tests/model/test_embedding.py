"""What a column and its place become."""

from __future__ import annotations

import math

import pytest
import torch

from musicgen_edu.model.embedding import CodebookEmbedding, sinusoidal_positions


def test_positions_are_cosines_then_sines_down_to_one_in_ten_thousand():
    table = sinusoidal_positions(50, 8)
    for position in (0, 1, 49):
        for i in range(4):
            angle = position * 10000 ** (-i / 3)
            assert table[position, i].item() == pytest.approx(math.cos(angle), abs=1e-5)
            assert table[position, 4 + i].item() == pytest.approx(math.sin(angle), abs=1e-5)
    with pytest.raises(ValueError, match="even"):
        sinusoidal_positions(5, 7)


def test_embedding_is_the_sum_of_k_rows():
    embedding = CodebookEmbedding(3, 6, 4)
    sequence = torch.randint(0, 6, (2, 3, 5))
    expected = sum(embedding.tables[k][sequence[:, k]] for k in range(3))
    torch.testing.assert_close(embedding(sequence), expected)
