"""Annealed importance sampling of log p(x) with HMC transitions (Neal 2001; Wu et al. 2017), for any latent dimension.

Chains go from a start with a known density, f_0 = q(z), to f_1 = p(x, z), through f_b = q^(1-b) p(x, z)^b. The weights
    log w = sum_t (b_t - b_{t-1}) (log p(x, z_{t-1}) - log q(z_{t-1})),    z_t ~ HMC step on f_{b_t} from z_{t-1},
have mean p(x), so that log 1/C sum_c w_c is a lower bound of log p(x) in expectation. From an exact sample of the
posterior, which simulated data have, the reversed chain gives an upper bound: bidirectional Monte Carlo (Grosse 2015).

Step sizes are adapted on a few pilot chains that are then discarded: adapted on the chains that are weighted, they
would bias w.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.part import MOST_COUNT, MOST_SAMPLES, Settings
from gpvae_core.progress import Progress
from gpvae_core.truth.hmc import ChainState, LogDensity, Target, adapted, evaluate, transition
from gpvae_core.truth.noise import Generators
from gpvae_core.truth.pareto import effective_sample_size, log_mean_error

SHARPNESS = 4.0
"""delta of the sigmoid schedule (Wu et al. 2017, supplement)."""
PILOT_CHAINS = 4
"""Chains of each image on which step sizes are adapted."""
PILOT_GAIN = 0.3
"""Change of the pilot's log step for each unit of excess acceptance."""
FIRST_STEP = 0.5
"""Step size of the pilot's first transition, in units of the scale."""


class AISSettings(Settings):
    """Settings of annealed importance sampling: number of temperatures, chains and leapfrog steps.

    >>> import gpvae_core as gpvae
    >>> gpvae.TruthSettings(name="ais", annealing=gpvae.AISSettings(chains=32)).annealing.leapfrog
    5
    """

    steps: int = Field(default=500, ge=2, le=MOST_COUNT, description="temperatures between the start and the posterior")
    chains: int = Field(default=16, ge=2, le=MOST_SAMPLES, description="number of chains of each image")
    leapfrog: int = Field(
        default=5, ge=1, le=MOST_SAMPLES, description="largest number of leapfrog steps of a transition"
    )


@dataclass(frozen=True)
class AISEstimate:
    """Importance weights of C annealed chains of B images, float64 on the CPU."""

    log_w: Float[Tensor, "C B"]
    acceptance: Float[Tensor, " B"]
    """Acceptance probability of each image, averaged over chains and temperatures."""

    @property
    def log_px(self) -> Float[Tensor, " B"]:
        """log 1/C sum_c w_c in nats, a lower bound of log p(x) in expectation."""
        return torch.logsumexp(self.log_w, 0) - math.log(len(self.log_w))

    @property
    def se(self) -> Float[Tensor, " B"]:
        """Standard error of log_px in nats, from the spread of the chains' weights (`log_mean_error`)."""
        return log_mean_error(self.log_w)

    @property
    def upper_bound(self) -> Float[Tensor, " B"]:
        """-log 1/C sum_c 1/w_c in nats, an upper bound of log p(x) in expectation if the chains ran backwards."""
        return math.log(len(self.log_w)) - torch.logsumexp(-self.log_w, 0)

    @property
    def ess(self) -> Float[Tensor, " B"]:
        """Effective sample size of the weights, at most C."""
        return effective_sample_size(self.log_w)


def sigmoid_schedule(steps: int) -> Float[Tensor, " T"]:
    """Return inverse temperatures b_0 = 0 ... b_T = 1, dense at both ends, for T = `steps`.

    b_t is sigmoid(delta (2t/T - 1)), shifted and scaled to [0, 1] (Wu et al. 2017, supplement).
    """
    # In float64, as differences of neighbouring b_t multiply log ratios of thousands of nats.
    raw = torch.sigmoid(SHARPNESS * torch.linspace(-1, 1, steps + 1, dtype=torch.float64))
    return (raw - raw[0]) / (raw[-1] - raw[0])


def chains_at_once(chains: int, most: int) -> list[int]:
    """Return the sizes of the parts in which an image's chains run, at most `most` chains (at least one) in each."""
    at_once = max(1, most)
    return [min(at_once, chains - low) for low in range(0, chains, at_once)]


def ends_of_chains(z: Float[Tensor, "K B D"], chains: int) -> Float[Tensor, "C B D"]:
    """Return the latents from which C reversed chains start: the K exact samples, in turn."""
    return z[torch.arange(chains, device=z.device) % len(z)]


class AnnealingProgress:
    """Counts the transitions made, those of the pilot and of each part of the chains, and reports them."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def advance(self) -> None:
        """Count one transition of the chains that run together."""
        self._done += 1
        self._progress(self._done, self._total, "annealed importance sampling")


@dataclass(frozen=True)
class AnnealingPath:
    """The geometric path f_b = q^(1-b) p(x, z)^b of B images, with the settings and the noise of its chains."""

    densities: Sequence[LogDensity]
    """log q(z) of the start and log p(x, z)."""
    draw: Callable[[int], Tensor]
    """K -> K samples of the start for each image, (K, B, D)."""
    scale: Float[Tensor, "B D D"]
    """Factor L of a covariance L L' in whose units chains step."""
    settings: AISSettings
    generators: Generators

    @cached_property
    def betas(self) -> Float[Tensor, " T"]:
        """Inverse temperatures b_0 = 0 ... b_T = 1."""
        return sigmoid_schedule(self.settings.steps)

    @property
    def moves(self) -> int:
        """Number of transitions of a chain: one at each temperature between the ends."""
        return self.settings.steps - 1

    def pilot(self, report: AnnealingProgress) -> Float[Tensor, "T B"]:
        """Return the step sizes of the temperatures between the ends, adapted on chains that are then discarded."""
        sizes: list[Tensor] = []
        step = self.scale.new_full((len(self.scale),), FIRST_STEP)
        state = self._begin(PILOT_CHAINS)
        for t in range(1, self.moves + 1):
            sizes.append(step)
            state, acceptance = self._move(state, t, step)
            step = adapted(step, acceptance, PILOT_GAIN)
            report.advance()
        return torch.stack(sizes)

    def forward(self, chains: int, steps: Float[Tensor, "T B"], report: AnnealingProgress) -> AISEstimate:
        """Anneal from the start to the posterior, with the step sizes that `pilot` returned."""
        # Step t - 1 -> t of the path raises the exponent of p(x, z) / q(z) by b_t - b_{t-1}: the weight changes at the
        # old state, before the transition at the new temperature. After the last change no transition is needed.
        state = self._begin(chains)
        log_w = float(self.betas[1]) * _log_ratio(state)
        rates: list[Tensor] = []
        for t in range(1, self.moves + 1):
            state, rate = self._move(state, t, steps[t - 1])
            log_w = log_w + float(self.betas[t + 1] - self.betas[t]) * _log_ratio(state)
            rates.append(rate)
            report.advance()
        return AISEstimate(log_w, torch.stack(rates).mean(0))

    def backward(
        self, z: Float[Tensor, "C B D"], steps: Float[Tensor, "T B"], report: AnnealingProgress
    ) -> AISEstimate:
        """Anneal from exact samples z of the posterior to the start; log w is that of the same path walked forward."""
        # The same sum from its last term to its first: each transition is at the temperature between two changes.
        # HMC transitions are reversible, so that they are their own reversals.
        state = evaluate(self.densities, z)
        log_w = float(self.betas[-1] - self.betas[-2]) * _log_ratio(state)
        rates: list[Tensor] = []
        for t in range(self.moves, 0, -1):
            state, rate = self._move(state, t, steps[t - 1])
            log_w = log_w + float(self.betas[t] - self.betas[t - 1]) * _log_ratio(state)
            rates.append(rate)
            report.advance()
        return AISEstimate(log_w, torch.stack(rates).mean(0))

    def _begin(self, chains: int) -> ChainState:
        return evaluate(self.densities, self.draw(chains))

    def _move(self, state: ChainState, t: int, step: Float[Tensor, " B"]) -> tuple[ChainState, Float[Tensor, " B"]]:
        """Make one transition at temperature t, which also determines the lengths: images then share no noise."""
        beta = float(self.betas[t])
        target = Target(self.densities, state.z.new_tensor([1 - beta, beta]), self.scale)
        return transition(target, state, step, self.settings.leapfrog, self.generators, iteration=t)


def _log_ratio(state: ChainState) -> Float[Tensor, "C B"]:
    """Return log p(x, z) - log q(z) in nats, float64 on the CPU."""
    log_q, log_joint = state.values.cpu().double()
    return log_joint - log_q


def joined(parts: Sequence[AISEstimate]) -> AISEstimate:
    """Return the estimate of all chains from those of its parts."""
    # The mean acceptance over all chains is that of the parts weighted by their numbers of chains.
    sizes = torch.tensor([len(part.log_w) for part in parts], dtype=torch.float32)
    rates = torch.stack([part.acceptance.cpu() for part in parts])
    return AISEstimate(torch.cat([part.log_w for part in parts]), (sizes / sizes.sum()) @ rates)
