"""Annealed importance sampling of log p(x) with HMC transitions (Neal 2001; Wu et al. 2017), any latent dimension.

Chains go from a start with a known density, f_0 = q(z), to f_1 = p(x, z), through f_b = q^(1-b) p(x, z)^b. The weights
    log w = sum_t (b_t - b_{t-1}) (log p(x, z_{t-1}) - log q(z_{t-1})),    z_t ~ HMC step on f_{b_t} from z_{t-1},
have mean p(x), so that log 1/C sum_c w_c is a lower bound of log p(x) in expectation. From an exact sample of the
posterior, which simulated data have, the reversed chain gives an upper bound: bidirectional Monte Carlo (Grosse 2015).

Step sizes are found on a few chains that are then thrown away: chosen on the chains that count, they would bias w.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.device import decodes_at_once
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.hmc import LogDensity, Point, adapted, evaluate, transition
from gpvae_core.truth.noise import Generators
from gpvae_core.truth.pareto import effective_sample_size, log_mean_error
from gpvae_core.vae import GenerativeModel

SHARPNESS = 4.0
"""delta of the sigmoid schedule (Wu et al. 2017, supplement)."""
PILOT_CHAINS = 4
PILOT_GAIN = 0.3
FIRST_STEP = 0.5


class AISSettings(BaseModel):
    """How long and how often it is annealed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    steps: int = Field(default=500, ge=2, description="temperatures between the start and the posterior")
    chains: int = Field(default=16, ge=2, description="chains of each instance")
    leapfrog: int = Field(default=5, ge=1, description="most leapfrog steps of a transition")


@dataclass(frozen=True)
class AISEstimate:
    """Annealed weights of C chains of B instances, float64 on the CPU."""

    log_w: Float[Tensor, "C B"]
    acceptance: Float[Tensor, " B"]
    """Mean probability of acceptance over the temperatures."""

    @property
    def log_px(self) -> Float[Tensor, " B"]:
        """log 1/C sum_c w_c, nats."""
        return torch.logsumexp(self.log_w, 0) - math.log(len(self.log_w))

    @property
    def se(self) -> Float[Tensor, " B"]:
        """Standard error of log_px over chains, nats."""
        return log_mean_error(self.log_w)

    @property
    def upper_bound(self) -> Float[Tensor, " B"]:
        """-log 1/C sum_c 1/w_c, nats: above log p(x) in expectation where the chains ran backwards."""
        return math.log(len(self.log_w)) - torch.logsumexp(-self.log_w, 0)

    @property
    def ess(self) -> Float[Tensor, " B"]:
        """Effective sample size of the weights, of C."""
        return effective_sample_size(self.log_w)


def sigmoid_schedule(steps: int) -> Float[Tensor, " T"]:
    """b_0 = 0 ... b_T = 1, dense at both ends: sigmoid(delta (2t/T - 1)), shifted and scaled (Wu et al. 2017)."""
    raw = torch.sigmoid(SHARPNESS * torch.linspace(-1, 1, steps + 1, dtype=torch.float64))
    return (raw - raw[0]) / (raw[-1] - raw[0])


def ais(
    vae: GenerativeModel,
    x: Float[Tensor, "B C H W"],
    settings: AISSettings | None = None,
    generator: torch.Generator | None = None,
    start: Posterior | None = None,
    scale: Float[Tensor, "B D D"] | None = None,
    progress: Progress = silent,
    chunk: int | None = None,
) -> AISEstimate:
    """log p(x) of each image: a lower bound in expectation, exact with many temperatures.

    Args:
        start: where chains start, the prior by default; must be at least as wide as the posterior.
        scale: factor of the covariance in whose units chains step, by default the start's standard deviations.
        chunk: latents decoded at a time (at least one for each image); what the device is fastest on by default.
    """
    path = annealing_path(vae, x, settings or AISSettings(), generator, start, scale)
    with torch.no_grad():
        sizes = chains_at_once(path.settings.chains, (chunk or decodes_at_once(x.device)) // len(x))
        report = Counter(progress, (1 + len(sizes)) * path.moves)
        steps = path.pilot(report)
        return joined([path.forward(size, steps, report) for size in sizes])


def reverse_ais(
    vae: GenerativeModel,
    x: Float[Tensor, "B C H W"],
    z: Float[Tensor, "K B D"],
    settings: AISSettings | None = None,
    generator: torch.Generator | None = None,
    start: Posterior | None = None,
    scale: Float[Tensor, "B D D"] | None = None,
    progress: Progress = silent,
    chunk: int | None = None,
) -> Float[Tensor, " B"]:
    """An upper bound of log p(x) in expectation, -log 1/C sum_c 1/w_c, where x was drawn from p(x|z).

    Args:
        z: K exact samples of p(z|x), such as the one z that made x; chains beyond K start from them in turn.
    """
    path = annealing_path(vae, x, settings or AISSettings(), generator, start, scale)
    with torch.no_grad():
        sizes = chains_at_once(path.settings.chains, (chunk or decodes_at_once(x.device)) // len(x))
        report = Counter(progress, (1 + len(sizes)) * path.moves)
        steps = path.pilot(report)
        ends = ends_of_chains(z, path.settings.chains).split(sizes)
        return joined([path.backward(end, steps, report) for end in ends]).upper_bound


def chains_at_once(chains: int, most: int) -> list[int]:
    """Return the sizes of the parts in which an image's chains run, of at most `most` (at least one) each."""
    at_once = max(1, most)
    return [min(at_once, chains - low) for low in range(0, chains, at_once)]


def ends_of_chains(z: Float[Tensor, "K B D"], chains: int) -> Float[Tensor, "C B D"]:
    """Return where C reversed chains begin: in the K exact samples, in turn."""
    return z[torch.arange(chains, device=z.device) % len(z)]


class Counter:
    """Reports the temperatures that are done: the pilot's and those of each part of the chains."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def tick(self) -> None:
        self._done += 1
        self._progress(self._done, self._total, "annealed importance sampling")


@dataclass(frozen=True)
class AnnealingPath:
    """The geometric path between the start and the posterior of B images, and the noise of its chains."""

    densities: Sequence[LogDensity]
    """log q(z) of the start and log p(x, z)."""
    draw: Callable[[int], Tensor]
    """K -> K samples of the start for each image, (K, B, D)."""
    scale: Float[Tensor, "B D D"]
    settings: AISSettings
    generators: Generators

    @cached_property
    def betas(self) -> Float[Tensor, " T"]:
        return sigmoid_schedule(self.settings.steps)

    @property
    def moves(self) -> int:
        """Transitions of a chain: one at each temperature between the ends."""
        return self.settings.steps - 1

    def pilot(self, report: Counter) -> Float[Tensor, "T B"]:
        """Step sizes of the temperatures between the ends; they follow the acceptance of chains of their own."""
        sizes: list[Tensor] = []
        step = self.scale.new_full((len(self.scale),), FIRST_STEP)
        point = self._begin(PILOT_CHAINS)
        for t in range(1, self.moves + 1):
            sizes.append(step)
            point, acceptance = self._move(point, t, step)
            step = adapted(step, acceptance, PILOT_GAIN)
            report.tick()
        return torch.stack(sizes)

    def forward(self, chains: int, steps: Float[Tensor, "T B"], report: Counter) -> AISEstimate:
        """Anneal from the start to the posterior; `steps` are what `pilot` found."""
        point = self._begin(chains)
        log_w = float(self.betas[1]) * _excess(point)
        rates: list[Tensor] = []
        for t in range(1, self.moves + 1):
            point, rate = self._move(point, t, steps[t - 1])
            log_w = log_w + float(self.betas[t + 1] - self.betas[t]) * _excess(point)
            rates.append(rate)
            report.tick()
        return AISEstimate(log_w, torch.stack(rates).mean(0))

    def backward(self, z: Float[Tensor, "C B D"], steps: Float[Tensor, "T B"], report: Counter) -> AISEstimate:
        """Anneal from exact samples z of the posterior to the start; the weights are those of the same path forward."""
        point = evaluate(self.densities, z)
        log_w = float(self.betas[-1] - self.betas[-2]) * _excess(point)
        rates: list[Tensor] = []
        for t in range(self.moves, 0, -1):
            point, rate = self._move(point, t, steps[t - 1])
            log_w = log_w + float(self.betas[t] - self.betas[t - 1]) * _excess(point)
            rates.append(rate)
            report.tick()
        return AISEstimate(log_w, torch.stack(rates).mean(0))

    def _begin(self, chains: int) -> Point:
        return evaluate(self.densities, self.draw(chains))

    def _move(self, point: Point, t: int, step: Float[Tensor, " B"]) -> tuple[Point, Float[Tensor, " B"]]:
        """One transition at temperature t. Which chains take a step more goes by t: the instances share no noise."""
        beta = float(self.betas[t])
        weights = point.z.new_tensor([1 - beta, beta])
        leapfrog = self.settings.leapfrog
        return transition(self.densities, weights, point, step, self.scale, leapfrog, self.generators, turn=t)


def annealing_path(
    vae: GenerativeModel,
    x: Float[Tensor, "B C H W"],
    settings: AISSettings,
    generator: torch.Generator | None,
    start: Posterior | None,
    scale: Float[Tensor, "B D D"] | None,
) -> AnnealingPath:
    """Return the path of B images that draw from one generator, as `ais` describes it."""
    begin = start or vae.prior(x)
    return AnnealingPath(
        densities=(begin.log_prob, lambda z: vae.log_joint(x, z)),
        draw=lambda k: begin.rsample_and_log_prob(k, generator)[0],
        scale=torch.diag_embed(begin.variance.sqrt()).detach() if scale is None else scale,
        settings=settings,
        generators=generator,
    )


def _excess(point: Point) -> Float[Tensor, "C B"]:
    """log p(x, z) - log q(z), float64 on the CPU."""
    start, end = point.values.cpu().double()
    return end - start


def joined(parts: Sequence[AISEstimate]) -> AISEstimate:
    """Return the estimate of all chains from those of its parts."""
    sizes = torch.tensor([len(part.log_w) for part in parts], dtype=torch.float32)
    rates = torch.stack([part.acceptance.cpu() for part in parts])
    return AISEstimate(torch.cat([part.log_w for part in parts]), (sizes / sizes.sum()) @ rates)
