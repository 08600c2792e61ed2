"""HMC samples of p(z|x) of many instances, few in memory, begun in the encoder's answer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.progress import Progress, share_of, silent
from gpvae_core.truth.estimators.base import AT_ONCE
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples, posterior_samples
from gpvae_core.vae import VAE


@torch.no_grad()
def many_posteriors(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    scale: Float[Tensor, "B D D"],
    how: HMCSettings | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> PosteriorSamples:
    """Draws of p(z|x) of each image.

    Args:
        scale: factor of the covariance in whose units chains step, such as that of the best full Gaussian.

    Chains begin in samples of q(z|x). A mode that none of them falls into is not found, and R-hat does not show it.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    found: list[PosteriorSamples] = []
    for low in range(0, len(x), AT_ONCE):
        part = x[low : low + AT_ONCE]
        report = share_of(progress, low, len(part), len(x))
        start, units = vae.infer(part), scale[low : low + AT_ONCE]
        found.append(posterior_samples(vae, part, start, how, generator, units, report))
    return PosteriorSamples(
        torch.cat([one.z for one in found], 2),
        torch.cat([one.step for one in found]),
        torch.cat([one.acceptance for one in found]),
    )
