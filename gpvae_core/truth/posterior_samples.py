"""Samples of p(z|x) by Hamiltonian Monte Carlo, any latent dimension, with the diagnostics that say if they mixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.by_image import in_double
from gpvae_core.truth.diagnostics import R_HAT_LIMIT, Array, bulk_ess, split_r_hat
from gpvae_core.truth.hmc import LogDensity, Point, adapted, evaluate, transition
from gpvae_core.truth.noise import Generators
from gpvae_core.vae import VAE

FIRST_STEP = 0.3
FIRST_GAIN, GAIN_FALL = 1.0, 0.6
"""In the warm-up log step moves by FIRST_GAIN / t^GAIN_FALL times the excess of acceptance (Robbins & Monro)."""
ESS_FOR_EACH_CHAIN = 100
"""Fewer, and R-hat itself is not reliable (Vehtari et al. 2021, sec. 4)."""


class HMCSettings(BaseModel):
    """Settings of the chains that sample the posterior: how many there are, and how long.

    >>> import gpvae_core as gpvae
    >>> gpvae.HMCSettings(draws=1000).chains
    4
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    chains: int = Field(default=4, ge=2, description="chains of each instance")
    warmup: int = Field(default=300, ge=1, description="transitions that adapt the step size and are thrown away")
    draws: int = Field(default=500, ge=4, description="transitions of each chain that are kept")
    leapfrog: int = Field(default=10, ge=1, description="most leapfrog steps of a transition")


@dataclass(frozen=True)
class PosteriorSamples:
    """N draws of C chains of B instances.

    >>> draws = torch.randn(200, 4, 1, 2, generator=torch.Generator().manual_seed(0))
    >>> found = PosteriorSamples(draws, step=torch.tensor([0.5]), acceptance=torch.tensor([0.8]))
    >>> bool((found.r_hat < 1.01).all()), found.mixed.tolist()
    (True, [True])
    """

    z: Float[Tensor, "N C B D"]
    step: Float[Tensor, " B"]
    """Step size after the warm-up, in units of `scale`."""
    acceptance: Float[Tensor, " B"]

    @cached_property
    def r_hat(self) -> Array:
        """Rank-normalised split R-hat, (B, D)."""
        return self._each(split_r_hat)

    @cached_property
    def ess(self) -> Array:
        """Bulk effective sample size, (B, D)."""
        return self._each(bulk_ess)

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """Whether all dimensions of an instance have R-hat <= 1.01 and 100 effective draws a chain, (B,)."""
        enough = ESS_FOR_EACH_CHAIN * self.z.shape[1]
        return np.asarray((self.r_hat <= R_HAT_LIMIT).all(1) & (self.ess >= enough).all(1))

    def _each(self, statistic: Callable[[Array], float]) -> Array:
        draws = self.z.permute(2, 3, 1, 0).cpu().double().numpy()
        return np.array([[statistic(one) for one in instance] for instance in draws])


@torch.no_grad()
def posterior_samples(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    start: Posterior,
    settings: HMCSettings | None = None,
    generator: torch.Generator | None = None,
    scale: Float[Tensor, "B D D"] | None = None,
    progress: Progress = silent,
) -> PosteriorSamples:
    """Draw from p(z|x) of each image, all with one generator.

    Args:
        start: where chains start: q(z|x), or the prior (`vae.prior`), from which R-hat sees more.
        scale: factor of the covariance in whose units chains step, by default the start's standard deviations.

    C x B latents are decoded together: give few images at a time.
    """
    settings = settings or HMCSettings()
    factor = torch.diag_embed(start.variance.sqrt()) if scale is None else scale
    begin = start.rsample_and_log_prob(settings.chains, generator)[0]
    return chains_from(begin, lambda z: vae.log_joint(x, z), factor, settings, generator, progress)


@torch.no_grad()
def chains_from(
    begin: Float[Tensor, "C B D"],
    log_joint: LogDensity,
    scale: Float[Tensor, "B D D"],
    settings: HMCSettings,
    generators: Generators,
    progress: Progress = silent,
) -> PosteriorSamples:
    """Run C chains of each of B images from where they begin, with one generator, or with one for each image."""
    step = scale.new_full((len(scale),), FIRST_STEP)
    point, weights = evaluate((log_joint,), begin), begin.new_ones(1)
    each_its_own = isinstance(generators, Sequence)

    def moved(point: Point, step: Tensor, t: int) -> tuple[Point, Tensor]:
        turn = t if each_its_own else None
        return transition((log_joint,), weights, point, step, scale, settings.leapfrog, generators, turn)

    total = settings.warmup + settings.draws
    logs: list[Tensor] = []
    for t in range(1, settings.warmup + 1):
        point, rate = moved(point, step, t)
        step = adapted(step, rate, FIRST_GAIN / t**GAIN_FALL)
        logs.append(in_double(step).log())
        progress(t, total, "samples of the true posterior")
    # The warm-up's later half, after the first large steps of the search.
    step = torch.stack(logs[math.floor(0.5 * settings.warmup) :]).mean(0).exp().to(step)
    draws, rates = [], []
    for t in range(settings.warmup + 1, total + 1):
        point, rate = moved(point, step, t)
        draws.append(point.z)
        rates.append(rate)
        progress(t, total, "samples of the true posterior")
    return PosteriorSamples(torch.stack(draws), step, torch.stack(rates).mean(0))
