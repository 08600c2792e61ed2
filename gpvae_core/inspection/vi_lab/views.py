"""The views of the VI Lab as plain numpy data. Bounds, log densities and most divergences are in nats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gpvae_core.inspection.gap_lab.views import Outline
from gpvae_core.inspection.views import Array, PosteriorView, Value


def unit(divergence: str) -> str:
    """Return the unit of a divergence, '' for an f-divergence, which is a pure number."""
    return "" if divergence.startswith("f:") else "nats"


@dataclass(frozen=True)
class InferencePath:
    """One inference of S steps; entry 0 of each quantity is its start."""

    settings: str
    """Family and method in words, as their settings name them."""
    outlines: tuple[Outline, ...]
    """S + 1 outlines of q(z); none of particles."""
    particles: Array
    """(S + 1, K, 2), with K = 0 where q(z) is a density."""
    bound: Array
    """(S + 1,) the bound that the method reports; NaN where it has none."""
    divergences: Mapping[str, Array]
    """Divergence of q from the posterior -> (S + 1,), by quadrature; NaN where that is not finite or not resolved."""
    log_px: float

    @property
    def elbo(self) -> Array:
        """(S + 1,) ELBO by quadrature, log p(x) - KL(q || p)."""
        return self.log_px - self.divergences["reverse-kl"]

    @property
    def cubo(self) -> Array:
        """(S + 1,) upper bound CUBO_2 by quadrature (Dieng et al. 2017)."""
        return self.log_px + self.divergences["chi:2.0"]


@dataclass(frozen=True)
class PathView:
    """One inference over the contours of the true posterior."""

    truth: PosteriorView
    path: InferencePath


@dataclass(frozen=True)
class StepsView:
    """Several inferences on one target, by the name of each, against their steps."""

    paths: Mapping[str, InferencePath]
    log_px: float
    divergence: str
    """The divergence that is drawn."""


@dataclass(frozen=True)
class SampledBoundsView:
    """The importance-weighted bound (IWAE) of each inference's last q(z), against the number of samples K."""

    sizes: Array
    """(P,) the numbers of samples."""
    bounds: Mapping[str, tuple[Value, ...]]
    """A or B -> (P,) mean of the bound with its standard error; K = 1 is the ELBO."""
    log_px: float


@dataclass(frozen=True)
class NoiseView:
    """Variance of the estimators of the ELBO's gradient, against the number of samples or of data points in a batch."""

    settings: str
    sizes: Array
    """(P,) the numbers of samples or data points."""
    what: str
    """What they count."""
    fixed: str
    """What does not change, in words; '' where there are no data points."""
    variances: Mapping[str, Array]
    """Estimator -> (P,) sum over the parameters of the variance, squared nats."""
    left_out: tuple[str, ...]
    """Estimators that do not take this family."""
    step: int
    """The step of the inference whose q(z) the gradient is taken at."""
    repeats: int
