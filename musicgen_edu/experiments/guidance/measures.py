"""What is measured on generated clips, each figure with an interval of 95 %: see `report`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, norm
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ...evaluation.scores import log_mel_distance

Interval = tuple[float, float, float]  # value, lower end, upper end
COMPONENTS = 32
ROUNDS = 300


def share_interval(right: np.ndarray) -> Interval:
    """The share of true values and its Wilson interval (Wilson 1927), sound near 0 and 1, too.

    What stands in a row is not independent (clips of one caption), so a row counts as one trial: an interval from n
    trials of the same share is that from n * m trials with z grown by the root of m.

    Args:
        right: bool or 0 and 1, [n] or [n, m].

    Raises:
        ValueError: there is no trial.
    """
    if not right.size:
        raise ValueError("a share needs at least one trial, not 0")
    z = norm.ppf(0.975) * np.sqrt(right.size / len(right))
    found = binomtest(int(right.sum()), right.size)
    low, high = found.proportion_ci(1 - 2 * norm.sf(z), method="wilson")
    return float(found.statistic), float(low), float(high)


def bootstrap_interval(statistic: Callable[[np.ndarray], float], captions: int) -> Interval:
    """A statistic of captions, plus and minus 1.96 of its standard deviations over captions drawn anew.

    The percentiles of the draws would be off for an entropy or a Fréchet distance: a draw holds fewer different
    captions than the set, which moves both. Their scatter is not moved.

    Args:
        statistic: from the numbers of captions (int, any length) to a figure.
        captions: how many there are.
    """
    rng, value = np.random.default_rng(0), float(statistic(np.arange(captions)))
    error = 1.96 * np.std([statistic(rng.integers(captions, size=captions)) for _ in range(ROUNDS)], ddof=1)
    return value, float(value - error), float(value + error)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Fréchet distance of two Gaussians fitted to points [n, F] and [m, F].

    |mean_a - mean_b|^2 + trace(cov_a + cov_b - 2 (cov_a cov_b)^(1/2))  (Dowson and Landau 1982; as "FAD" in
    Kilgour et al. 2019, arXiv 1812.08466). The trace of the root is the sum of the roots of the eigenvalues.
    """
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.clip(np.linalg.eigvals(cov_a @ cov_b).real, 0, None))
    gap = a.mean(0) - b.mean(0)
    return float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum())


def code_entropy(codes: np.ndarray, codebook_size: int) -> float:
    """Entropy in bits of how often each code occurs in codes of one codebook (any shape)."""
    counts = np.bincount(codes.ravel(), minlength=codebook_size)
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


class RealClips:
    """What real clips sound like: their features [n, F] in the directions in which they vary most.

    Features are standardised and projected on the first principal components, so that a covariance can be estimated
    from a few hundred clips.
    """

    def __init__(self, features: np.ndarray, components: int = COMPONENTS):
        n, F = features.shape
        if not 1 < components < min(n, F):
            raise ValueError(
                f"components must be more than 1 and less than {min(n, F)} for {n} clips, not {components}"
            )
        self.directions = make_pipeline(StandardScaler(), PCA(components, svd_solver="full"))
        self.points = self.directions.fit_transform(features)  # [n, components]

    def project(self, features: np.ndarray) -> np.ndarray:
        """Features [..., F] to points [..., components]."""
        *rest, F = features.shape
        return self.directions.transform(features.reshape(-1, F)).reshape(*rest, -1)

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The distance of each point [m, components] to the nearest real clip: [m]."""
        return cdist(points, self.points).min(1)


@dataclass(frozen=True)
class Made:
    """Clips of one setting: n captions with two seeds each.

    codes int64 [n, 2, K, T]; audio float32 [n, 2, N]; features [n, 2, F]; `right` has for each attribute 1, 0, or NaN
    where the caption does not promise it, [n, 2].
    """

    codes: Tensor
    audio: Tensor
    features: np.ndarray
    right: dict[str, np.ndarray]


def adherence(made: Made) -> dict[str, Interval]:
    """The share of clips that have what their caption promises, by attribute, and the mean of the shares.

    The two clips of a caption are not independent, so the interval counts captions and not clips.
    """
    shares = {}
    for name, right in made.right.items():
        shares[name] = share_interval(right[~np.isnan(right[:, 0])])
    tables = list(made.right.values())

    def mean(i: np.ndarray) -> float:
        return float(np.mean([np.nanmean(one[i]) for one in tables if not np.isnan(one[i]).all()]))

    return shares | {"mean": bootstrap_interval(mean, len(tables[0]))}


def diversity(made: Made, sample_rate: int, codebook_size: int) -> dict[str, Interval]:
    """How much two seeds of a caption differ (log-mel distance, same moment), and the entropy of codebook 0 in bits."""
    apart = log_mel_distance(made.audio[:, 0], made.audio[:, 1], sample_rate).numpy()  # [n]
    first = made.codes[:, :, 0].numpy()  # [n, 2, T]
    return {
        "apart": bootstrap_interval(lambda i: float(apart[i].mean()), len(apart)),
        "entropy": bootstrap_interval(lambda i: code_entropy(first[i], codebook_size), len(apart)),
    }


def distortion(made: Made, real: RealClips, same: np.ndarray) -> dict[str, Interval]:
    """How far from real clips: Fréchet distance of the whole set, distance of a clip to the nearest real one (mean).

    And `over`, the share of clips with a sample beyond full scale, which a sound card would clip.

    Args:
        made: the clips of a setting.
        real: many real clips, for the nearest one.
        same: features [n, 2, F] of real clips of the wanted pieces, for the Fréchet distance: against clips of other
            pieces it would measure how the captions happened to be drawn.
    """
    n, seeds, _ = made.features.shape
    points, others = real.project(made.features), real.project(same)  # [n, 2, components]
    nearest = real.nearest(points.reshape(n * seeds, -1)).reshape(n, seeds)
    over = (made.audio.abs().amax(-1) > 1).numpy()  # [n, 2]

    def frechet(i: np.ndarray) -> float:
        return frechet_distance(*(one[i].reshape(len(i) * seeds, -1) for one in (points, others)))

    return {
        "frechet": bootstrap_interval(frechet, n),
        "nearest": bootstrap_interval(lambda i: float(nearest[i].mean()), n),
        "over": share_interval(over),
    }


def figures_of(
    made: Made, real: RealClips, same: np.ndarray, sample_rate: int, codebook_size: int
) -> dict[str, Interval]:
    """All figures of one setting by name."""
    return adherence(made) | diversity(made, sample_rate, codebook_size) | distortion(made, real, same)
