"""log p(x) of many instances, by quadrature, annealing or importance sampling, and how far each can be trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.densities.defensive_mixture import DefensiveMixture
from gpvae_core.progress import Progress, share_of, silent
from gpvae_core.truth.ais import AISEstimate, AISSettings, ais
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.grid import Atlas, true_posteriors
from gpvae_core.truth.importance import ImportanceEstimate, log_weights
from gpvae_core.truth.line import Line
from gpvae_core.truth.pareto import K_HAT_LIMIT
from gpvae_core.vae import VAE

Array = NDArray[np.float64]
T = TypeVar("T")
IWAE_SAMPLES = 5000
AT_ONCE = 32
"""Posteriors, importance weights or chains of so many images held at a time."""
ANNEALING = AISSettings(steps=30, chains=64, leapfrog=5)
"""From the best Gaussian few temperatures do: standard errors of 0.1 nats at d = 2 to 50 on digits and MNIST."""
PRIOR_SHARE = 0.3
"""Share of the chains that start in the prior: they find modes that the best Gaussian does not cover. Without them the
answer looks more precise than it is where there are several."""
MIN_ESS = 10.0
"""Effective samples (or chains) below which an estimate is not trusted: its standard error is then 0.3 nats or more."""


@dataclass(frozen=True)
class Truth:
    """log p(x) of B instances in nats, how it was found and how surely; what is not known of its kind is None."""

    kind: str
    """'line' or 'grid' (quadrature at d = 1 or 2); 'ais' or 'iwae' (annealed or plain importance sampling, lower bounds
    in expectation)."""
    log_px: Array
    k: int | None = None
    """Importance samples ('iwae') or chains ('ais')."""
    steps: int | None = None
    """Temperatures ('ais')."""
    se: Array | None = None
    """Standard error of each log_px, nats."""
    ess: Array | None = None
    """Effective sample size of each, of k."""
    k_hat: Array | None = None
    """Pareto-k of each one's weights ('iwae')."""
    negentropy: Array | None = None
    """Entropy of the Gaussian with the posterior's moments minus the posterior's, nats ('grid', as what follows; this
    and `passed` also 'line')."""
    n_modes: NDArray[np.int64] | None = None
    passed: NDArray[np.bool_] | None = None
    """Whether the grid's checks (mass outside, halving the step, cells spanned) passed."""
    refined: NDArray[np.bool_] | None = None
    """Whether the atlas did not do, and a grid was decoded for this instance."""
    modes: tuple[Array, ...] | None = None
    """Modes (J, 2) of each instance, highest first."""

    def first(self, n: int) -> Truth:
        """The first n instances."""
        whole = ("kind", "k", "steps")
        parts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in whole}
        return dataclasses.replace(self, **{name: None if v is None else v[:n] for name, v in parts.items()})

    @property
    def untrusted(self) -> NDArray[np.bool_]:
        """Failed checks of the quadrature, k_hat above K_HAT_LIMIT, or fewer than MIN_ESS effective samples; (B,)."""
        bad = np.zeros(len(self.log_px), dtype=bool)
        if self.passed is not None:
            bad |= ~self.passed
        if self.k_hat is not None:
            bad |= self.k_hat > K_HAT_LIMIT
        if self.ess is not None:
            bad |= ~(self.ess >= MIN_ESS)
        return bad


@runtime_checkable
class Estimator(Protocol):
    """A way to log p(x) in any latent dimension; the best Gaussians say where to look."""

    def __call__(
        self, vae: VAE, x: Tensor, best: BestGaussians, seed: int = 0, progress: Progress = silent
    ) -> Truth: ...


def grid_truth(vae: VAE, x: Float[Tensor, "B C H W"], atlas: Atlas | None = None, progress: Progress = silent) -> Truth:
    """log p(x), negentropy and modes by quadrature, few posteriors in memory. Raises UserError if d != 2."""
    plane = Atlas.build(vae, progress=progress) if atlas is None else atlas
    rows: list[tuple[float, float, bool, bool, Array]] = []
    for low in range(0, len(x), AT_ONCE):
        for grid in true_posteriors(vae, plane, x[low : low + AT_ONCE]):
            refined = not np.array_equal(grid.x, plane.axis.numpy())
            rows.append((grid.log_px, grid.negentropy(), grid.passed, refined, grid.modes()))
        progress(len(rows), len(x), "true posteriors")
    log_px, negentropy, passed, refined, modes = zip(*rows, strict=True)
    return Truth(
        kind="grid",
        log_px=np.array(log_px),
        negentropy=np.array(negentropy),
        n_modes=np.array([len(m) for m in modes]),
        passed=np.array(passed),
        refined=np.array(refined),
        modes=tuple(modes),
    )


@torch.no_grad()
def line_truth(
    vae: VAE, x: Float[Tensor, "B C H W"], best: BestGaussians, seed: int = 0, progress: Progress = silent
) -> Truth:
    """log p(x) and negentropy by quadrature along the latent line. Raises UserError if d != 1."""
    line = Line.build(vae, progress=progress)
    moments = line.moments(x)
    return Truth(
        kind="line",
        log_px=moments.log_px.numpy(),
        negentropy=moments.negentropy.numpy(),
        passed=line.passed(x).numpy(),
    )


@torch.no_grad()
def sampled_truth(
    vae: VAE, x: Float[Tensor, "B C H W"], best: BestGaussians, seed: int = 0, progress: Progress = silent
) -> Truth:
    """A lower bound on log p(x), tight where the best full Gaussian (mixed with the encoder) covers the posterior."""
    generator = torch.Generator(x.device).manual_seed(seed)
    found: list[ImportanceEstimate] = []
    for low in range(0, len(x), AT_ONCE):
        part = slice(low, low + AT_ONCE)
        proposal = DefensiveMixture(best.full_mean[part], best.full_chol[part], vae.infer(x[part]))
        found.append(ImportanceEstimate.of(log_weights(vae, x[part], IWAE_SAMPLES, generator, proposal)))
        progress(min(low + AT_ONCE, len(x)), len(x), f"log p(x) by {IWAE_SAMPLES} importance samples")
    return Truth(
        kind="iwae",
        log_px=_joined(found, lambda one: one.log_px),
        k=IWAE_SAMPLES,
        se=_joined(found, lambda one: one.se),
        ess=_joined(found, lambda one: one.ess),
        k_hat=_joined(found, lambda one: one.k_hat),
    )


def annealing_start(
    vae: VAE, x: Float[Tensor, "B C H W"], mean: Float[Tensor, "B D"], chol: Float[Tensor, "B D D"]
) -> tuple[DefensiveMixture, Float[Tensor, "B D D"]]:
    """Where chains start, N(mean, L L') (the best full Gaussian) mixed with the prior, and in whose units they step."""
    return DefensiveMixture(mean, chol, vae.prior(x), PRIOR_SHARE), chol


@torch.no_grad()
def ais_truth(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    best: BestGaussians,
    seed: int = 0,
    progress: Progress = silent,
    how: AISSettings = ANNEALING,
) -> Truth:
    """log p(x) by annealing from the best full Gaussian, mixed with the prior, to the posterior."""
    generator = torch.Generator(x.device).manual_seed(seed)
    found: list[AISEstimate] = []
    for low in range(0, len(x), AT_ONCE):
        part = slice(low, low + AT_ONCE)
        report = share_of(progress, low, len(x[part]), len(x), "log p(x) by {}")
        start, scale = annealing_start(vae, x[part], best.full_mean[part], best.full_chol[part])
        found.append(ais(vae, x[part], how, generator, start, scale, report))
    return Truth(
        kind="ais",
        log_px=_joined(found, lambda one: one.log_px),
        k=how.chains,
        steps=how.steps,
        se=_joined(found, lambda one: one.se),
        ess=_joined(found, lambda one: one.ess),
    )


def _joined(found: list[T], column: Callable[[T], Tensor]) -> Array:
    return torch.cat([column(one).cpu().double() for one in found]).numpy()
