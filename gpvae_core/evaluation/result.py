"""The result of an evaluation, as frozen, typed classes that convert from and to JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpvae_core.evaluation.mean import EvaluationPart, LargestMean, Mean, Number, SmallestMean
from gpvae_core.truth.diagnostics import R_HAT_LIMIT
from gpvae_core.truth.evidence import MIN_ESS, EvidenceKind
from gpvae_core.truth.pareto import K_HAT_LIMIT
from gpvae_core.truth.posterior_samples import ESS_FOR_EACH_CHAIN


class IwaeScore(Mean):
    """The importance-weighted bound with the encoder as proposal (Burda et al. 2016), in nats."""

    k: int
    ess: Number
    """Median over instances of the effective sample size of the `k` weights."""
    untrusted: int | None
    """Number of instances whose k-hat is above the limit; None if k is too small to compute k-hat."""

    def warnings(self) -> list[str]:
        """Return a warning if the bound is unreliable as an estimate of log p(x) for some instances."""
        if not self.untrusted:
            return []
        return [
            f"IWAE-{self.k}: {self.untrusted} of {self.n} instances: k-hat > {K_HAT_LIMIT}, "
            "not to be trusted as an estimate of log p(x); it is a lower bound all the same"
        ]


class LogPx(Mean):
    """Mean log p(x), in nats, and how it was estimated."""

    omitted = frozenset({"chains", "temperatures", "k", "bound"})
    truth: EvidenceKind
    """'line' or 'grid' (quadrature), 'ais' or 'iwae' (annealed or plain importance sampling)."""
    estimator_se: Number
    """Root mean square over instances of the estimator's own standard error, nats; None for quadrature."""
    chains: int | None = None
    temperatures: int | None = None
    k: int | None = None
    """Importance samples."""
    bound: str | None = None
    """'lower' if the estimate is a lower bound in expectation."""


class BestGaussianElbo(EvaluationPart):
    """Mean ELBO of each instance's best Gaussian, in nats."""

    diagonal: Mean
    full: Mean


class InferenceGap(Mean):
    """Mean of log p(x) minus the encoder's ELBO, in nats."""

    truth: EvidenceKind
    estimator_se: Number


class ApproximationGap(InferenceGap):
    """Mean of log p(x) minus the ELBO of `reference`, in nats."""

    reference: str


class AmortizationGap(Mean):
    """Mean of the ELBO of `reference` minus the encoder's ELBO, in nats."""

    reference: str


class Gaps(EvaluationPart):
    """Mean inference gap and its parts, the approximation and the amortization gap (Cremer et al. 2018)."""

    inference: InferenceGap
    approximation: ApproximationGap
    approximation_full: ApproximationGap
    amortization: AmortizationGap


class ActiveUnits(EvaluationPart):
    """Latent dimensions whose posterior mean varies over the images (Burda et al. 2016)."""

    count: int
    of: int
    variance: tuple[Number, ...]
    """Variance over images of each dimension's posterior mean, squared latent units."""


class Collapse(EvaluationPart):
    """Posterior collapse: latent dimensions whose posterior equals the prior for every image."""

    fraction: float
    """Share of dimensions that are not active."""
    moment_kl: tuple[Number, ...]
    """KL to the prior of the Gaussian with the moments of each dimension's posterior, nats, mean over images."""


class UncertaintyMeans(EvaluationPart):
    """Mean uncertainty that a Bayesian encoder reports (Kim & Pavlovic 2021, Fig. 1), in squared latent units."""

    f: Mean
    """Tr V[f]."""
    h: Mean
    """Tr V[h]."""
    total: Mean


class Correlation(EvaluationPart):
    """Spearman's rho over `n` instances with its 95 % bootstrap interval; each is None if it is undefined."""

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
    """Number of training images with which it was chosen."""


class SampleSizes(EvaluationPart):
    """Sizes of the samples for gaps and log p(x), of a split of `of` instances, and how they were drawn."""

    how: str = "seeded, without replacement"
    seed: int
    gaps: int
    truth: int
    of: int


class Check(EvaluationPart):
    """Counts of the unreliable estimates among `n` values of log p(x), by reason."""

    omitted = frozenset({"refined", "failed", "untrusted", "few_effective", "ess", "k_hat_above_limit"})
    refined: int | None = None
    """Number of posteriors for which the grid was refined beyond the shared coarse grid."""
    failed: int | None = None
    """Number of posteriors by quadrature that failed a check."""
    untrusted: int | None = None
    n: int
    few_effective: int | None = None
    """Number of estimates with too few effective samples."""
    ess: Number = None
    """Median effective sample size."""
    k_hat_above_limit: int | None = None

    def warnings(self, truth: str) -> list[str]:
        """Return a warning for each reason that applies; `truth` names the estimator of log p(x)."""
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
    """Mean log p(x) of the generative model as a density, in nats."""

    omitted = frozenset({"failed", "samples", "ess", "bound"})
    how: str
    """'line' (quadrature) or 'mixture' (the estimator of Yacoby et al. 2024)."""
    failed: int | None = None
    samples: int | None = None
    ess: Number = None
    bound: str | None = None


class PassesPerPoint(EvaluationPart):
    """Forward passes through each network per point of a training step."""

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


class ChainsReport(EvaluationPart):
    """Diagnostics of HMC on `n` instances, and the error of the encoder's moments against those of the draws."""

    n: int
    chains: int
    warmup: int
    draws: int
    start: str = "encoder"
    mixed: int
    """Number of instances whose chains have mixed."""
    r_hat: LargestMean
    ess: SmallestMean
    acceptance: float
    mean_distance: Mean
    """Distance of the encoder's mean from the posterior mean, in posterior standard deviations."""
    std_ratio: Mean
    """Ratio of the encoder's standard deviations to the posterior's."""

    def warnings(self) -> list[str]:
        """Return a warning if the chains of some instances have not mixed."""
        if self.mixed == self.n:
            return []
        return [
            f"HMC: {self.n - self.mixed} of {self.n} instances: R-hat > {R_HAT_LIMIT} or fewer than "
            f"{ESS_FOR_EACH_CHAIN} effective draws a chain, not to be trusted; more --hmc-draws may do"
        ]


class Evaluation(EvaluationPart):
    """The result of `evaluate`: bounds over a whole split, log p(x) and gaps on a seeded sample of it.

    Like each of its parts it converts to JSON and back:

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> result = gpvae.evaluate(run, gpvae.EvaluationSettings(instances=2, truths=2, k=5))
    >>> gpvae.Evaluation.from_json(result.to_json()) == result, result.log_px.truth, result.elbo.n
    (True, 'grid', 359)
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
    """The bound that training reports, by the run's objective and number of samples, of these instances; a run whose
    bound is of training points alone, as MAPA's is, has the ELBO of its finished model in its place."""
    log_px: LogPx
    best_gaussian_elbo: BestGaussianElbo
    gaps: Gaps
    negentropy: Mean | None
    n_modes: Mean | None
    active_units: ActiveUnits
    collapse: Collapse
    uncertainty: UncertaintyMeans | None
    correlations: Mapping[str, Mapping[str, Correlation]]
    """Correlation of each trace of the uncertainty with the gaps, the negentropy and the number of modes."""
    reconstruction_rmse: float
    sigma_x: float | None
    mapa: KernelWidth
    sample: SampleSizes
    checks: Mapping[str, Check]
    density: Mapping[str, DensityMean] | None
    test_kl: Mapping[str, Mean] | None
    """KL from the true distribution to the model, in nats, if the true distribution is known."""
    passes: PassesPerPoint | None
    bidirectional: BidirectionalMeans | None
    hmc: ChainsReport | None
    seconds: float

    def means(self) -> list[tuple[str, Mean]]:
        """Return every mean with its dotted name, such as 'gaps.inference'."""
        return list(_means(self, ""))

    def warnings(self) -> list[str]:
        """Return a sentence on each group of unreliable values; empty if everything passed its checks."""
        checks = [line for name, check in self.checks.items() for line in check.warnings(name)]
        return [*checks, *(self.hmc.warnings() if self.hmc is not None else ()), *self.iwae.warnings()]


def _means(value: object, name: str) -> Iterator[tuple[str, Mean]]:
    if isinstance(value, Mean):
        yield name, value
    elif isinstance(value, EvaluationPart | Mapping):
        for key, item in value.items() if isinstance(value, Mapping) else value:
            yield from _means(item, f"{name}.{key}" if name else key)
