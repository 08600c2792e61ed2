"""Variational inference as one call, and its trace, of which every step can be played."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BeforeValidator, Field, SerializeAsAny
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.errors import UserError
from gpvae_core.part import MOST_COUNT, Settings
from gpvae_core.part_text import parse_part, part_or_text
from gpvae_core.progress import Progress, checkpoint, silent
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples
from gpvae_core.truth.truth import truth_for
from gpvae_core.vi.families.base import VI_FAMILIES, FamilyConfig
from gpvae_core.vi.families.gaussian import FullConfig, MeanFieldConfig
from gpvae_core.vi.methods.base import VI_METHODS, MethodConfig, Start, VariationalInference
from gpvae_core.vi.methods.cavi import CaviConfig
from gpvae_core.vi.methods.stochastic import StochasticConfig
from gpvae_core.vi.targets.base import TARGETS, TargetConfig, VITarget
from gpvae_core.vi.targets.bayesian_mixture import BayesianMixtureConfig

AnyTarget = Annotated[SerializeAsAny[TargetConfig], BeforeValidator(part_or_text(TARGETS))]
AnyFamily = Annotated[SerializeAsAny[FamilyConfig], BeforeValidator(part_or_text(VI_FAMILIES))]
AnyMethod = Annotated[SerializeAsAny[MethodConfig], BeforeValidator(part_or_text(VI_METHODS))]
CHAINS = HMCSettings(warmup=200, draws=1000, leapfrog=3)
"""Default chains of `hmc_posterior`: in units of the fitted Gaussian a few steps cross a posterior with one mode."""
APPROACH_STEPS = 50
"""Steps along the natural gradient to the Gaussian from which chains start."""


class VISettings(Settings):
    """Settings of one inference; target, family and method may be given as texts, such as 'black-box:64'.

    >>> import gpvae_core as gpvae
    >>> gpvae.VISettings(target="banana", method="black-box:64,divergence=renyi:0.5", family="full").method.samples
    64
    """

    target: AnyTarget = Field(default=BayesianMixtureConfig(), description="target, whose posterior is known")
    family: AnyFamily = Field(default=MeanFieldConfig(), description="family of q(z)")
    method: AnyMethod = Field(default=CaviConfig(), description="method of inference")
    steps: int = Field(default=50, ge=0, le=MOST_COUNT, description="number of steps")
    start: tuple[Annotated[float, Field(ge=-1e3, le=1e3, allow_inf_nan=False)], ...] = Field(
        default=(0.5, -0.5),
        max_length=64,
        description="mean of q(z) at the start; its last value stands for all further latents",
    )
    start_sd: float = Field(default=1.0, gt=0, le=1e3, description="standard deviation of q(z) at the start")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the samples and the batches")


@dataclass(frozen=True)
class VISnapshot:
    """q(z) after some steps.

    >>> import gpvae_core as gpvae
    >>> trace = gpvae.infer(steps=3)
    >>> trace.snapshots[3].density.mean.shape, trace.snapshots[3].bound < 0
    (torch.Size([1, 2]), True)
    """

    step: int
    density: Posterior | None
    """q(z), a density of one row; None for particles."""
    particles: Float[Tensor, "K D"] | None
    """Particles that stand for q(z); None for a density."""
    bound: float | None
    """Bound on log p(x) that the method reports, in nats; None where it has none."""


@dataclass(frozen=True)
class VITrace:
    """One inference, from its start to its last step, beside the truth about its target.

    >>> import gpvae_core as gpvae
    >>> trace = gpvae.infer("linear-gaussian", "cavi", "full", steps=2)
    >>> len(trace.snapshots), abs(trace.kl(-1)) < 1e-6  # one step of a full Gaussian is the posterior
    (3, True)
    """

    settings: VISettings
    target: VITarget
    snapshots: tuple[VISnapshot, ...]

    @cached_property
    def posterior(self) -> GridPosterior:
        """p(z|x) by quadrature.

        Raises:
            UserError: the target has other than 2 latents.
        """
        if self.target.latent_dim != 2:
            raise UserError(f"quadrature wants a target with 2 latents, this one has {self.target.latent_dim}")
        found = truth_for(self.target).posterior(self.target.x)[0]
        assert isinstance(found, GridPosterior)
        return found

    @torch.no_grad()
    def kl(self, step: int) -> float:
        """Return KL(q || p(z|x)) after a step in nats, by quadrature on the window that carries the posterior's mass.

        Raises:
            UserError: the target has other than 2 latents, or the method has particles.
        """
        q, p = self.snapshots[step].density, self.posterior
        if q is None:
            raise UserError("the KL wants a density: particles have none")
        # NOTE: the mean over samples of q where the quadrature's window misses some of q's own mass.
        z, log_q = q.rsample_and_log_prob(20_000, torch.Generator().manual_seed(0))
        inside = ((z[:, 0] >= torch.tensor([p.x[0], p.y[0]])) & (z[:, 0] <= torch.tensor([p.x[-1], p.y[-1]]))).all(-1)
        if not bool(inside.all()):
            return float((log_q[:, 0] - self.target.log_density(z[:, 0])).mean() + p.log_px)
        grid = torch.from_numpy(np.stack(np.meshgrid(p.x, p.y), -1).reshape(-1, 1, 2))
        values = q.log_prob(grid).reshape(p.log_joint.shape).numpy()
        mass = np.exp(values) * p.cell
        return float((mass * (values - p.log_density)).sum() / mass.sum())


def begin(settings: VISettings) -> tuple[VITarget, VariationalInference]:
    """Return the target, and the method before its first step.

    Raises:
        UserError: the method does not take the target or the family.
    """
    target = settings.target.build()
    d, given = target.latent_dim, settings.start
    if not 1 <= len(given) <= d:
        raise UserError(f"wanted a start with 1 to {d} values, one for each latent, got {len(given)}")
    m = torch.tensor([*given, *[given[-1]] * (d - len(given))], dtype=torch.float64)
    return target, settings.method.begin(Start(target, settings.family, m, settings.start_sd, settings.seed))


def snapshot(inference: VariationalInference, step: int) -> VISnapshot:
    """Return the state of an inference after so many steps."""
    # NOTE: a copy, as steps change the parameters in place.
    return VISnapshot(step, deepcopy(inference.density()), inference.particles(), inference.bound())


def steps_of(inference: VariationalInference) -> Iterator[VISnapshot]:
    """Take one step after another, and return the state before the first and after each."""
    step = 0
    while True:
        yield snapshot(inference, step)
        inference.step()
        step += 1


def infer(
    target: TargetConfig | str = "bayesian-mixture",
    method: MethodConfig | str = "cavi",
    family: FamilyConfig | str = "mean-field",
    steps: int = 50,
    seed: int = 0,
    start: tuple[float, ...] = (0.5, -0.5),
    start_sd: float = 1.0,
    progress: Progress = silent,
) -> VITrace:
    """Return the trace of a method of variational inference on a target whose posterior is known.

    Args:
        target: such as 'bayesian-mixture', 'linear-gaussian:50', 'logistic-regression', 'banana' or
            'mixture,components=-1:0:0.5:1 1:0:0.5:1'; see `gpvae list targets`.
        method: such as 'cavi', 'svi:5', 'black-box:64,gradient=score', 'amortized' or 'stein-particles:50'.
        family: 'mean-field', 'block:2', 'full' or 'mixture:3'.

    Raises:
        UserError: a name or a setting is unknown, or the method does not take the target or the family.

    >>> import gpvae_core as gpvae
    >>> trace = gpvae.infer("banana", "black-box", "full", steps=5)
    >>> trace.kl(-1) < trace.kl(0)
    True
    """
    settings = VISettings(
        target=parse_part(target, TARGETS) if isinstance(target, str) else target,
        family=parse_part(family, VI_FAMILIES) if isinstance(family, str) else family,
        method=parse_part(method, VI_METHODS) if isinstance(method, str) else method,
        steps=steps, seed=seed, start=start, start_sd=start_sd,
    )  # fmt: skip
    built, inference = begin(settings)
    snapshots: list[VISnapshot] = []
    for state in steps_of(inference):
        checkpoint()
        snapshots.append(state)
        progress(state.step, steps, "variational inference")
        if state.step == steps:
            return VITrace(settings, built, tuple(snapshots))
    raise AssertionError


def hmc_posterior(
    target: VITarget, settings: HMCSettings | None = None, seed: int = 0, progress: Progress = silent
) -> PosteriorSamples:
    """Return samples of p(z|x) by Hamiltonian Monte Carlo, from chains that begin at a Gaussian fitted to it."""
    m = torch.zeros(target.latent_dim, dtype=torch.float64)
    start = Start(target, FullConfig(), m, float(target.prior_std), seed)
    approach = StochasticConfig(batch=0, rate=0.5, forgetting=0.0).begin(start)
    for _ in range(APPROACH_STEPS):
        approach.step()
    return truth_for(target).samples(target.x, settings or CHAINS, seed, progress, start=approach.density())
