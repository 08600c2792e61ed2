"""Log-likelihood of a trained model, and its KL from the true data distribution (Yacoby et al. 2024, sec. 6, D.1).

KL[p_GT || p_model] is the mean of log p_GT(x) - log p_model(x) over test points x drawn from p_GT. In one latent
dimension both densities are computed exactly, by quadrature. Otherwise log p_model is a lower bound by a mixture
proposal, so that the KL is overestimated by the bound's gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.base import Dataset
from gpvae_core.mapa.ground_truth import ground_truth
from gpvae_core.nets.base import NetConfig
from gpvae_core.progress import Progress, silent
from gpvae_core.stats import MeanSE, mean_se
from gpvae_core.truth.mixture_proposal import PAPER, MixtureProposalSettings
from gpvae_core.truth.settings import TruthSettings
from gpvae_core.truth.truth import Truth, truth_for

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Density:
    """Estimates of log p(x) of B points, in nats, and their diagnostics."""

    log_px: Array
    estimator: str
    """'line' (quadrature, d = 1) or 'mixture' (a lower bound in expectation)."""
    samples: int | None = None
    """Number of samples of the mixture's bound; None for quadrature."""
    ess: Array | None = None
    """Effective sample size of each point's weights, at most `samples`."""
    passed: NDArray[np.bool_] | None = None
    """Whether the checks of the quadrature passed at each point; None for a bound, which has no such checks."""

    @property
    def failed(self) -> int:
        """Number of points at which the quadrature failed a check."""
        return 0 if self.passed is None else int((~self.passed).sum())

    @property
    def checked_log_px(self) -> Array:
        """log p(x) of each point in nats, NaN where the quadrature failed a check."""
        return self.log_px if self.passed is None else np.where(self.passed, self.log_px, np.nan)

    def summary(self) -> dict[str, object]:
        """Return the mean with its standard error, and the estimator with its diagnostics; JSON-ready."""
        return {**mean_se(self.log_px), "how": self.estimator, **self.trust()}

    def trust(self) -> dict[str, int | float | str | None]:
        """Return the diagnostics: samples and median effective sample size of a bound, or the failed quadratures."""
        if self.ess is None:
            return {"failed": self.failed}
        return {"samples": self.samples, "ess": float(np.median(self.ess)), "bound": "lower"}


def line_density(truth: Truth, x: Float[Tensor, "B C H W"]) -> Density:
    """Return log p(x) by quadrature. Raises UserError unless the model has one latent dimension."""
    evidence = truth.by(TruthSettings(name="line")).log_px(x)
    return Density(evidence.log_px, "line", passed=evidence.trusted)


def mixture_density(
    truth: Truth,
    x: Float[Tensor, "B C H W"],
    net: NetConfig,
    settings: MixtureProposalSettings = PAPER,
    seed: int = 0,
    progress: Progress = silent,
) -> Density:
    """Return log p(x) by the paper's estimator: importance sampling from a mixture of Gaussians fitted to `x`."""
    estimate = truth.log_px_by_mixture(x, net, settings, seed, progress)
    return Density(_array(estimate.log_px), "mixture", settings.bound_samples, _array(estimate.ess))


def true_log_px(data: Dataset, x: Float[Tensor, "B C H W"]) -> Array | None:
    """Return log p_GT(x) in nats by quadrature, NaN where a check failed; None unless p_GT is known and has d = 1."""
    if data.truth is None or data.truth.latent_dim != 1:
        return None
    return line_density(truth_for(ground_truth(data.truth, data.event_shape)), x.cpu()).checked_log_px


def kl_from_truth(true: Array, model: Array) -> MeanSE:
    """Return KL[p_GT || p_model] in nats, from log densities of the same test points, with its standard error.

    It is a mean over finitely many points and may be slightly negative. Points at which either density is NaN, as its
    quadrature failed a check (`Density.checked_log_px`), are left out; `n` of the result counts the others.
    """
    return mean_se(true - model)


def _array(values: Float64[Tensor, " B"]) -> Array:
    return values.cpu().double().numpy()
