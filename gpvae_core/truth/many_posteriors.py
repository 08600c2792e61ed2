"""HMC samples of p(z|x) of many images, a few images at a time, by chains that start in samples of given densities."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.progress import Progress, share_of, silent
from gpvae_core.truth.by_image import log_joint_by_image
from gpvae_core.truth.estimators.base import AT_ONCE
from gpvae_core.truth.noise import image_generators
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples, chains_from
from gpvae_core.vae import GenerativeModel

Start = Callable[[Tensor], Iterable[Posterior]]


@torch.no_grad()
def many_posteriors(
    model: GenerativeModel,
    x: Float[Tensor, "B C H W"],
    start: Start,
    scale: Float[Tensor, "B D D"],
    settings: HMCSettings | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> PosteriorSamples:
    """Draw from p(z|x) of each image; the samples of an image do not depend on the others in the batch.

    A mode that no chain reaches is missed, and R-hat does not show it.

    Args:
        start: function that returns, for a batch of images, the density of each in whose samples its chains start.
        scale: factor L of a covariance L L' in whose units chains step, such as that of the best full Gaussian.
    """
    settings = settings or HMCSettings()
    parts: list[PosteriorSamples] = []
    for low in range(0, len(x), AT_ONCE):
        images, factors = x[low : low + AT_ONCE], scale[low : low + AT_ONCE]
        report = share_of(progress, low, len(images), len(x))
        begin, generators = _begin(start, images, settings.chains, seed), image_generators(images, seed + 1)
        parts.append(chains_from(begin, log_joint_by_image(model, images), factors, settings, generators, report))
    return PosteriorSamples(
        torch.cat([part.z for part in parts], 2),
        torch.cat([part.step for part in parts]),
        torch.cat([part.acceptance for part in parts]),
    )


def _begin(start: Start, x: Float[Tensor, "B C H W"], chains: int, seed: int) -> Float[Tensor, "K B D"]:
    """Draw the latents in which the chains of each image start."""
    posteriors = zip(start(x), image_generators(x, seed, x.device), strict=True)
    return torch.cat([q.rsample_and_log_prob(chains, generator)[0] for q, generator in posteriors], 1)
