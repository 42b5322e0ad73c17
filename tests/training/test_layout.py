"""What is trained on, and its loss: a pattern's targets, padding that is nothing, noise that keeps to codes."""

from __future__ import annotations

import pytest
import torch

from helpers.training_runs import KEPT, V, loss_of, random_batch, small_model
from musicgen_edu.model.patterns import PATTERNS, holds_code, interleave, num_steps, pattern_table
from musicgen_edu.training.layout import Batch, make_update, pattern_columns, pattern_loss, pattern_sequence, with_noise


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(("K", "T"), [(4, 9), (4, 2), (1, 5), (3, 1)])
def test_the_columns_that_count_are_those_that_a_longer_clip_has_too(pattern, K, T):
    columns, S = pattern_columns(pattern, K, T), num_steps(pattern_table(pattern, K, T))
    cells, longer = holds_code(pattern_table(pattern, K, T)), holds_code(pattern_table(pattern, K, 3 * T + 1))
    if pattern == "coarse-first" and K > 1:  # its order depends on the length
        assert columns == S + 1
        return
    assert torch.equal(cells[:, :columns], longer[:, :columns])
    assert columns == S + 1 or not torch.equal(cells[:, columns], longer[:, columns])  # and not one fewer


def test_targets_of_each_pattern():
    targets = {
        name: pattern_sequence(torch.zeros(1, 4, 9).long(), name, V)[1][:, 1:].sum(1).tolist() for name in PATTERNS
    }
    assert targets["delay"] == [9, 8, 7, 6]
    assert targets["partial delay"] == [9, 8, 8, 8]
    for name in ("parallel", "flattening", "coarse-first", "partial flattening"):
        assert targets[name] == [9] * 4


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_padded_row_costs_what_it_costs_alone_and_padding_is_nothing(pattern):
    model = small_model().eval()
    codes, captions, lengths = random_batch(3, 7, 11)
    assert len(set(lengths.tolist())) > 3
    with torch.no_grad():
        loss, per_codebook = loss_of(model, codes, captions, KEPT, pattern, lengths=lengths)
        sums, counts = torch.zeros(4), torch.zeros(4)
        for i, length in enumerate(lengths.tolist()):
            cells = pattern_sequence(codes[i : i + 1, :, :length], pattern, V)[1][:, 1:].sum(1)
            alone = loss_of(model, codes[i : i + 1, :, :length], captions[i : i + 1], KEPT[:1], pattern)[1]
            sums, counts = sums + alone * cells, counts + cells
        torch.testing.assert_close(per_codebook, sums / counts, atol=1e-6, rtol=0)
        torch.testing.assert_close(loss, per_codebook.mean())
        behind = torch.arange(11) >= lengths[:, None, None]
        other = torch.where(behind, torch.randint(0, V, codes.shape), codes)
        assert not torch.equal(other, codes)
        assert torch.equal(loss_of(model, other, captions, KEPT, pattern, lengths=lengths)[1], per_codebook)


def test_whole_rows_need_no_lengths():
    model, (codes, captions, _) = small_model().eval(), random_batch(4, 7, 9)
    whole = torch.full((7,), 9)
    with torch.no_grad():
        assert loss_of(model, codes, captions, KEPT)[0] == loss_of(model, codes, captions, KEPT, lengths=whole)[0]


@pytest.mark.parametrize("lengths", [[0, 3], [3, 10], [3]])
def test_lengths_that_make_no_sense_are_refused(lengths):
    codes, captions, _ = random_batch(5, 2, 9)
    with pytest.raises(ValueError, match="lengths"):
        make_update(Batch(codes, captions, torch.tensor(lengths)), "delay", V)


def test_clips_too_short_for_the_pattern_are_refused():
    with pytest.raises(ValueError, match=r"at least one valid position, but the counts are \[4, 2, 1, 0\]"):
        make_update(Batch(torch.zeros(2, 4, 3).long(), ["a", "b"], torch.tensor([1, 3])), "delay", V)


def test_the_delayed_loss_has_t_minus_k_targets_a_codebook():
    update = make_update(Batch(torch.randint(0, V, (1, 4, 9)), ["low"]), "delay", V)
    assert update.valid.sum((0, 2)).tolist() == update.counts.tolist() == [9, 8, 7, 6]
    assert update.given.shape[2] == update.targets.shape[2] == 9


def test_the_loss_by_hand():
    logits = torch.randn(2, 4, 5, V)
    update = make_update(Batch(torch.randint(0, V, (2, 4, 5)), ["low", "high"]), "delay", V)
    paid, log_p = [[] for _ in range(4)], logits.log_softmax(-1)
    for b in range(2):
        for k in range(4):
            for s in range(k, 5):  # codebook k starts k columns later
                paid[k].append(-log_p[b, k, s, update.targets[b, k, s]])
    loss, per_codebook = pattern_loss(lambda captions, given, dropped: logits, update)
    expected = torch.stack([torch.stack(one).mean() for one in paid])
    torch.testing.assert_close(per_codebook, expected)
    torch.testing.assert_close(loss, expected.mean())


def test_an_empty_caption_is_a_dropped_one():
    model, (codes, captions, _) = small_model().eval(), random_batch(11, 7, 9)
    with torch.no_grad():
        empty = loss_of(model, codes, ["", " ", *captions[2:]], KEPT)[1]
        dropped = loss_of(model, codes, captions, torch.arange(7) < 2)[1]
        assert torch.equal(empty, dropped)
        assert not torch.equal(empty, loss_of(model, codes, captions, KEPT)[1])


def test_noise_in_a_padded_batch_keeps_to_codes():
    batch = random_batch(10, 50, 9)
    clean = make_update(batch, "delay", V)
    noisy = make_update(batch, "delay", V, noise=0.9)
    assert torch.equal(clean.given == V, noisy.given == V)
    assert (clean.given != noisy.given).any()


def test_noise_replaces_codes_only_and_not_more_than_it_may():
    table = pattern_table("delay", 4, 50)
    codes = torch.arange(400).view(400, 1, 1).expand(400, 4, 50)  # each row has a number of its own
    sequence = interleave(codes, table, 999)
    cells = holds_code(table)
    noisy = with_noise(sequence, cells, 0.2)
    changed = noisy != sequence
    assert torch.equal(noisy == 999, sequence == 999)  # special tokens stay where they are
    assert torch.equal(noisy[changed], ((sequence - 1) % 400)[changed])  # the code of the next row at the same place
    share = changed.sum((1, 2)) / 200
    assert (share == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert share.mean() == pytest.approx(0.05, abs=0.01)
    assert share.max() < 0.32
    assert torch.equal(with_noise(sequence, cells, 0.0), sequence)
