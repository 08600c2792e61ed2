"""log p(x) by importance sampling, for any latent dimension; tight where the proposal covers the posterior."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.defensive_mixture import DefensiveMixture
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.estimators.base import Estimator
from gpvae_core.truth.evidence import Array, Evidence
from gpvae_core.truth.importance import ImportanceEstimate, log_weights
from gpvae_core.truth.noise import image_generators
from gpvae_core.truth.prior_scan import PriorScan
from gpvae_core.truth.start import rounded_start
from gpvae_core.vae import VAE

QUICK_SAMPLES = 1000
"""Number of importance samples of the quick bound."""


class ImportanceSampling(Estimator):
    """Estimator of log p(x) by samples from a mixture of the best full Gaussian and the encoder's posterior."""

    exact: ClassVar[bool] = False

    def __init__(self, vae: VAE, samples: int) -> None:
        self._vae, self._samples = vae, samples

    @torch.no_grad()
    def log_px(
        self, x: Float[Tensor, "B C H W"], seed: int = 0, progress: Progress = silent, best: BestGaussians | None = None
    ) -> Evidence:
        vae, k = self._vae, self._samples
        gaussians = best or best_gaussians(vae, x, seed, progress=progress)
        # The rounded Gaussian does not depend on the images' batch.
        rounded = rounded_start(gaussians.full_mean, gaussians.full_chol, vae.prior(x))
        estimates: list[ImportanceEstimate] = []
        for i, (image, generator) in enumerate(_with_generators(x, seed)):
            gaussian = rounded.rows(slice(i, i + 1))
            proposal = DefensiveMixture(gaussian.mean, gaussian.chol, vae.infer(image, generator))
            estimates.append(ImportanceEstimate.from_log_weights(log_weights(vae, image, k, generator, proposal)))
            progress(i + 1, len(x), f"log p(x) by {k} importance samples")
        prior = PriorScan.of(vae, x, seed)
        return replace(_evidence(estimates, k), prior_log_px=prior.log_px.numpy(), prior_se=prior.se.numpy())

    @torch.no_grad()
    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        """Return the bound from QUICK_SAMPLES samples of the encoder's posterior alone."""
        return quick_bound(self._vae, x, seed)


@torch.no_grad()
def quick_bound(vae: VAE, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
    """Return a lower bound on log p(x) from QUICK_SAMPLES samples of q(z|x); loose where q is far from p(z|x)."""
    weights = [log_weights(vae, image, QUICK_SAMPLES, generator) for image, generator in _with_generators(x, seed)]
    return _evidence([ImportanceEstimate.from_log_weights(log_w) for log_w in weights], QUICK_SAMPLES)


def _with_generators(x: Float[Tensor, "B C H W"], seed: int) -> Iterator[tuple[Tensor, torch.Generator]]:
    """Yield each image as a batch of its own with a generator of its own, so that it depends on no other image."""
    return zip(x.split(1), image_generators(x, seed, x.device), strict=True)


def _evidence(estimates: Sequence[ImportanceEstimate], k: int) -> Evidence:
    """Return the evidence of all images from estimates of one image each."""

    def column(field: Callable[[ImportanceEstimate], Tensor]) -> Array:
        return torch.cat([field(estimate).cpu().double() for estimate in estimates]).numpy()

    return Evidence(
        kind="iwae",
        log_px=column(lambda estimate: estimate.log_px),
        k=k,
        se=column(lambda estimate: estimate.se),
        ess=column(lambda estimate: estimate.ess),
        k_hat=column(lambda estimate: estimate.k_hat),
    )
