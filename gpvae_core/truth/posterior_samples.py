"""Samples of p(z|x) by Hamiltonian Monte Carlo, any latent dimension, with the diagnostics that say if they mixed."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from gpvae_core.truth.diagnostics import R_HAT_LIMIT, Array, bulk_ess, split_r_hat
from gpvae_core.truth.hmc import adapted, evaluate, transition
from gpvae_core.vae import VAE

FIRST_STEP = 0.3
FIRST_GAIN, GAIN_FALL = 1.0, 0.6
"""In the warm-up log step moves by FIRST_GAIN / t^GAIN_FALL times the excess of acceptance (Robbins & Monro)."""
ESS_FOR_EACH_CHAIN = 100
"""Fewer, and R-hat itself is not reliable (Vehtari et al. 2021, sec. 4)."""


class HMCSettings(BaseModel):
    """How long and how often the posterior is sampled."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    chains: int = Field(default=4, ge=2, description="chains of each instance")
    warmup: int = Field(default=300, ge=1, description="transitions that adapt the step size and are thrown away")
    draws: int = Field(default=500, ge=4, description="transitions of each chain that are kept")
    leapfrog: int = Field(default=10, ge=1, description="most leapfrog steps of a transition")


@dataclass(frozen=True)
class PosteriorSamples:
    """N draws of C chains of B instances."""

    z: Float[Tensor, "N C B D"]
    step: Float[Tensor, " B"]
    """Step size after the warm-up, in units of `scale`."""
    acceptance: Float[Tensor, " B"]

    @cached_property
    def r_hat(self) -> Array:
        """Rank-normalised split R-hat, (B, D)."""
        return self._of_each(split_r_hat)

    @cached_property
    def ess(self) -> Array:
        """Bulk effective sample size, (B, D)."""
        return self._of_each(bulk_ess)

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """Whether all dimensions of an instance have R-hat <= 1.01 and 100 effective draws a chain, (B,)."""
        enough = ESS_FOR_EACH_CHAIN * self.z.shape[1]
        return np.asarray((self.r_hat <= R_HAT_LIMIT).all(1) & (self.ess >= enough).all(1))

    def _of_each(self, statistic: Callable[[Array], float]) -> Array:
        draws = self.z.permute(2, 3, 1, 0).cpu().double().numpy()
        return np.array([[statistic(one) for one in instance] for instance in draws])


@torch.no_grad()
def posterior_samples(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    start: Posterior,
    how: HMCSettings | None = None,
    generator: torch.Generator | None = None,
    scale: Float[Tensor, "B D D"] | None = None,
    progress: Progress = silent,
) -> PosteriorSamples:
    """Draws of p(z|x) of each image.

    Args:
        start: where chains start: q(z|x), or the prior (`vae.prior`), from which R-hat sees more.
        scale: factor of the covariance in whose units chains step, by default the start's standard deviations.

    C x B latents are decoded together: give few images at a time.
    """
    how = how or HMCSettings()
    densities, weights = (lambda z: vae.log_joint(x, z),), x.new_ones(1)
    factor = torch.diag_embed(start.variance.sqrt()) if scale is None else scale
    step = factor.new_full((len(x),), FIRST_STEP)
    point = evaluate(densities, start.rsample_and_log_prob(how.chains, generator)[0])
    total = how.warmup + how.draws
    logs: list[Tensor] = []
    for t in range(1, how.warmup + 1):
        point, rate = transition(densities, weights, point, step, factor, how.leapfrog, generator)
        step = adapted(step, rate, FIRST_GAIN / t**GAIN_FALL)
        logs.append(step.log())
        progress(t, total, "samples of the true posterior")
    step = torch.stack(logs[math.floor(0.5 * how.warmup) :]).mean(0).exp()
    draws, rates = [], []
    for t in range(how.draws):
        point, rate = transition(densities, weights, point, step, factor, how.leapfrog, generator)
        draws.append(point.z)
        rates.append(rate)
        progress(how.warmup + t + 1, total, "samples of the true posterior")
    return PosteriorSamples(torch.stack(draws), step, torch.stack(rates).mean(0))
