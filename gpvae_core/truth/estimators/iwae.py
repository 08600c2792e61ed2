"""log p(x) by importance sampling, any latent dimension: tight where the proposal covers the posterior."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from gpvae_core.truth.start import rounded_start
from gpvae_core.vae import VAE

QUICK_SAMPLES = 1000


class ImportanceSampling(Estimator):
    """A lower bound on log p(x) from samples of the best full Gaussian, mixed with the encoder."""

    exact: ClassVar[bool] = False

    def __init__(self, vae: VAE, samples: int) -> None:
        self._vae, self._samples = vae, samples

    @torch.no_grad()
    def log_px(
        self,
        x: Float[Tensor, "B C H W"],
        seed: int = 0,
        progress: Progress = silent,
        best: BestGaussians | None = None,
    ) -> Evidence:
        vae, k = self._vae, self._samples
        given = best or best_gaussians(vae, x, seed, progress=progress)
        near = rounded_start(given.full_mean, given.full_chol)  # the same in whatever batch it was found
        found: list[ImportanceEstimate] = []
        for i, (one, generator) in enumerate(_one_by_one(x, seed)):
            full = near.of(slice(i, i + 1))
            proposal = DefensiveMixture(full.mean, full.chol, vae.infer(one, generator))
            found.append(ImportanceEstimate.of(log_weights(vae, one, k, generator, proposal)))
            progress(i + 1, len(x), f"log p(x) by {k} importance samples")
        return _evidence(found, k)

    @torch.no_grad()
    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        """Return the bound of QUICK_SAMPLES samples of the encoder itself."""
        return quick_bound(self._vae, x, seed)


@torch.no_grad()
def quick_bound(vae: VAE, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
    """Return a lower bound on log p(x) from QUICK_SAMPLES samples of the encoder; loose where it is far off."""
    weights = [log_weights(vae, one, QUICK_SAMPLES, generator) for one, generator in _one_by_one(x, seed)]
    return _evidence([ImportanceEstimate.of(log_w) for log_w in weights], QUICK_SAMPLES)


def _one_by_one(x: Float[Tensor, "B C H W"], seed: int) -> Iterator[tuple[Tensor, torch.Generator]]:
    """Yield each image as a batch of its own, with a generator of its own: its answer depends on no other image."""
    return zip(x.split(1), image_generators(x, seed, x.device), strict=True)


def _evidence(found: Sequence[ImportanceEstimate], k: int) -> Evidence:
    def column(values: Callable[[ImportanceEstimate], Tensor]) -> Array:
        return torch.cat([values(one).cpu().double() for one in found]).numpy()

    return Evidence(
        kind="iwae",
        log_px=column(lambda one: one.log_px),
        k=k,
        se=column(lambda one: one.se),
        ess=column(lambda one: one.ess),
        k_hat=column(lambda one: one.k_hat),
    )
