"""Annealed importance sampling of log p(x) with HMC transitions (Neal 2001; Wu et al. 2017), any latent dimension.

Chains go from a start with a known density, f_0 = q(z), to f_1 = p(x, z), through f_b = q^(1-b) p(x, z)^b. The weights
    log w = sum_t (b_t - b_{t-1}) (log p(x, z_{t-1}) - log q(z_{t-1})),    z_t ~ HMC step on f_{b_t} from z_{t-1},
have mean p(x), so that log 1/C sum_c w_c is a lower bound of log p(x) in expectation. From an exact sample of the
posterior, which simulated data have, the reversed chain gives an upper bound: bidirectional Monte Carlo (Grosse 2015).

Step sizes are found on a few chains that are then thrown away: chosen on the chains that count, they would bias w.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.device import decodes_at_once
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.hmc import LogDensity, Point, adapted, evaluate, transition
from gpvae_core.truth.pareto import effective_sample_size, log_mean_error
from gpvae_core.vae import VAE

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
    def ess(self) -> Float[Tensor, " B"]:
        """Effective sample size of the weights, of C."""
        return effective_sample_size(self.log_w)


def sigmoid_schedule(steps: int) -> Float[Tensor, " T"]:
    """b_0 = 0 ... b_T = 1, dense at both ends: sigmoid(delta (2t/T - 1)), shifted and scaled (Wu et al. 2017)."""
    raw = torch.sigmoid(SHARPNESS * torch.linspace(-1, 1, steps + 1, dtype=torch.float64))
    return (raw - raw[0]) / (raw[-1] - raw[0])


def ais(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    how: AISSettings | None = None,
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
    path = _Path.of(vae, x, how or AISSettings(), start, scale)
    with torch.no_grad():
        report = _Counter(progress, path.how, chunk or decodes_at_once(x.device), len(x))
        steps = path.pilot(generator, report)
        parts = [path.forward(size, steps, generator, report) for size in report.sizes]
    return _joined(parts, report.sizes)


def reverse_ais(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    z: Float[Tensor, "K B D"],
    how: AISSettings | None = None,
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
    path = _Path.of(vae, x, how or AISSettings(), start, scale)
    with torch.no_grad():
        report = _Counter(progress, path.how, chunk or decodes_at_once(x.device), len(x))
        steps = path.pilot(generator, report)
        ends = z[torch.arange(path.how.chains, device=z.device) % len(z)].split(report.sizes)
        parts = [path.backward(end, steps, generator, report) for end in ends]
    log_w = _joined(parts, report.sizes).log_w
    return math.log(len(log_w)) - torch.logsumexp(-log_w, 0)


class _Counter:
    """Chains that run together, and the temperatures that are done: the pilot's and those of each part."""

    def __init__(self, progress: Progress, how: AISSettings, chunk: int, images: int) -> None:
        at_once = max(1, chunk // images)
        self.sizes = [min(at_once, how.chains - low) for low in range(0, how.chains, at_once)]
        self._progress, self._done, self._total = progress, 0, (1 + len(self.sizes)) * (how.steps - 1)

    def tick(self) -> None:
        self._done += 1
        self._progress(self._done, self._total, "annealed importance sampling")


@dataclass(frozen=True)
class _Path:
    """The geometric path between the start and the posterior of B images."""

    densities: Sequence[LogDensity]
    start: Posterior
    scale: Tensor
    betas: Tensor
    how: AISSettings

    @staticmethod
    def of(vae: VAE, x: Tensor, how: AISSettings, start: Posterior | None, scale: Tensor | None) -> _Path:
        begin = start or vae.prior(x)
        factor = torch.diag_embed(begin.variance.sqrt()).detach() if scale is None else scale
        return _Path((begin.log_prob, lambda z: vae.log_joint(x, z)), begin, factor, sigmoid_schedule(how.steps), how)

    def pilot(self, generator: torch.Generator | None, report: _Counter) -> Float[Tensor, "T B"]:
        """Step sizes of the temperatures between the ends; they follow the acceptance of chains of their own."""
        sizes: list[Tensor] = []
        step = self.scale.new_full((len(self.scale),), FIRST_STEP)
        point = self._begin(PILOT_CHAINS, generator)
        for beta in self._between():
            sizes.append(step)
            point, acceptance = self._move(point, beta, step, generator)
            step = adapted(step, acceptance, PILOT_GAIN)
            report.tick()
        return torch.stack(sizes)

    def forward(self, chains: int, steps: Tensor, generator: torch.Generator | None, report: _Counter) -> AISEstimate:
        point = self._begin(chains, generator)
        log_w = float(self.betas[1]) * _excess(point)
        rates: list[Tensor] = []
        for t, beta in enumerate(self._between(), start=1):
            point, rate = self._move(point, beta, steps[t - 1], generator)
            log_w = log_w + float(self.betas[t + 1] - self.betas[t]) * _excess(point)
            rates.append(rate)
            report.tick()
        return AISEstimate(log_w, torch.stack(rates).mean(0))

    def backward(self, z: Tensor, steps: Tensor, generator: torch.Generator | None, report: _Counter) -> AISEstimate:
        point = evaluate(self.densities, z)
        log_w = float(self.betas[-1] - self.betas[-2]) * _excess(point)
        rates: list[Tensor] = []
        for t in range(len(self.betas) - 2, 0, -1):
            point, rate = self._move(point, float(self.betas[t]), steps[t - 1], generator)
            log_w = log_w + float(self.betas[t] - self.betas[t - 1]) * _excess(point)
            rates.append(rate)
            report.tick()
        return AISEstimate(log_w, torch.stack(rates).mean(0))

    def _begin(self, chains: int, generator: torch.Generator | None) -> Point:
        return evaluate(self.densities, self.start.rsample_and_log_prob(chains, generator)[0])

    def _between(self) -> Iterator[float]:
        return iter(self.betas[1:-1].tolist())

    def _move(self, point: Point, beta: float, step: Tensor, generator: torch.Generator | None) -> tuple[Point, Tensor]:
        weights = point.z.new_tensor([1 - beta, beta])
        return transition(self.densities, weights, point, step, self.scale, self.how.leapfrog, generator)


def _excess(point: Point) -> Float[Tensor, "C B"]:
    """log p(x, z) - log q(z), float64 on the CPU."""
    start, end = point.values.cpu().double()
    return end - start


def _joined(parts: Sequence[AISEstimate], sizes: Sequence[int]) -> AISEstimate:
    share = torch.tensor(sizes, dtype=torch.float32) / sum(sizes)
    rates = torch.stack([part.acceptance.cpu() for part in parts])
    return AISEstimate(torch.cat([part.log_w for part in parts]), share @ rates)
