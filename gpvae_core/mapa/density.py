"""Log-likelihood of a trained model and its KL from the true data distribution (Yacoby et al. 2024, sec. 6, D.1).

KL[p_GT || p_model] is the mean of log p_GT(x) - log p_model(x) over test points x, which p_GT made. In one latent
dimension both are integrals over a line and exact; in others p_model is a lower bound by a mixture proposal, and the KL
by so much too large.
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
from gpvae_core.truth.mixture_proposal import PAPER, MixtureProposalSettings, fit_mixture_proposal, mixture_log_px
from gpvae_core.truth.settings import TruthSettings
from gpvae_core.truth.truth import Truth, truth_for
from gpvae_core.vae import GenerativeModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Density:
    """log p(x) of B points, nats."""

    log_px: Array
    how: str
    """'line' (quadrature, d = 1) or 'mixture' (a lower bound in expectation)."""
    samples: int | None = None
    """Samples of the mixture's bound; None by quadrature."""
    ess: Array | None = None
    """Effective sample size of each, of `samples`."""
    failed: int = 0
    """Points at which quadrature did not pass its checks."""

    def summary(self) -> dict[str, object]:
        """Return mean with its standard error, and how it was found; JSON-ready."""
        return {**mean_se(self.log_px), "how": self.how, **self.trust()}

    def trust(self) -> dict[str, object]:
        """Samples and median effective sample size of a bound; of quadrature how many points failed its checks."""
        if self.ess is None:
            return {"failed": self.failed}
        return {"samples": self.samples, "ess": float(np.median(self.ess)), "bound": "lower"}


def line_density(truth: Truth, x: Float[Tensor, "B C H W"]) -> Density:
    """Return the density by quadrature. Raises UserError where the model has other than one latent dimension."""
    found = truth.by(TruthSettings(name="line")).log_px(x)
    return Density(found.log_px, "line", failed=int(found.untrusted.sum()))


def mixture_density(
    model: GenerativeModel,
    x: Float[Tensor, "B C H W"],
    net: NetConfig,
    settings: MixtureProposalSettings = PAPER,
    seed: int = 0,
    progress: Progress = silent,
) -> Density:
    """Return the density by the paper's estimator, a mixture of Gaussians fitted to these points by a `net` encoder."""
    encoder = fit_mixture_proposal(model, x, net, settings, seed, progress)
    found = mixture_log_px(model, x, encoder, settings.bound_samples, seed, progress)
    return Density(_array(found.log_px), "mixture", settings.bound_samples, _array(found.ess))


def true_log_px(data: Dataset, x: Float[Tensor, "B C H W"]) -> Array | None:
    """Return log p_GT(x) in nats by quadrature; None where the truth is not known, or not of one latent dimension."""
    if data.truth is None or data.truth.latent_dim != 1:
        return None
    return line_density(truth_for(ground_truth(data.truth, data.event_shape)), x.cpu()).log_px


def kl_from_truth(true: Array, model: Array) -> MeanSE:
    """KL[p_GT || p_model] in nats from the log densities of the same test points, with its standard error.

    The mean over finitely many points may be slightly below 0.
    """
    return mean_se(true - model)


def _array(values: Float64[Tensor, " B"]) -> Array:
    return values.cpu().double().numpy()
