"""The drawings of lesson 06 show the numbers that they are given."""

import base64
import re

import numpy as np
import torch

from musicgen_edu.figures.decoder import attention_grid, codebook_bars, grids, influence_grid, position_tables


def test_small_tables_are_written_cell_by_cell():
    picture = grids({"codes": [[1, 12], [3, 4]], "words": [["a", "<b>"]]})
    assert picture.description == "tables: codes, words"
    drawing = base64.b64decode(picture.source.split(",")[1]).decode()
    assert re.findall(r">([^<>]+)</text>", drawing) == ["codes", "1", "12", "3", "4", "words", "a", "&lt;b&gt;"]
    assert drawing.count("<rect") == 1 + 6


def test_each_table_of_positions_and_each_head_has_its_picture(drawn):
    axes, tables = drawn("decoder"), {"one": torch.rand(5, 6), "two": torch.rand(3, 6)}
    assert position_tables(tables) == "tables of positions: one, two"
    for one, table in zip(axes, tables.values(), strict=False):
        np.testing.assert_array_equal(one.images[0].get_array(), table.numpy())
    maps, axes = torch.rand(3, 2, 9, 9), drawn("decoder")
    assert attention_grid(maps) == "self-attention of 3 layers and 2 heads over 9 columns"
    for place, one in enumerate(axes):  # a row of pictures a head, a column a layer
        h, layer = divmod(place, 3)
        np.testing.assert_array_equal(one.images[0].get_array(), maps[layer, h].sqrt().numpy())


def test_bars_are_as_high_as_the_values_of_their_codebook(drawn):
    axes = drawn("decoder")
    codebook_bars({"left": [1, 2, 3], "right": [4, 5, 6]}, "nats")
    heights = [[bar.get_height() for bar in bars] for bars in axes[0].containers]
    assert heights == [[1, 4], [2, 5], [3, 6]]
    places = sorted(bar.get_x() for bars in axes[0].containers for bar in bars)
    assert len(set(places)) == 6


def test_the_frame_that_a_head_writes_is_outlined_and_the_last_column_stands_on_the_right(drawn):
    axes, effect = drawn("decoder"), torch.rand(4, 4, 6)
    influence_grid(effect)
    for k, one in enumerate(axes[:4]):
        np.testing.assert_array_equal(one.images[0].get_array(), effect[k].flip(1).numpy())
        corners = [(box.get_x() + 0.5, box.get_y() + 0.5) for box in one.patches]
        assert corners == [(6 - (k - source), source) for source in range(k)]  # lag k - 1 - source, from the right
