"""Samples of p(z|x) by Hamiltonian Monte Carlo for any latent dimension, with the diagnostics of their mixing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from gpvae_core.part import MOST_COUNT, MOST_SAMPLES, Settings
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.by_image import in_double
from gpvae_core.truth.diagnostics import R_HAT_LIMIT, Array, bulk_ess, split_r_hat
from gpvae_core.truth.hmc import ChainState, LogDensity, Target, adapted, evaluate, transition

FIRST_STEP = 0.3
"""Step size of the first transition, in units of the scale."""
FIRST_GAIN, GAIN_DECAY = 1.0, 0.6
"""The warm-up's t-th transition changes log step by FIRST_GAIN / t^GAIN_DECAY times the excess acceptance (Robbins and
Monro)."""
ESS_FOR_EACH_CHAIN = 100
"""With fewer effective draws in each chain R-hat itself is not reliable (Vehtari et al. 2021, sec. 4)."""


class HMCSettings(Settings):
    """Settings of the HMC chains that sample the posterior: their number and their lengths.

    >>> import gpvae_core as gpvae
    >>> gpvae.HMCSettings(draws=1000).chains
    4
    """

    chains: int = Field(default=4, ge=2, le=MOST_SAMPLES, description="number of chains of each image")
    warmup: int = Field(
        default=300, ge=1, le=MOST_COUNT, description="transitions that adapt the step size and are discarded"
    )
    draws: int = Field(default=500, ge=4, le=MOST_COUNT, description="transitions of each chain that are kept")
    leapfrog: int = Field(
        default=10, ge=1, le=MOST_SAMPLES, description="largest number of leapfrog steps of a transition"
    )


@dataclass(frozen=True)
class PosteriorSamples:
    """N draws from the true posterior of B images, from each of C chains.

    >>> import gpvae_core as gpvae
    >>> import torch
    >>> z = torch.randn(200, 4, 1, 2, generator=torch.Generator().manual_seed(0))
    >>> samples = gpvae.PosteriorSamples(z, step=torch.tensor([0.5]), acceptance=torch.tensor([0.8]))
    >>> bool((samples.r_hat < 1.01).all()), samples.mixed.tolist()
    (True, [True])
    """

    z: Float[Tensor, "N C B D"]
    """Latents, draws first."""
    step: Float[Tensor, " B"]
    """Step size after the warm-up, in units of `scale`."""
    acceptance: Float[Tensor, " B"]
    """Acceptance probability after the warm-up, averaged over chains and draws."""

    @cached_property
    def r_hat(self) -> Array:
        """(B, D) rank-normalised split R-hat."""
        return self._by_dimension(split_r_hat)

    @cached_property
    def ess(self) -> Array:
        """(B, D) bulk effective sample size."""
        return self._by_dimension(bulk_ess)

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """(B,) whether all latent dimensions have R-hat <= 1.01 and at least 100 effective draws for each chain."""
        min_ess = ESS_FOR_EACH_CHAIN * self.z.shape[1]
        return np.asarray((self.r_hat <= R_HAT_LIMIT).all(1) & (self.ess >= min_ess).all(1))

    def _by_dimension(self, statistic: Callable[[Array], float]) -> Array:
        """Return (B, D), a statistic of the draws (C, N) of each latent dimension of each image."""
        images = self.z.permute(2, 3, 1, 0).cpu().double().numpy()
        return np.array([[statistic(draws) for draws in image] for image in images])


@torch.no_grad()
def chains_from(
    begin: Float[Tensor, "C B D"],
    log_joint: LogDensity,
    scale: Float[Tensor, "B D D"],
    settings: HMCSettings,
    generators: Sequence[torch.Generator],
    progress: Progress = silent,
) -> PosteriorSamples:
    """Run C chains for each of B images from the latents `begin`, with a generator for each image."""
    step = scale.new_full((len(scale),), FIRST_STEP)
    target = Target((log_joint,), begin.new_ones(1), scale)
    state = evaluate(target.densities, begin)

    def move(state: ChainState, step: Tensor, t: int) -> tuple[ChainState, Tensor]:
        return transition(target, state, step, settings.leapfrog, generators, iteration=t)

    total = settings.warmup + settings.draws
    log_steps: list[Tensor] = []
    for t in range(1, settings.warmup + 1):
        state, rate = move(state, step, t)
        step = adapted(step, rate, FIRST_GAIN / t**GAIN_DECAY)
        log_steps.append(in_double(step).log())
        progress(t, total, "samples of the true posterior")
    # Average the iterates (Polyak), but only those of the warm-up's second half: the first ones are far off.
    step = torch.stack(log_steps[math.floor(0.5 * settings.warmup) :]).mean(0).exp().to(step)
    draws, rates = [], []
    for t in range(settings.warmup + 1, total + 1):
        state, rate = move(state, step, t)
        draws.append(state.z)
        rates.append(rate)
        progress(t, total, "samples of the true posterior")
    return PosteriorSamples(torch.stack(draws), step, torch.stack(rates).mean(0))
