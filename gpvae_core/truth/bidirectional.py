"""Bidirectional Monte Carlo (Grosse et al. 2015; Wu et al. 2017): how far annealing is from log p(x), both sides known.

On images that the model draws itself, z ~ p(z) and x ~ p(x|z), the z that made an image is an exact sample of its
posterior. From it the chains of `ais` run backwards, which gives an upper bound of log p(x) in expectation; forwards
they give a lower one. What lies between the two bounds the error of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, share_of, silent
from gpvae_core.regularisers.own_samples import own_samples
from gpvae_core.truth.ais import AISSettings, reverse_ais
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.instances import ANNEALING, AT_ONCE, Array, ais_truth, annealing_start
from gpvae_core.vae import VAE

FEWEST = 2
"""Of fewer images the gap has no standard error."""
WORDS = "simulated images: {}"


@dataclass(frozen=True)
class Bidirectional:
    """Both bounds of log p(x) of N images that the model made, nats."""

    x: Float[Tensor, "N C H W"]
    lower: Array
    """Below log p(x) in expectation, (N,); with the same settings, what `ais_truth` gives."""
    upper: Array
    """Above log p(x) in expectation, (N,)."""

    @property
    def gap(self) -> Array:
        """upper - lower; its mean is not below the mean error of `lower`, (N,)."""
        return self.upper - self.lower


@torch.no_grad()
def bidirectional(
    vae: VAE, n: int, how: AISSettings = ANNEALING, seed: int = 0, progress: Progress = silent
) -> Bidirectional:
    """Both bounds on n images of the model's own, annealed from where `ais_truth` anneals real images from.

    The bounds hold only where nothing of an image's z reaches the start of its chains: the images have a seed of their
    own, and the best Gaussians see x alone.

    Raises:
        UserError: fewer than two images.
    """
    if n < FEWEST:
        raise UserError(f"wanted at least {FEWEST} simulated images, got {n}: one alone has no standard error")
    images, forward, backward = (int(s) for s in np.random.SeedSequence(seed).generate_state(3))
    like = next(vae.decoder.parameters()).new_empty(n, *vae.event_shape)
    z, x = own_samples(vae, like, torch.Generator(like.device).manual_seed(images))
    report = share_of(progress, 0, n, n, WORDS)
    best = best_gaussians(vae, x, seed, progress=report)
    lower = ais_truth(vae, x, best, forward, report, how).log_px
    return Bidirectional(x, lower, upper_bound(vae, x, z, best, how, backward, report))


@torch.no_grad()
def upper_bound(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    z: Float[Tensor, "B D"],
    best: BestGaussians,
    how: AISSettings = ANNEALING,
    seed: int = 0,
    progress: Progress = silent,
) -> Array:
    """log p(x) from above, in expectation, by the chains of `ais_truth` run backwards, (B,) nats.

    Args:
        z: an exact sample of each image's posterior, such as what it was drawn from.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    found: list[Tensor] = []
    for low in range(0, len(x), AT_ONCE):
        part = slice(low, low + AT_ONCE)
        report = share_of(progress, low, len(x[part]), len(x), "log p(x) by {}, backwards")
        start, scale = annealing_start(vae, x[part], best.full_mean[part], best.full_chol[part])
        found.append(reverse_ais(vae, x[part], z[None, part], how, generator, start, scale, report))
    return torch.cat(found).cpu().double().numpy()
