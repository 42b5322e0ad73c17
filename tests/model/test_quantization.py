"""What must be true of vector and residual vector quantization."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from musicgen_edu.model.quantization import (
    ResidualVectorQuantizer,
    VectorQuantizer,
    bit_rate,
    kmeans,
    nearest_code,
    perplexity,
)


@pytest.mark.parametrize("trial", range(5))
def test_nearest_code_is_the_nearest(trial):
    torch.manual_seed(trial)
    N, V, D = (int(n) for n in torch.randint(1, 40, (3,)))
    vectors, codebook = torch.randn(N, D), torch.randn(V, D)
    distances = ((vectors[:, None] - codebook[None]) ** 2).sum(-1)  # [N, V], the slow and obvious way
    chosen = distances.gather(1, nearest_code(vectors, codebook)[:, None])[:, 0]
    torch.testing.assert_close(chosen, distances.min(1).values)


def test_gradient_goes_straight_through():
    quantizer = VectorQuantizer(8, 3).train()
    x = torch.randn(2, 3, 5, requires_grad=True)
    quantized, _, _ = quantizer(x)
    weights = torch.randn_like(quantized)
    (quantized * weights).sum().backward()
    torch.testing.assert_close(x.grad, weights)


def test_quantized_values_are_codebook_entries_in_spite_of_the_straight_through_trick():
    quantizer = VectorQuantizer(8, 3).train()
    quantized, codes, _ = quantizer(torch.randn(2, 3, 5))
    quantizer.eval()
    x = torch.randn(2, 3, 5)
    quantized, codes, _ = quantizer(x)
    torch.testing.assert_close(quantized, quantizer.decode(codes))


def test_commitment_loss_pulls_the_input_to_its_entry_and_not_the_entry():
    quantizer = VectorQuantizer(4, 2).eval()
    quantizer.embed.copy_(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]))
    x = torch.tensor([[[1.0], [2.0]]], requires_grad=True)  # [1, 2, 1], nearest to entry 0
    _, codes, loss = quantizer(x)
    assert codes.tolist() == [[0]]
    assert loss.item() == pytest.approx((1 + 4) / 2)
    loss.backward()
    torch.testing.assert_close(x.grad, x.detach())  # 2 (x - e) / 2 numbers
    assert not quantizer.embed.requires_grad


def test_moving_averages_follow_their_formula():
    quantizer = VectorQuantizer(2, 1, decay=0.9, epsilon=0.0, dead_threshold=0.0).train()
    quantizer.init_codebook(torch.tensor([[0.0], [10.0]]))
    low, high = quantizer.embed.flatten().sort().values.tolist()
    assert (low, high) == (0.0, 10.0)
    x = torch.tensor([[[1.0, 3.0, 8.0]]])  # two vectors near 0, one near 10
    quantizer(x)
    # counts: 0.9 * 1 + 0.1 * n; sums: 0.9 * e + 0.1 * sum; entry = sums / counts
    expected = [(0.9 * 0 + 0.1 * 4) / (0.9 + 0.2), (0.9 * 10 + 0.1 * 8) / (0.9 + 0.1)]
    torch.testing.assert_close(quantizer.embed.flatten().sort().values, torch.tensor(expected))


@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_the_counts_are_smoothed_so_that_an_entry_nobody_chose_stays_finite(epsilon):
    """(n + epsilon) / (N + V epsilon) * N (van den Oord et al. 2017, appendix A.1, with Laplace's smoothing)."""
    quantizer = VectorQuantizer(4, 1, decay=0.75, epsilon=epsilon, dead_threshold=0.0).train()
    quantizer.init_codebook(torch.tensor([[0.0], [10.0], [20.0], [1000.0]]))
    quantizer.embed_avg[quantizer.embed[:, 0] == 1000.0] = 3.0  # a sum that is left of an entry
    quantizer.cluster_size[quantizer.embed[:, 0] == 1000.0] = 0.0  # that nobody has chosen for long
    quantizer(torch.tensor([[[1.0, 3.0, 8.0, 19.0]]]))
    counts, sums = [0.75 + 0.5, 0.75 + 0.25, 0.75 + 0.25, 0.0], [0.25 * 4, 7.5 + 2.0, 15 + 0.25 * 19, 0.75 * 3]
    total = sum(counts)
    expected = [x * (total + 4 * epsilon) / ((n + epsilon) * total) for x, n in zip(sums, counts, strict=True)]
    torch.testing.assert_close(quantizer.embed[:, 0].sort().values, torch.tensor(expected).sort().values)


def test_evaluation_mode_learns_nothing():
    quantizer = VectorQuantizer(8, 3).train()
    quantizer(torch.randn(2, 3, 20))
    before = {name: buffer.clone() for name, buffer in quantizer.named_buffers()}
    quantizer.eval()(torch.randn(2, 3, 20))
    for name, buffer in quantizer.named_buffers():
        torch.testing.assert_close(buffer, before[name])


def test_kmeans_finds_separated_clusters_and_never_gets_worse():
    centres = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    clusters = centres[:, None] + torch.randn(3, 50, 2)  # [3, 50, 2]
    vectors = clusters.flatten(0, 1)[torch.randperm(150)]

    def run(iterations, seed):
        found = kmeans(vectors, 3, iterations, torch.Generator().manual_seed(seed))
        assert found.shape == (3, 2)
        return ((vectors - found[nearest_code(vectors, found)]) ** 2).sum(1).mean().item(), found

    for seed in range(4):
        errors = [run(iterations, seed)[0] for iterations in range(8)]
        assert all(b <= a + 1e-6 for a, b in itertools.pairwise(errors))
    _, found = min((run(10, seed) for seed in range(8)), key=lambda one: one[0])  # a start may fall into two clusters
    nearest = torch.cdist(centres, found).argmin(1)
    assert nearest.unique().numel() == 3
    torch.testing.assert_close(found[nearest], clusters.mean(1))


def test_kmeans_with_fewer_vectors_than_clusters():
    assert kmeans(torch.randn(3, 2), 8).shape == (8, 2)
    with pytest.raises(ValueError, match="at least one vector"):
        kmeans(torch.randn(0, 2), 8)


def test_first_batch_starts_the_codebook_by_kmeans():
    quantizer = VectorQuantizer(16, 4).train()
    x = torch.randn(4, 4, 100)
    random_error = ((x - x.roll(1, 2)) ** 2).mean()
    quantizer(x)
    assert quantizer.inited.item() == 1
    assert ((quantizer.decode(quantizer.encode(x)) - x) ** 2).mean() < random_error / 2


def test_dead_codes_come_back_for_good():
    quantizer = VectorQuantizer(8, 2, decay=0.9, dead_threshold=1.0).train()
    data = torch.randn(16, 2, 32)
    quantizer(data)
    dead = torch.tensor([1, 4, 6])
    # Entries far away from everything, with averages that agree: nobody will ever choose them.
    for buffer, value in ((quantizer.embed, 1e3), (quantizer.embed_avg, 1.0), (quantizer.cluster_size, 1e-3)):
        buffer[dead] = value
    for _ in range(60):
        _, codes, _ = quantizer(torch.randn(16, 2, 32))
    used = torch.bincount(codes.flatten(), minlength=8)
    assert (used > 0).all(), f"codes without a vector: {(used == 0).nonzero().flatten().tolist()}"
    assert (quantizer.embed.abs() < 10).all()


def test_revival_sets_all_three_buffers():
    quantizer = VectorQuantizer(4, 2, dead_threshold=1.0)
    quantizer.cluster_size.copy_(torch.tensor([5.0, 0.0, 5.0, 0.0]))
    vectors = torch.randn(10, 2)
    assert quantizer.revive_dead_codes(vectors) == 2
    for code in (1, 3):
        assert (vectors == quantizer.embed[code]).all(1).any()
        torch.testing.assert_close(quantizer.embed_avg[code] / quantizer.cluster_size[code], quantizer.embed[code])
    assert quantizer.revive_dead_codes(vectors) == 0


def test_threshold_zero_turns_revival_off():
    quantizer = VectorQuantizer(4, 2, dead_threshold=0.0)
    assert quantizer.revive_dead_codes(torch.randn(10, 2)) == 0


@pytest.fixture(scope="module")
def trained_rvq():
    torch.manual_seed(1)
    quantizer = ResidualVectorQuantizer(4, 16, 6, decay=0.9).train()
    for _ in range(80):
        quantizer(torch.randn(8, 6, 64))
    return quantizer.eval()


def test_error_falls_with_each_stage(trained_rvq):
    x = torch.randn(8, 6, 200)
    codes = trained_rvq.encode(x)
    errors = [((trained_rvq.decode(codes[:, :k]) - x) ** 2).mean().item() for k in range(1, 5)]
    assert errors[0] < (x**2).mean()
    assert all(b < a for a, b in itertools.pairwise(errors)), errors


def test_each_stage_quantizes_what_is_left_over(trained_rvq):
    x = torch.randn(2, 6, 30)
    codes = trained_rvq.encode(x)
    assert codes.shape == (2, 4, 30)
    residual = x
    for k, layer in enumerate(trained_rvq.layers):
        assert torch.equal(codes[:, k], layer.encode(residual))
        residual = residual - layer.decode(codes[:, k])
    torch.testing.assert_close(trained_rvq.decode(codes), x - residual)


def test_fewer_codebooks_give_the_first_rows(trained_rvq):
    x = torch.randn(2, 6, 30)
    assert torch.equal(trained_rvq.encode(x, 2), trained_rvq.encode(x)[:, :2])
    quantized, codes, _ = trained_rvq(x, 3)
    assert codes.shape[1] == 3
    torch.testing.assert_close(quantized, trained_rvq.decode(codes))


def test_residual_gradient_is_the_identity_and_loss_reaches_the_input(trained_rvq):
    x = torch.randn(1, 6, 10, requires_grad=True)
    quantized, _, loss = trained_rvq(x)
    (gradient,) = torch.autograd.grad(quantized.sum(), x, retain_graph=True)
    torch.testing.assert_close(gradient, torch.ones_like(x))
    (gradient,) = torch.autograd.grad(loss, x)
    assert gradient.abs().sum() > 0


def test_wrong_number_of_codebooks_is_named(trained_rvq):
    with pytest.raises(ValueError, match="K must be 1 to 4, not 5"):
        trained_rvq.encode(torch.randn(1, 6, 10), 5)


def test_bit_rate_arithmetic():
    assert bit_rate(4, 2048, 50) == 2200  # EnCodec 32 kHz
    assert bit_rate(4, 1024, 50) == 2000  # the tiny codec
    assert bit_rate(8, 1024, 75) == 6000  # EnCodec 24 kHz


def test_perplexity_counts_entries_in_use():
    assert perplexity(torch.arange(8).repeat(10), 16) == pytest.approx(8)
    assert perplexity(torch.zeros(10, dtype=torch.int64), 16) == pytest.approx(1)
    assert perplexity(torch.tensor([0, 0, 1, 2]), 4) == pytest.approx(math.exp(1.5 * math.log(2)))


@pytest.mark.parametrize("seed", range(4))
def test_kmeans_moves_a_cluster_of_one_and_leaves_an_empty_one(seed):
    generator = torch.Generator().manual_seed(seed)
    centroids = kmeans(torch.tensor([[0.0], [1.0], [10.0]]), 2, generator=generator)
    assert sorted(centroids.flatten().tolist()) == [0.5, 10.0]
    twice = kmeans(torch.full((4, 1), 3.0), 3, generator=generator)  # all but one cluster are empty
    assert twice.flatten().tolist() == [3.0, 3.0, 3.0]
