"""Evaluation of a seeded sample of a split: log p(x), best Gaussians, gaps and correlations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.base import Split
from gpvae_core.evaluation.estimates import Check, LogPx
from gpvae_core.evaluation.mean import Mean
from gpvae_core.evaluation.parts import (
    AmortizationGap,
    ApproximationGap,
    BestGaussianElbo,
    Correlation,
    Gaps,
    InferenceGap,
)
from gpvae_core.evaluation.whole_split import traces
from gpvae_core.gaps import GapTable, gaps_and_best
from gpvae_core.progress import Progress
from gpvae_core.runs import Run
from gpvae_core.stats import seeded_order, spearman
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.evidence import MIN_ESS, Array, Evidence
from gpvae_core.truth.pareto import K_HAT_LIMIT
from gpvae_core.truth.truth import Truth

DIAGONAL, FULL = "best diagonal Gaussian", "best full Gaussian"
"""References of the gaps; they are the same for every family of encoders."""


@dataclass(frozen=True)
class SampleGaps:
    """Gaps of the instances `index`, and log p(x) of the instances `truth_index`, which begins with `index`."""

    index: NDArray[np.int64]
    truth_index: NDArray[np.int64]
    gaps: GapTable
    truth: Evidence
    best: BestGaussians
    """Best Gaussians of the instances `index`."""


def sample_index(split: Split, size: int, seed: int) -> NDArray[np.int64]:
    """Return the indices of a seeded sample; a smaller sample with the same seed is a prefix of a larger one."""
    return seeded_order(len(split), seed)[:size]


def evaluate_sample(
    run: Run, split: Split, size: int, truths: int, seed: int, progress: Progress, truth: Truth
) -> SampleGaps:
    """Compute the gaps of `size` instances, and log p(x) of `truths` instances by the grid at d = 2.

    The grid takes milliseconds an image, so that log p(x) can be had for more instances than the gaps.
    """
    index = sample_index(split, size, seed)
    truth_index = sample_index(split, max(size, truths), seed) if truth.name == "grid" else index
    x = split.pixels(truth_index).to(run.device)
    evidence = truth.log_px(x, seed, progress) if truth.exact else None
    gap_evidence = None if evidence is None else evidence.first(len(index))
    table, best = gaps_and_best(run.model, x[: len(index)], truth, seed, progress, index, gap_evidence)
    return SampleGaps(index, truth_index, table, evidence or table.evidence, best)


def log_px(evidence: Evidence) -> LogPx:
    """Return the mean of log p(x) with the settings of its estimator; quadrature has none."""
    counts: dict[str, dict[str, Any]] = {
        "line": {},
        "grid": {},
        "ais": {"chains": evidence.k, "temperatures": evidence.steps, "bound": "lower"},
        "iwae": {"k": evidence.k, "bound": "lower"},
    }
    return LogPx.over(evidence.log_px, truth=evidence.kind, estimator_se=evidence.rms_error, **counts[evidence.kind])


def best_gaussian_elbo(gaps: GapTable) -> BestGaussianElbo:
    """Return the mean ELBO of the best diagonal and of the best full Gaussians, in nats."""
    return BestGaussianElbo(diagonal=Mean.over(gaps.best_diagonal_elbo), full=Mean.over(gaps.best_full_elbo))


def mean_gaps(gaps: GapTable, evidence: Evidence) -> Gaps:
    """Return the mean of each gap, in nats; the inference and approximation gaps share the error of log p(x)."""
    estimated = {"truth": evidence.kind, "estimator_se": evidence.rms_error}
    return Gaps(
        inference=InferenceGap.over(gaps.inference, **estimated),
        approximation=ApproximationGap.over(gaps.approximation, reference=DIAGONAL, **estimated),
        approximation_full=ApproximationGap.over(gaps.approximation_full, reference=FULL, **estimated),
        amortization=AmortizationGap.over(gaps.amortization, reference=DIAGONAL),
    )


def optional_mean(values: Array | NDArray[np.int64] | None) -> Mean | None:
    """Return the mean of `values`, or None if there are none."""
    return None if values is None else Mean.over(values)


def correlations(whole: Mapping[str, Array], sample: SampleGaps, seed: int) -> dict[str, dict[str, Correlation]]:
    """Correlate each trace of the uncertainty with gaps, negentropy and modes; empty if the encoder reports none."""
    gaps, truth = sample.gaps, sample.truth
    targets: dict[str, tuple[NDArray[np.int64], Any]] = {
        "inference": (sample.index, gaps.inference),
        "approximation": (sample.index, gaps.approximation),
        "amortization": (sample.index, gaps.amortization),
    }
    for name, values in {"negentropy": truth.negentropy, "n_modes": truth.n_modes}.items():
        if values is not None:
            targets[name] = (sample.truth_index, values)
    return {
        trace: {name: _correlation(u[index], values, seed) for name, (index, values) in targets.items()}
        for trace, u in traces(whole).items()
    }


def _correlation(a: Array, b: Array, seed: int) -> Correlation:
    """Correlate over the instances at which both are finite."""
    rho, low, high = spearman(a, b, seed=seed)
    return Correlation(rho=rho, low=low, high=high, n=int((np.isfinite(a) & np.isfinite(b)).sum()))


def count_untrusted(evidence: Evidence) -> Check:
    """Count the unreliable values of log p(x), by reason."""
    n = len(evidence.log_px)
    if evidence.passed is not None:
        refined = None if evidence.refined is None else int(evidence.refined.sum())
        return Check(refined=refined, failed=int((~evidence.passed).sum()), n=n)
    return Check(
        untrusted=int(evidence.untrusted.sum()),
        n=n,
        # `not >=` rather than `<`, so that an effective sample size of NaN counts as too small
        few_effective=None if evidence.ess is None else int((~(evidence.ess >= MIN_ESS)).sum()),
        ess=None if evidence.ess is None else float(np.median(evidence.ess)),
        k_hat_above_limit=None if evidence.k_hat is None else int((evidence.k_hat > K_HAT_LIMIT).sum()),
        lacks_mode=int(evidence.lacks_mode.sum()) or None,
    )
