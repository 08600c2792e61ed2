"""Convergence diagnostics of Markov chains: rank-normalised split R-hat and bulk ESS (Vehtari et al. 2021)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpvae_core.errors import UserError

Array = NDArray[np.float64]
R_HAT_LIMIT = 1.01
"""Above this R-hat the chains have not mixed (Vehtari et al. 2021, sec. 4)."""
MIN_DRAWS = 4
"""Fewest draws of a chain, so that each half has a variance."""


def split_r_hat(draws: Array) -> float:
    """Return the rank-normalised split R-hat of one quantity.

    It is the larger of R-hat of the rank-normalised half chains and of their absolute deviations from the median, which
    detect chains that differ in spread alone. It is near 1 for mixed chains, infinite for chains that stand still at
    different places, and NaN where all draws are equal.

    Args:
        draws: (C, N), C chains of N draws.

    Raises:
        UserError: there are fewer than MIN_DRAWS draws, or the array is not (C, N).
    """
    halves = _halves(draws)
    folded = np.abs(halves - np.median(halves))
    return float(np.fmax(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(folded))))


def bulk_ess(draws: Array) -> float:
    """Return the bulk effective sample size of draws (C, N): the ESS of the rank-normalised half chains.

    It is the number of independent draws that would estimate the centre of the distribution as precisely.

    Raises:
        UserError: there are fewer than MIN_DRAWS draws, or the array is not (C, N).
    """
    return ess(_normal_scores(_halves(draws)))


def ess(chains: Array) -> float:
    """Return the effective sample size C N / tau; NaN where all draws are equal.

    tau = 1 + 2 sum_t rho_t, the sum truncated by Geyer's initial monotone sequence (eq. 10-13).

    Args:
        chains: (C, N), taken as they are: neither split nor rank-normalised.
    """
    c, n = chains.shape
    within, total = _variances(chains)
    if not total > 0:
        return np.nan
    covariance = _autocovariance(chains).mean(0) * n / (n - 1)
    rho = 1 - (within - covariance) / total
    rho[0] = 1.0
    # Geyer: sums of neighbouring lags, P_t = rho_2t + rho_2t+1, are positive and decreasing for a reversible chain.
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(1)
    positive = pairs[: np.argmax(pairs < 0)] if (pairs < 0).any() else pairs
    tau = -1 + 2 * np.minimum.accumulate(positive).sum()
    # Antithetic chains have a small tau; the bound keeps the ESS below C N log10(C N).
    return float(c * n / max(tau, 1 / np.log10(c * n)))


def _halves(draws: Array) -> Array:
    """Split each chain in two, (C, N) -> (2 C, N // 2), so that a chain that drifts differs from itself."""
    if draws.ndim != 2 or draws.shape[1] < MIN_DRAWS:
        raise UserError(f"wanted draws of shape (chains, at least {MIN_DRAWS} draws), got {draws.shape}")
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normal_scores(draws: Array) -> Array:
    """Return the normal quantiles of (rank - 3/8) / (S + 1/4) over all S draws (eq. 14).

    Ranks make the diagnostics valid for quantities with infinite variance.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata  # takes half a second to import

    return ndtri((rankdata(draws).reshape(draws.shape) - 0.375) / (draws.size + 0.25))


def _variances(chains: Array) -> tuple[float, float]:
    """Return W, the mean variance within chains, and the pooled estimate (N-1)/N W + B/N (eq. 1-3)."""
    n = chains.shape[1]
    within = float(chains.var(axis=1, ddof=1).mean())
    between = float(chains.mean(axis=1).var(ddof=1)) if len(chains) > 1 else 0.0
    return within, within * (n - 1) / n + between


def _r_hat(chains: Array) -> float:
    """Return sqrt(total / within), without splitting or rank-normalising."""
    within, total = _variances(chains)
    if within > 0:
        return float(np.sqrt(total / within))
    return np.inf if total > 0 else np.nan


def _autocovariance(chains: Array) -> Array:
    """Return sum_i (x_i - mean)(x_{i+t} - mean) / N at every lag t, (C, N), by the FFT."""
    n = chains.shape[1]
    # Zero-padding to 2 N turns the circular correlation of the FFT into the linear one.
    spectrum = np.fft.rfft(chains - chains.mean(axis=1, keepdims=True), 2 * n)
    return np.fft.irfft(spectrum * spectrum.conj(), 2 * n)[:, :n] / n
