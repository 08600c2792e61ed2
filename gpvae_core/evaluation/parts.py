"""The parts of an evaluation about the encoder: gaps, collapse, uncertainty, and the sizes of its samples."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from gpvae_core.evaluation.mean import EvaluationPart, Mean, Number
from gpvae_core.truth.evidence import EvidenceKind


class Generalization(EvaluationPart):
    """Mean ELBO of training and of test images, in nats, and their difference, the generalization gap, with its error.

    Where it is large, the encoder or the decoder has overfitted (Shu et al. 2018; Ganguly et al. 2023, sec. 5.2.3). The
    standard error is that of a difference of means of independent images: it has no share of the training's own noise.

    >>> import gpvae_core as gpvae
    >>> gpvae.Generalization.between([-6.0, -8.0, -7.0], [-9.0, -11.0, -10.0]).gap
    3.0
    """

    train: Mean
    test: Mean
    gap: Number
    se: Number

    @classmethod
    def between(cls, train: ArrayLike, test: ArrayLike) -> Generalization:
        """Return the gap between the ELBO of training images (N,) and that of test images (M,), in nats."""
        a, b = Mean.over(train), Mean.over(test)
        if a.mean is None or b.mean is None:
            return cls(train=a, test=b, gap=None, se=None)
        se = None if a.se is None or b.se is None else math.hypot(a.se, b.se)
        return cls(train=a, test=b, gap=a.mean - b.mean, se=se)


class BestGaussianElbo(EvaluationPart):
    """Mean ELBO of each instance's best Gaussian, in nats.

    >>> import gpvae_core as gpvae
    >>> elbo = gpvae.Mean.over([-9.0, -7.0])
    >>> gpvae.BestGaussianElbo(diagonal=elbo, full=elbo).diagonal.mean
    -8.0
    """

    diagonal: Mean
    full: Mean


class InferenceGap(Mean):
    """Mean of log p(x) minus the encoder's ELBO, in nats.

    >>> import gpvae_core as gpvae
    >>> gpvae.InferenceGap.over([1.0, 3.0], truth="grid", estimator_se=None).mean
    2.0
    """

    truth: EvidenceKind
    estimator_se: Number


class ApproximationGap(InferenceGap):
    """Mean of log p(x) minus the ELBO of `reference`, in nats.

    >>> import gpvae_core as gpvae
    >>> gpvae.ApproximationGap.over([0.5], truth="grid", estimator_se=None, reference="best full Gaussian").mean
    0.5
    """

    reference: str


class AmortizationGap(Mean):
    """Mean of the ELBO of `reference` minus the encoder's ELBO, in nats.

    >>> import gpvae_core as gpvae
    >>> gpvae.AmortizationGap.over([0.5, 1.5], reference="best diagonal Gaussian").mean
    1.0
    """

    reference: str


class Gaps(EvaluationPart):
    """Mean inference gap and its parts, the approximation and the amortization gap (Cremer et al. 2018).

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> gaps = gpvae.evaluate(run, gpvae.EvaluationSettings(instances=2, truths=2, k=5)).gaps
    >>> abs(gaps.inference.mean - gaps.approximation.mean - gaps.amortization.mean) < 1e-6
    True
    """

    inference: InferenceGap
    approximation: ApproximationGap
    approximation_full: ApproximationGap
    amortization: AmortizationGap


class ActiveUnits(EvaluationPart):
    """Latent dimensions whose posterior mean varies over the images (Burda et al. 2016).

    >>> import gpvae_core as gpvae
    >>> gpvae.ActiveUnits(count=1, of=2, variance=(0.9, 0.001)).to_json()
    {'count': 1, 'of': 2, 'variance': [0.9, 0.001]}
    """

    count: int | None
    """None if it is not known, as the mean of some image is not a number."""
    of: int
    variance: tuple[Number, ...]
    """Variance over images of each dimension's posterior mean, squared latent units."""


class Collapse(EvaluationPart):
    """Posterior collapse: latent dimensions whose posterior equals the prior for every image.

    >>> import gpvae_core as gpvae
    >>> gpvae.Collapse(fraction=0.5, moment_kl=(1.7, 0.0)).fraction
    0.5
    """

    fraction: Number
    """Share of dimensions that are not active; None if it is not known."""
    moment_kl: tuple[Number, ...]
    """KL to the prior of the Gaussian with the moments of each dimension's posterior, nats, mean over images."""


class UncertaintyMeans(EvaluationPart):
    """Mean uncertainty that a Bayesian encoder reports (Kim & Pavlovic 2021, Fig. 1), in squared latent units.

    >>> import gpvae_core as gpvae
    >>> f, h, total = (gpvae.Mean.over(values) for values in ([0.2, 0.4], [0.1, 0.1], [0.3, 0.5]))
    >>> gpvae.UncertaintyMeans(f=f, h=h, total=total).total.mean
    0.4
    """

    f: Mean
    """Tr V[f]."""
    h: Mean
    """Tr V[h]."""
    total: Mean


class Correlation(EvaluationPart):
    """Spearman's rho over `n` instances with its 95 % bootstrap interval; each is None if it is undefined.

    >>> import gpvae_core as gpvae
    >>> gpvae.Correlation(rho=0.34, low=0.25, high=0.43, n=359).low > 0
    True
    """

    rho: Number
    low: Number
    high: Number
    n: int


class KernelWidth(EvaluationPart):
    """Width of MAPA's kernel, in pixel units.

    >>> import gpvae_core as gpvae
    >>> gpvae.KernelWidth(bandwidth=0.2, source="sigma_x").to_json()
    {'bandwidth': 0.2, 'source': 'sigma_x'}
    """

    omitted = frozenset({"train_images"})
    bandwidth: float
    source: str
    train_images: int | None = None
    """Number of training images with which it was chosen."""


class SampleSizes(EvaluationPart):
    """Sizes of the samples for gaps and log p(x), of a split of `of` instances, and how they were drawn.

    >>> import gpvae_core as gpvae
    >>> gpvae.SampleSizes(seed=0, gaps=200, truth=1000, of=10_000).how
    'seeded, without replacement'
    """

    how: str = "seeded, without replacement"
    seed: int
    gaps: int
    truth: int
    of: int


class PassesPerPoint(EvaluationPart):
    """Forward passes through each network per point of a training step.

    >>> import gpvae_core as gpvae
    >>> gpvae.PassesPerPoint(decoder=1.0, encoder=1.0).decoder
    1.0
    """

    decoder: float
    encoder: float
