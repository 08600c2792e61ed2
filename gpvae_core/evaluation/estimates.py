"""The estimates of log p(x) in an evaluation, with their diagnostics."""

from __future__ import annotations

from gpvae_core.evaluation.mean import EvaluationPart, LargestMean, Mean, Number, SmallestMean
from gpvae_core.truth.diagnostics import R_HAT_LIMIT
from gpvae_core.truth.evidence import MIN_ESS, EvidenceKind
from gpvae_core.truth.pareto import K_HAT_LIMIT
from gpvae_core.truth.posterior_samples import ESS_FOR_EACH_CHAIN

MORE_DRAWS = "more --hmc-draws may do"
"""What may help chains that have not mixed, if nothing else is wrong."""


class IwaeScore(Mean):
    """The importance-weighted bound with the encoder as proposal (Burda et al. 2016), in nats.

    >>> import gpvae_core as gpvae
    >>> score = gpvae.IwaeScore.over([-9.0, -7.0], k=100, ess=12.5, untrusted=1)
    >>> score.mean, score.warnings()[0][:39]
    (-8.0, 'IWAE-100: 1 of 2 instances: k-hat > 0.7')
    """

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
    """Mean log p(x), in nats, and how it was estimated.

    >>> import gpvae_core as gpvae
    >>> gpvae.LogPx.over([-9.0, -7.0], truth="ais", estimator_se=0.1, chains=64, bound="lower").to_json()
    {'mean': -8.0, 'se': 1.0, 'n': 2, 'truth': 'ais', 'estimator_se': 0.1, 'chains': 64, 'bound': 'lower'}
    """

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


class DensityMean(Mean):
    """Mean log p(x) of the generative model as a density, in nats.

    >>> import gpvae_core as gpvae
    >>> gpvae.DensityMean.over([-1.0, -3.0], how="line", failed=0).to_json()
    {'mean': -2.0, 'se': 1.0, 'n': 2, 'how': 'line', 'failed': 0}
    """

    omitted = frozenset({"failed", "samples", "ess", "bound"})
    how: str
    """'line' (quadrature) or 'mixture' (the estimator of Yacoby et al. 2024)."""
    failed: int | None = None
    samples: int | None = None
    ess: Number = None
    bound: str | None = None


class Check(EvaluationPart):
    """Counts of the unreliable estimates among `n` values of log p(x), by reason.

    >>> import gpvae_core as gpvae
    >>> gpvae.Check(n=359, refined=12, failed=1).warnings("grid")
    ['log p(x) by grid: 1 of 359 instances: a check of the quadrature failed, not to be trusted']
    """

    omitted = frozenset({"refined", "failed", "untrusted", "few_effective", "ess", "k_hat_above_limit", "lacks_mode"})
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
    lacks_mode: int | None = None
    """Number of estimates that are below the one by samples of the prior alone, by more than the errors of both allow;
    None where there are none."""

    def warnings(self, truth: str) -> list[str]:
        """Return a warning for each reason that applies; `truth` names the estimator of log p(x)."""
        reasons = {
            "a check of the quadrature failed": self.failed,
            f"fewer than {MIN_ESS:g} effective samples": self.few_effective,
            f"k-hat > {K_HAT_LIMIT}": self.k_hat_above_limit,
            "samples of the prior give more than the errors allow, so that a mode is missing": self.lacks_mode,
        }
        return [
            f"log p(x) by {truth}: {count} of {self.n} instances: {reason}, not to be trusted"
            for reason, count in reasons.items()
            if count
        ]


class BidirectionalMeans(EvaluationPart):
    """log p(x) of `n` images drawn from the model, bounded from both sides (Grosse et al. 2015), in nats.

    >>> import gpvae_core as gpvae
    >>> lower, upper, gap = (gpvae.Mean.over(values) for values in ([-9.0, -7.0], [-8.5, -6.5], [0.5, 0.5]))
    >>> gpvae.BidirectionalMeans(n=2, chains=64, temperatures=31, lower=lower, upper=upper, gap=gap).gap.mean
    0.5
    """

    n: int
    chains: int
    temperatures: int
    lower: Mean
    upper: Mean
    gap: Mean


class ChainsReport(EvaluationPart):
    """Diagnostics of HMC on `n` instances, and the error of the encoder's moments against those of the draws.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> short = gpvae.HMCSettings(chains=2, warmup=50, draws=50)
    >>> settings = gpvae.EvaluationSettings(instances=2, truths=2, k=5, hmc=2, sampling=short)
    >>> hmc = gpvae.evaluate(run, settings).hmc
    >>> hmc.n, hmc.chains, hmc.draws
    (2, 2, 50)
    """

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

    def warnings(self, advice: str = MORE_DRAWS) -> list[str]:
        """Return a warning if the chains of some instances have not mixed; `advice` says why, or what may help."""
        if self.mixed == self.n:
            return []
        return [
            f"HMC: {self.n - self.mixed} of {self.n} instances: R-hat > {R_HAT_LIMIT} or fewer than "
            f"{ESS_FOR_EACH_CHAIN} effective draws a chain, not to be trusted; {advice}"
        ]
