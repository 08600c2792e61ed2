"""Bidirectional Monte Carlo (Grosse et al. 2015; Wu et al. 2017): bounds of log p(x) from both sides, by annealing.

On images drawn from the model, z ~ p(z) and x ~ p(x|z), the latent z of an image is an exact sample of its posterior.
Chains of annealed importance sampling that run backwards from it give an upper bound of log p(x) in expectation, chains
that run forwards a lower bound. The gap between the two bounds the error of both.
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

MIN_IMAGES = 2
"""The mean gap of fewer images has no standard error."""
PROGRESS_TEXT = "simulated images: {}"


@dataclass(frozen=True)
class Bidirectional:
    """Lower and upper bounds of log p(x), in nats, of N images drawn from the model."""

    x: Float[Tensor, "N C H W"]
    """The images."""
    lower: Array
    """(N,) lower bounds in expectation, by `Annealing.log_px`."""
    upper: Array
    """(N,) upper bounds in expectation, by `Annealing.upper_bound`."""

    @property
    def gap(self) -> Array:
        """(N,) upper minus lower bound; in expectation at least the error of `lower`."""
        return self.upper - self.lower


@torch.no_grad()
def bidirectional(
    vae: VAE, n: int, settings: AISSettings = ANNEALING, seed: int = 0, progress: Progress = silent
) -> Bidirectional:
    """Return both bounds for n images drawn from the model, with the start that real images have too.

    The upper bound holds only if the start of the chains does not depend on an image's z: so the images are drawn with
    a seed of their own, and the best Gaussians are fitted to x alone.

    Raises:
        UserError: fewer than two images.
    """
    if n < MIN_IMAGES:
        raise UserError(f"wanted at least {MIN_IMAGES} simulated images, got {n}: one alone has no standard error")
    image_seed, forward_seed, backward_seed = (int(s) for s in np.random.SeedSequence(seed).generate_state(3))
    like = next(vae.decoder.parameters()).new_empty(n, *vae.event_shape)
    z, x = own_samples(vae, like, torch.Generator(like.device).manual_seed(image_seed))
    report = share_of(progress, 0, n, n, PROGRESS_TEXT)
    best, annealing = best_gaussians(vae, x, seed, progress=report), Annealing(vae, settings)
    lower = annealing.log_px(x, forward_seed, report, best).log_px
    return Bidirectional(x, lower, annealing.upper_bound(x, z, backward_seed, report, best))
