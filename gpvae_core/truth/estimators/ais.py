"""log p(x) by annealed importance sampling from the best Gaussian, any latent dimension; and its bound from above."""

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
    Counter,
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
from gpvae_core.truth.start import AnnealingStart, rounded_start
from gpvae_core.vae import VAE

Run = Callable[[AnnealingPath, slice, list[int], Tensor, Counter], AISEstimate]


class Annealing(Estimator):
    """Annealing from the best full Gaussian, mixed with the prior, to the posterior."""

    exact: ClassVar[bool] = False

    def __init__(self, vae: VAE, settings: AISSettings) -> None:
        self._vae, self._settings = vae, settings

    @torch.no_grad()
    def log_px(
        self,
        x: Float[Tensor, "B C H W"],
        seed: int = 0,
        progress: Progress = silent,
        best: BestGaussians | None = None,
    ) -> Evidence:
        def forward(path: AnnealingPath, part: slice, sizes: list[int], steps: Tensor, report: Counter) -> AISEstimate:
            return joined([path.forward(size, steps, report) for size in sizes])

        found = self._annealed(x, seed, progress, best, forward, "log p(x) by {}")
        columns = [torch.cat([values(one) for one in found]).numpy() for values in (_log_px, _se, _ess)]
        return Evidence("ais", columns[0], self._settings.chains, self._settings.steps, columns[1], columns[2])

    @torch.no_grad()
    def upper_bound(
        self,
        x: Float[Tensor, "B C H W"],
        z: Float[Tensor, "B D"],
        seed: int = 0,
        progress: Progress = silent,
        best: BestGaussians | None = None,
    ) -> Array:
        """Return log p(x) from above, in expectation, by the same chains run backwards, (B,) nats.

        Args:
            z: an exact sample of each image's posterior, such as what the image was drawn from.
        """

        def backward(path: AnnealingPath, part: slice, sizes: list[int], steps: Tensor, report: Counter) -> AISEstimate:
            ends = ends_of_chains(z[None, part], self._settings.chains).split(sizes)
            return joined([path.backward(end, steps, report) for end in ends])

        found = self._annealed(x, seed, progress, best, backward, "log p(x) by {}, backwards")
        return torch.cat([one.upper_bound for one in found]).numpy()

    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        return quick_bound(self._vae, x, seed)

    def _annealed(
        self, x: Tensor, seed: int, progress: Progress, best: BestGaussians | None, run: Run, words: str
    ) -> list[AISEstimate]:
        """Run the chains of all images, those of few images at a time; the parts do not depend on the batch."""
        found = best or best_gaussians(self._vae, x, seed, progress=progress)
        start = rounded_start(found.full_mean, found.full_chol)
        estimates: list[AISEstimate] = []
        for low in range(0, len(x), AT_ONCE):
            block = slice(low, low + AT_ONCE)
            report = share_of(progress, low, len(x[block]), len(x), words)
            estimates += self._block(x, start, block, seed, run, report)
        return estimates

    def _block(
        self, x: Tensor, start: AnnealingStart, block: slice, seed: int, run: Run, progress: Progress
    ) -> list[AISEstimate]:
        """Find the step sizes of AT_ONCE images together, then run their chains, all of an image's side by side."""
        chains, most = self._settings.chains, decodes_at_once(x.device)
        sizes, images = chains_at_once(chains, most), max(1, most // chains)
        everyone = range(len(x))[block]
        parts = [slice(low, min(low + images, everyone.stop)) for low in everyone[::images]]
        generators = image_generators(x[block], seed)
        wide = self._path(x[block], start.of(block), generators)
        report = Counter(progress, (1 + len(parts) * len(sizes)) * wide.moves)
        steps = wide.pilot(report)
        estimates = []
        for part in parts:
            own = slice(part.start - everyone.start, part.stop - everyone.start)
            path = self._path(x[part], start.of(part), generators[own])
            estimates.append(run(path, part, sizes, steps[:, own], report))
        return estimates

    def _path(self, x: Tensor, start: AnnealingStart, generators: list[torch.Generator]) -> AnnealingPath:
        densities = (start.log_prob, log_joint_by_image(self._vae, x))
        return AnnealingPath(densities, lambda k: start.draw(k, generators), start.chol, self._settings, generators)


def _log_px(one: AISEstimate) -> Tensor:
    return one.log_px


def _se(one: AISEstimate) -> Tensor:
    return one.se


def _ess(one: AISEstimate) -> Tensor:
    return one.ess
