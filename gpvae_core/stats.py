"""Summary statistics over images: means with standard errors, rank correlations with bootstrap intervals."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpvae_core.errors import UserError

INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap interval."""
BOOT_CHUNK = 4_000_000
"""Number of resampled values ranked together; bounds the memory."""


class MeanSE(TypedDict):
    """Mean, its standard error, and the number of finite values; mean or error are None with too few values."""

    mean: float | None
    se: float | None
    n: int


def mean_se(values: ArrayLike, groups: ArrayLike | None = None) -> MeanSE:
    """Return mean and standard error (sample standard deviation over sqrt n) of the finite values.

    Args:
        groups: (N,) the group of each value, such as the video of a frame, if only values of different groups are
            independent. With r_g the sum of a group's residuals, the standard error is then that of a mean over G
            clusters, sqrt(G / (G - 1) sum_g r_g^2) / n: of equal groups that of the mean of their means.
    """
    v = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(v)
    v = v[finite]
    mean = float(v.mean()) if len(v) else None
    se = float(v.std(ddof=1) / np.sqrt(len(v))) if len(v) > 1 else None
    if groups is not None and len(v):
        _, of = np.unique(np.asarray(groups)[finite], return_inverse=True)
        square, count = np.square(np.bincount(of, v - v.mean())).sum(), int(of.max()) + 1
        se = float(np.sqrt(count / (count - 1) * square) / len(v)) if count > 1 else None
    return {"mean": mean, "se": se, "n": len(v)}


def seeded_order(n: int, seed: int) -> NDArray[np.int64]:
    """Return a random permutation of 0 ... n - 1, whose first m entries are the seeded sample of size m."""
    return np.random.default_rng(seed).permutation(n)


def spearman(a: ArrayLike, b: ArrayLike, n_boot: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """Return Spearman's rank correlation and its 95 % percentile bootstrap interval (rho, low, high).

    Pairs with a value that is not finite are left out. All three are NaN with fewer than three pairs or a constant
    variable; resamples in which a variable is constant are left out of the interval.

    Raises:
        UserError: the two differ in length.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(f"wanted two lists of the same length for a correlation, got shapes {a.shape} and {b.shape}")
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    if len(a) < 3:
        return np.nan, np.nan, np.nan
    rho = float(_rank_correlation(a[None], b[None])[0])
    if np.isnan(rho):
        return np.nan, np.nan, np.nan
    rng = np.random.default_rng(seed)
    # Resamples in chunks of about BOOT_CHUNK values.
    sizes = [len(part) for part in np.array_split(np.arange(n_boot), -(-n_boot * len(a) // BOOT_CHUNK))]
    resamples = (rng.integers(len(a), size=(size, len(a))) for size in sizes)
    resampled = np.concatenate([_rank_correlation(a[index], b[index]) for index in resamples])
    low, high = np.nanpercentile(resampled, INTERVAL)
    return rho, float(low), float(high)


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Pearson's correlation of each row's ranks (ties have the mean rank), (R, n) -> (R,); NaN for constants."""
    from scipy.stats import rankdata  # takes half a second to import

    ranks = [rankdata(v, axis=1) for v in (a, b)]
    u, v = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    scale = np.sqrt((u**2).sum(1) * (v**2).sum(1))
    return np.divide((u * v).sum(1), scale, out=np.full(len(a), np.nan), where=scale > 0)
