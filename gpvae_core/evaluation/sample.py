"""What an evaluation computes on a seeded sample of a split: log p(x), best Gaussians, gaps and correlations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.base import Split
from gpvae_core.evaluation.result import (
    AmortizationGap,
    ApproximationGap,
    BestGaussianElbo,
    Check,
    Correlation,
    Gaps,
    InferenceGap,
    LogPx,
    Mean,
)
from gpvae_core.evaluation.whole_split import traces
from gpvae_core.gaps import GapTable, gaps_and_best
from gpvae_core.progress import Progress
from gpvae_core.runs import Run
from gpvae_core.stats import spearman
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.instances import MIN_ESS, Array, Estimator, Truth, grid_truth
from gpvae_core.truth.pareto import K_HAT_LIMIT

DIAGONAL, FULL = "best diagonal Gaussian", "best full Gaussian"
"""What gaps refer to, whatever the encoder's family."""


@dataclass(frozen=True)
class Sample:
    """Gaps of the instances at `index`; truth of those at `truth_index`, which begins with `index`."""

    index: NDArray[np.int64]
    truth_index: NDArray[np.int64]
    gaps: GapTable
    truth: Truth
    best: BestGaussians
    """Of the instances at `index`."""


def first(split: Split, size: int, seed: int) -> NDArray[np.int64]:
    """Return the seeded sample of this size; a smaller one is its beginning."""
    return np.random.default_rng(seed).permutation(len(split))[:size]


def sample_of(
    run: Run, split: Split, size: int, truths: int, seed: int, progress: Progress, estimate: Estimator | None
) -> Sample:
    index = first(split, size, seed)
    if estimate is not None:
        x = split.pixels(index).to(run.device)
        table, best = gaps_and_best(run.model, x, seed=seed, progress=progress, indices=index, estimate=estimate)
        return Sample(index, index, table, table.known_truth, best)
    more = first(split, max(size, truths), seed)
    x = split.pixels(more).to(run.device)
    truth = grid_truth(run.model, x, run.atlas, progress)
    part = truth.first(len(index))
    table, best = gaps_and_best(run.model, x[: len(index)], run.atlas, seed, progress, indices=index, truth=part)
    return Sample(index, more, table, truth, best)


def log_px(truth: Truth) -> LogPx:
    """Return the mean of log p(x), and what the estimate was made of; of quadrature nothing more is to be said."""
    counts: dict[str, dict[str, Any]] = {
        "line": {},
        "grid": {},
        "ais": {"chains": truth.k, "temperatures": truth.steps, "bound": "lower"},
        "iwae": {"k": truth.k, "bound": "lower"},
    }
    return LogPx.over(truth.log_px, truth=truth.kind, estimator_se=_rms(truth.se), **counts[truth.kind])


def best_gaussian_elbo(gaps: GapTable) -> BestGaussianElbo:
    return BestGaussianElbo(diagonal=Mean.over(gaps.best_diagonal_elbo), full=Mean.over(gaps.best_full_elbo))


def mean_gaps(gaps: GapTable, truth: Truth) -> Gaps:
    """Return the mean of each gap; the error of log p(x) is the inference and the approximation gap's too."""
    estimated = {"truth": truth.kind, "estimator_se": _rms(truth.se)}
    return Gaps(
        inference=InferenceGap.over(gaps.inference, **estimated),
        approximation=ApproximationGap.over(gaps.approximation, reference=DIAGONAL, **estimated),
        approximation_full=ApproximationGap.over(gaps.approximation_full, reference=FULL, **estimated),
        amortization=AmortizationGap.over(gaps.amortization, reference=DIAGONAL),
    )


def optional_mean(values: Array | NDArray[np.int64] | None) -> Mean | None:
    return None if values is None else Mean.over(values)


def correlations(whole: Mapping[str, Array], sample: Sample, seed: int) -> dict[str, dict[str, Correlation]]:
    """Correlate each trace of the uncertainty with gaps, negentropy and modes; empty without uncertainty."""
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
    """Correlate over the instances where both are known."""
    rho, low, high = spearman(a, b, seed=seed)
    return Correlation(rho=rho, low=low, high=high, n=int((np.isfinite(a) & np.isfinite(b)).sum()))


def check(truth: Truth) -> Check:
    """Count the values of log p(x) that are not to be trusted, by reason."""
    n = len(truth.log_px)
    if truth.passed is not None:
        refined = None if truth.refined is None else int(truth.refined.sum())
        return Check(refined=refined, failed=int((~truth.passed).sum()), n=n)
    return Check(
        untrusted=int(truth.untrusted.sum()),
        n=n,
        few_effective=None if truth.ess is None else int((~(truth.ess >= MIN_ESS)).sum()),
        ess=None if truth.ess is None else float(np.median(truth.ess)),
        k_hat_above_limit=None if truth.k_hat is None else int((truth.k_hat > K_HAT_LIMIT).sum()),
    )


def _rms(se: Array | None) -> float | None:
    """Return the root mean square of an estimator's standard errors; None where it states none."""
    return None if se is None else float(np.sqrt(np.mean(np.square(se))))
