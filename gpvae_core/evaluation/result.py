"""The result of an evaluation: frozen, typed, and JSON both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpvae_core.evaluation.mean import EvaluationPart, Mean, Number
from gpvae_core.truth.diagnostics import R_HAT_LIMIT
from gpvae_core.truth.evidence import MIN_ESS
from gpvae_core.truth.pareto import K_HAT_LIMIT
from gpvae_core.truth.posterior_samples import ESS_FOR_EACH_CHAIN


class IwaeScore(Mean):
    """The importance-weighted bound with the encoder as proposal (Burda et al. 2016), in nats."""

    k: int
    ess: Number
    """Median effective sample size of an instance's weights, of `k`."""
    untrusted: int | None
    """Instances whose Pareto-k is above the limit; None where the weights are too few to tell."""

    def warnings(self) -> list[str]:
        """Say where the bound is not to be trusted as an estimate of log p(x)."""
        if not self.untrusted:
            return []
        return [
            f"IWAE-{self.k}: {self.untrusted} of {self.n} instances: k-hat > {K_HAT_LIMIT}, "
            "not to be trusted as an estimate of log p(x); it is a lower bound all the same"
        ]


class LogPx(Mean):
    """log p(x) in nats, and how it was found."""

    omitted = frozenset({"chains", "temperatures", "k", "bound"})
    truth: str
    """'line' or 'grid' (quadrature), 'ais' or 'iwae' (annealed or plain importance sampling)."""
    estimator_se: Number
    """Root mean square over instances of the estimator's own standard error, nats; None for quadrature."""
    chains: int | None = None
    temperatures: int | None = None
    k: int | None = None
    """Importance samples."""
    bound: str | None = None
    """'lower' where the estimate is a lower bound in expectation."""


class BestGaussianElbo(EvaluationPart):
    """ELBO of the best Gaussian of each instance, in nats."""

    diagonal: Mean
    full: Mean


class InferenceGap(Mean):
    """log p(x) - ELBO of the encoder, in nats."""

    truth: str
    estimator_se: Number


class ApproximationGap(InferenceGap):
    """log p(x) - ELBO of the `reference`, in nats."""

    reference: str


class AmortizationGap(Mean):
    """ELBO of the `reference` - ELBO of the encoder, in nats."""

    reference: str


class Gaps(EvaluationPart):
    """The distance of the encoder's ELBO from log p(x), in its parts (Cremer et al. 2018)."""

    inference: InferenceGap
    approximation: ApproximationGap
    approximation_full: ApproximationGap
    amortization: AmortizationGap


class ActiveUnits(EvaluationPart):
    """Latent dimensions whose posterior mean moves with the image (Burda et al. 2016)."""

    count: int
    of: int
    variance: tuple[Number, ...]
    """Variance over images of each dimension's posterior mean, squared latent units."""


class Collapse(EvaluationPart):
    """Latent dimensions whose posterior is the prior, whatever the image."""

    fraction: float
    moment_kl: tuple[Number, ...]
    """KL to the prior of each dimension's Gaussian with the same moments, nats, mean over images."""


class UncertaintyMeans(EvaluationPart):
    """A Bayesian encoder's own uncertainty (Kim & Pavlovic 2021, Fig. 1), in squared latent units."""

    f: Mean
    """Tr V[f]."""
    h: Mean
    """Tr V[h]."""
    total: Mean


class Correlation(EvaluationPart):
    """Spearman's rho with its 95 % bootstrap interval, over `n` instances; None where it is not defined."""

    rho: Number
    low: Number
    high: Number
    n: int


class KernelWidth(EvaluationPart):
    """Width of MAPA's kernel, in pixel units."""

    omitted = frozenset({"train_images"})
    bandwidth: float
    source: str
    train_images: int | None = None
    """Training images that it was chosen with."""


class SampleSizes(EvaluationPart):
    """The numbers of instances of truth and gaps, and how those were chosen."""

    how: str = "seeded, without replacement"
    seed: int
    gaps: int
    truth: int
    of: int


class Check(EvaluationPart):
    """The number of `n` values of log p(x) that are not to be trusted, by reason."""

    omitted = frozenset({"refined", "failed", "untrusted", "few_effective", "ess", "k_hat_above_limit"})
    refined: int | None = None
    """Posteriors for which the grid was refined beyond the atlas."""
    failed: int | None = None
    """Posteriors by quadrature that failed a check."""
    untrusted: int | None = None
    n: int
    few_effective: int | None = None
    """Estimates with too few effective samples."""
    ess: Number = None
    """Median effective sample size."""
    k_hat_above_limit: int | None = None

    def warnings(self, truth: str) -> list[str]:
        """Say which values are not to be trusted, and why; `truth` names the way to them."""
        reasons = {
            "a check of the quadrature failed": self.failed,
            f"fewer than {MIN_ESS:g} effective samples": self.few_effective,
            f"k-hat > {K_HAT_LIMIT}": self.k_hat_above_limit,
        }
        return [
            f"log p(x) by {truth}: {count} of {self.n} instances: {reason}, not to be trusted"
            for reason, count in reasons.items()
            if count
        ]


class DensityMean(Mean):
    """log p(x) of the generative model as a density, in nats."""

    omitted = frozenset({"failed", "samples", "ess", "bound"})
    how: str
    """'line' (quadrature) or 'mixture' (the estimator of Yacoby et al. 2024)."""
    failed: int | None = None
    samples: int | None = None
    ess: Number = None
    bound: str | None = None


class PassesPerPoint(EvaluationPart):
    """Network passes for each point of a training step."""

    decoder: float
    encoder: float


class BidirectionalMeans(EvaluationPart):
    """log p(x) of `n` images drawn from the model, bounded from both sides (Grosse et al. 2015), in nats."""

    n: int
    chains: int
    temperatures: int
    lower: Mean
    upper: Mean
    gap: Mean


class LargestMean(Mean):
    """A mean with the largest value."""

    max: Number


class SmallestMean(Mean):
    """A mean with the smallest value."""

    min: Number


class ChainsReport(EvaluationPart):
    """The diagnostics of HMC's chains, and the encoder's distance from their moments."""

    n: int
    chains: int
    warmup: int
    draws: int
    start: str = "encoder"
    mixed: int
    r_hat: LargestMean
    ess: SmallestMean
    acceptance: float
    mean_distance: Mean
    """In posterior standard deviations."""
    std_ratio: Mean

    def warnings(self) -> list[str]:
        """Say for how many instances the chains have not mixed."""
        if self.mixed == self.n:
            return []
        return [
            f"HMC: {self.n - self.mixed} of {self.n} instances: R-hat > {R_HAT_LIMIT} or fewer than "
            f"{ESS_FOR_EACH_CHAIN} effective draws a chain, not to be trusted; more --hmc-draws may do"
        ]


class Evaluation(EvaluationPart):
    """The result of `evaluate`: bounds over a whole split, truth and gaps on a seeded sample of it.

    Its parts are attributes, and JSON both ways, as the whole is:

    >>> from gpvae_core.evaluation.result import Correlation
    >>> Correlation.from_json({"rho": 0.3, "low": 0.1, "high": 0.5, "n": 200}).rho
    0.3
    """

    run: str
    dataset: str
    split: str
    method: str
    refiner: str
    latent_dim: int
    epochs: int
    best_epoch: int
    units: str = "nats"
    elbo: Mean
    iwae: IwaeScore
    training_bound: Mean
    log_px: LogPx
    best_gaussian_elbo: BestGaussianElbo
    gaps: Gaps
    negentropy: Mean | None
    n_modes: Mean | None
    active_units: ActiveUnits
    collapse: Collapse
    uncertainty: UncertaintyMeans | None
    correlations: Mapping[str, Mapping[str, Correlation]]
    """Of each trace of the uncertainty with gaps, negentropy and number of modes."""
    reconstruction_rmse: float
    sigma_x: float | None
    mapa: KernelWidth
    sample: SampleSizes
    checks: Mapping[str, Check]
    density: Mapping[str, DensityMean] | None
    test_kl: Mapping[str, Mean] | None
    """KL from the true distribution, where that is known, in nats."""
    passes: PassesPerPoint | None
    bidirectional: BidirectionalMeans | None
    hmc: ChainsReport | None
    seconds: float

    def means(self) -> list[tuple[str, Mean]]:
        """Return every mean with its dotted name, such as ('gaps.inference', ...)."""
        return list(_means(self, ""))

    def warnings(self) -> list[str]:
        """Say in whole sentences what is not to be trusted; empty where everything passed its checks."""
        checks = [line for name, check in self.checks.items() for line in check.warnings(name)]
        return [*checks, *(self.hmc.warnings() if self.hmc is not None else ()), *self.iwae.warnings()]


def _means(value: Any, name: str) -> Iterator[tuple[str, Mean]]:
    if isinstance(value, Mean):
        yield name, value
    elif isinstance(value, EvaluationPart | Mapping):
        for key, item in value.items() if isinstance(value, Mapping) else value:
            yield from _means(item, f"{name}.{key}" if name else key)
