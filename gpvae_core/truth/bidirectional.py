"""Bidirectional Monte Carlo (Grosse et al. 2015; Wu et al. 2017): how far annealing is from log p(x), both sides known.

On images that the model draws itself, z ~ p(z) and x ~ p(x|z), the z that made an image is an exact sample of its
posterior. From it the chains of annealed importance sampling run backwards, which gives an upper bound of log p(x) in
expectation; forwards they give a lower one. What lies between the two bounds the error of both.
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
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.best_gaussian import best_gaussians
from gpvae_core.truth.estimators.ais import Annealing
from gpvae_core.truth.evidence import Array
from gpvae_core.truth.settings import ANNEALING
from gpvae_core.vae import VAE

FEWEST = 2
"""Of fewer images the gap has no standard error."""
WORDS = "simulated images: {}"


@dataclass(frozen=True)
class Bidirectional:
    """Both bounds of log p(x) of N images that the model made, nats."""

    x: Float[Tensor, "N C H W"]
    lower: Array
    """Below log p(x) in expectation, (N,); with the same settings, what `Annealing.log_px` gives."""
    upper: Array
    """Above log p(x) in expectation, (N,)."""

    @property
    def gap(self) -> Array:
        """upper - lower; its mean is not below the mean error of `lower`, (N,)."""
        return self.upper - self.lower


@torch.no_grad()
def bidirectional(
    vae: VAE, n: int, settings: AISSettings = ANNEALING, seed: int = 0, progress: Progress = silent
) -> Bidirectional:
    """Return both bounds on n images of the model's own, annealed from where real images are annealed from.

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
    best, annealing = best_gaussians(vae, x, seed, progress=report), Annealing(vae, settings)
    lower = annealing.log_px(x, forward, report, best).log_px
    return Bidirectional(x, lower, annealing.upper_bound(x, z, backward, report, best))
