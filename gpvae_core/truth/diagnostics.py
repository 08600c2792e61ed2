"""Whether Markov chains mixed: rank-normalised split R-hat and bulk effective sample size (Vehtari et al. 2021)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpvae_core.errors import UserError

Array = NDArray[np.float64]
R_HAT_LIMIT = 1.01
"""Above it the chains disagree (Vehtari et al. 2021, sec. 4)."""
MIN_DRAWS = 4


def split_r_hat(draws: Array) -> float:
    """The larger of R-hat of the rank-normalised halves and of their folded (absolute) deviations from the median.

    Args:
        draws: (C, N) of one quantity, C chains of N draws. The second part sees chains that differ in spread alone.

    1 for mixed chains; infinity for chains that stand still at different places, NaN where all draws are the same.
    """
    halves = _halves(draws)
    folded = np.abs(halves - np.median(halves))
    return float(np.fmax(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(folded))))


def bulk_ess(draws: Array) -> float:
    """So many independent draws would give the centre of the distribution as precisely, (C, N) -> count."""
    return ess(_normal_scores(_halves(draws)))


def ess(chains: Array) -> float:
    """C N / tau with tau = 1 + 2 sum_t rho_t, the sum cut by Geyer's initial monotone sequence (eq. 10-13).

    Args:
        chains: (C, N), taken as they are: neither split nor rank-normalised. NaN where all draws are the same.
    """
    c, n = chains.shape
    within, total = _variances(chains)
    if not total > 0:
        return np.nan
    covariance = _autocovariance(chains).mean(0) * n / (n - 1)
    rho = 1 - (within - covariance) / total
    rho[0] = 1.0
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(1)
    positive = pairs[: np.argmax(pairs < 0)] if (pairs < 0).any() else pairs
    tau = -1 + 2 * np.minimum.accumulate(positive).sum()
    return float(c * n / max(tau, 1 / np.log10(c * n)))


def _halves(draws: Array) -> Array:
    """Each chain as two, (C, N) -> (2 C, N // 2): a chain that drifts differs from itself."""
    if draws.ndim != 2 or draws.shape[1] < MIN_DRAWS:
        raise UserError(f"wanted draws of shape (chains, at least {MIN_DRAWS} draws), got {draws.shape}")
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normal_scores(draws: Array) -> Array:
    """The normal quantile of (rank - 3/8) / (S + 1/4) over all S draws: infinite variances do no harm (eq. 14)."""
    from scipy.special import ndtri
    from scipy.stats import rankdata  # half a second to import

    return ndtri((rankdata(draws).reshape(draws.shape) - 0.375) / (draws.size + 0.25))


def _variances(chains: Array) -> tuple[float, float]:
    """W, the mean variance within chains, and the estimate of the whole, (N-1)/N W + B/N (eq. 1-3)."""
    n = chains.shape[1]
    within = float(chains.var(axis=1, ddof=1).mean())
    between = float(chains.mean(axis=1).var(ddof=1)) if len(chains) > 1 else 0.0
    return within, within * (n - 1) / n + between


def _r_hat(chains: Array) -> float:
    within, total = _variances(chains)
    if within > 0:
        return float(np.sqrt(total / within))
    return np.inf if total > 0 else np.nan


def _autocovariance(chains: Array) -> Array:
    """sum over i of (x_i - mean)(x_{i+t} - mean) / N at every lag t, (C, N), by the FFT."""
    n = chains.shape[1]
    spectrum = np.fft.rfft(chains - chains.mean(axis=1, keepdims=True), 2 * n)
    return np.fft.irfft(spectrum * spectrum.conj(), 2 * n)[:, :n] / n
