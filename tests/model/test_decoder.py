"""The parts of the decoder: heads cut and joined, and a cache that is never copied."""

from __future__ import annotations

import pytest
import torch

from musicgen_edu.model.decoder import KeyValueCache, join_heads, split_heads


def test_the_cache_is_written_in_place_and_never_copied():
    cache = KeyValueCache(2, 2, 3, 8, 5, torch.zeros(1))  # 2 layers
    written = [torch.randn(2, 3, n, 5) for n in (1, 4, 2)]
    for piece in written:
        for layer, factor in enumerate((1, 10)):
            keys, values = cache.write(layer, factor * piece, -factor * piece)
            assert keys.untyped_storage().data_ptr() == cache.memory.untyped_storage().data_ptr()
        cache.length += piece.shape[2]
    assert torch.equal(keys, 10 * torch.cat(written, 2))
    assert torch.equal(values, -keys)
    assert torch.equal(cache.memory[0, 0, :, :, :7], torch.cat(written, 2))
    with pytest.raises(ValueError, match="holds 8 steps, but step 9"):
        cache.write(0, torch.randn(2, 3, 2, 5), torch.randn(2, 3, 2, 5))


def test_heads_are_cut_from_the_width_and_put_back():
    x = torch.arange(2 * 3 * 8).view(2, 3, 8)
    parts = split_heads(x, 4)
    assert parts.shape == (2, 4, 3, 2)
    assert parts[1, 2, 0].tolist() == x[1, 0, 4:6].tolist()
    assert torch.equal(join_heads(parts), x)
