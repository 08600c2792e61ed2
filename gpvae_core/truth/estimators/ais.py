"""Lower and upper bounds of log p(x) by annealed importance sampling from the best Gaussian, any latent dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.device import decodes_at_once
from gpvae_core.progress import Progress, share_of, silent
from gpvae_core.truth.ais import (
    AISEstimate,
    AISSettings,
    AnnealingPath,
    AnnealingProgress,
    chains_at_once,
    ends_of_chains,
    joined,
)
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.by_image import log_joint_by_image
from gpvae_core.truth.estimators.base import AT_ONCE, Estimator
from gpvae_core.truth.estimators.iwae import quick_bound
from gpvae_core.truth.evidence import Array, Evidence
from gpvae_core.truth.noise import image_generators
from gpvae_core.truth.prior_scan import PriorScan
from gpvae_core.truth.start import AnnealingStart, rounded_start
from gpvae_core.vae import VAE

Anneal = Callable[[AnnealingPath, slice, list[int], Tensor, AnnealingProgress], AISEstimate]
"""Runs the chains of some images forward or backward: (path, images, sizes of the parts, step sizes, progress)."""


class Annealing(Estimator):
    """Estimator that anneals from the best full Gaussian, mixed with the prior, to the posterior."""

    exact: ClassVar[bool] = False

    def __init__(self, vae: VAE, settings: AISSettings) -> None:
        self._vae, self._settings = vae, settings

    @torch.no_grad()
    def log_px(
        self, x: Float[Tensor, "B C H W"], seed: int = 0, progress: Progress = silent, best: BestGaussians | None = None
    ) -> Evidence:
        estimates, prior = self.estimates(x, seed, progress, best), PriorScan.of(self._vae, x, seed)
        return Evidence(
            kind="ais",
            log_px=torch.cat([estimate.log_px for estimate in estimates]).numpy(),
            k=self._settings.chains,
            steps=self._settings.steps,
            se=torch.cat([estimate.se for estimate in estimates]).numpy(),
            ess=torch.cat([estimate.ess for estimate in estimates]).numpy(),
            prior_log_px=prior.log_px.numpy(),
            prior_se=prior.se.numpy(),
        )

    @torch.no_grad()
    def estimates(
        self, x: Float[Tensor, "B C H W"], seed: int = 0, progress: Progress = silent, best: BestGaussians | None = None
    ) -> list[AISEstimate]:
        """Return the weights of the chains of all images, a few images in each; the arguments are those of `log_px`."""

        def forward(
            path: AnnealingPath, images: slice, sizes: list[int], steps: Tensor, report: AnnealingProgress
        ) -> AISEstimate:
            return joined([path.forward(size, steps, report) for size in sizes])

        return self._anneal_all(x, seed, progress, best, forward, "log p(x) by {}")

    @torch.no_grad()
    def upper_bound(
        self,
        x: Float[Tensor, "B C H W"],
        z: Float[Tensor, "B D"],
        seed: int = 0,
        progress: Progress = silent,
        best: BestGaussians | None = None,
    ) -> Array:
        """Return (B,) upper bounds of log p(x) in expectation, in nats, by the same chains run backwards.

        Args:
            z: an exact sample of each image's posterior, such as the latent from which the image was drawn.
            seed, best: as for `log_px`.
        """

        def backward(
            path: AnnealingPath, images: slice, sizes: list[int], steps: Tensor, report: AnnealingProgress
        ) -> AISEstimate:
            ends = ends_of_chains(z[None, images], self._settings.chains).split(sizes)
            return joined([path.backward(end, steps, report) for end in ends])

        estimates = self._anneal_all(x, seed, progress, best, backward, "log p(x) by {}, backwards")
        return torch.cat([estimate.upper_bound for estimate in estimates]).numpy()

    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        return quick_bound(self._vae, x, seed)

    def _anneal_all(
        self, x: Tensor, seed: int, progress: Progress, best: BestGaussians | None, anneal: Anneal, text: str
    ) -> list[AISEstimate]:
        """Run the chains of all images, a few images at a time; results do not depend on how images are grouped."""
        gaussians = best or best_gaussians(self._vae, x, seed, progress=progress)
        start = rounded_start(gaussians.full_mean, gaussians.full_chol, self._vae.prior(x))
        estimates: list[AISEstimate] = []
        for low in range(0, len(x), AT_ONCE):
            block = slice(low, low + AT_ONCE)
            report = share_of(progress, low, len(x[block]), len(x), text)
            estimates += self._anneal_block(x, start, block, seed, anneal, report)
        return estimates

    def _anneal_block(
        self, x: Tensor, start: AnnealingStart, block: slice, seed: int, anneal: Anneal, progress: Progress
    ) -> list[AISEstimate]:
        """Adapt the step sizes of all images of the block together, then run the chains of as many as fit at once."""
        chains, most = self._settings.chains, decodes_at_once(x.device)
        sizes, images_at_once = chains_at_once(chains, most), max(1, most // chains)
        indices = range(len(x))[block]
        parts = [slice(low, min(low + images_at_once, indices.stop)) for low in indices[::images_at_once]]
        # NOTE: generators are used by the pilot first and by the chains after it, so that both must run per block: an
        # image then draws the same noise in the same order whatever the number of images that run together.
        generators = image_generators(x[block], seed)
        block_path = self._path(x[block], start.rows(block), generators)
        report = AnnealingProgress(progress, (1 + len(parts) * len(sizes)) * block_path.moves)
        steps = block_path.pilot(report)
        estimates = []
        for part in parts:
            within_block = slice(part.start - indices.start, part.stop - indices.start)
            path = self._path(x[part], start.rows(part), generators[within_block])
            estimates.append(anneal(path, part, sizes, steps[:, within_block], report))
        return estimates

    def _path(self, x: Tensor, start: AnnealingStart, generators: list[torch.Generator]) -> AnnealingPath:
        densities = (start.log_prob, log_joint_by_image(self._vae, x))
        return AnnealingPath(densities, lambda k: start.draw(k, generators), start.chol, self._settings, generators)
