"""The ELBO of each image by itself, climbed by gradient steps: stochastic variational inference.

There is one ELBO and one gradient. `ascend` takes a given number of steps, through which training can go, by momentum;
`maximise` goes on by Adam until an image gains no more, and gives the best Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.movable import MovableGaussian
from gpvae_core.densities.noise import matched_noise, step_noise
from gpvae_core.densities.refined import RefinedPosterior
from gpvae_core.refiners.base import Model
from gpvae_core.refiners.rows import Parts, in_rows

DECODES_AT_ONCE = 4096
"""Latents decoded together where the steps are not trained through; bounds the memory."""
G = TypeVar("G", bound=MovableGaussian)


@runtime_checkable
class ElboTerms(Protocol):
    """The two terms of an ELBO, which a `Model` has, too."""

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor: ...

    def kl(self, x: Tensor, q: Posterior) -> Tensor: ...


def gaussian_elbo(
    model: ElboTerms, x: Float[Tensor, "B C H W"], q: MovableGaussian, eps: Float[Tensor, "K 1 D"]
) -> Float[Tensor, " B"]:
    """Return E_q[log p(x|z)] - KL(q || p(z)) in nats: the former over z = m + L eps, the KL as the model gives it."""
    return model.log_likelihood(x, q.transform(eps)).mean(0) - model.kl(x, q.posterior())


def elbo_and_gradients(
    model: ElboTerms, x: Tensor, q: MovableGaussian, at: Sequence[Tensor], eps: Tensor, through: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Return the ELBO of each image at the coordinates `at` of q, and its gradient with respect to them alone.

    Numbers of the gradient that are not finite are zero. `through` keeps the gradient's own graph. The decoder's
    parameters collect no gradients, and a caller's no_grad does not matter.
    """
    with torch.enable_grad():
        leaves = [t.detach().requires_grad_() for t in at]
        value = gaussian_elbo(model, x, q.moved(leaves), eps)
        gradients = torch.autograd.grad(value.sum(), leaves, create_graph=through)
    return value.detach(), [g.nan_to_num(0.0, 0.0, 0.0) for g in gradients]


def _per_row(values: Float[Tensor, " B"], like: Tensor) -> Tensor:
    """Return `values` in a shape in which they scale the rows of `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


# -- a given number of steps -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MomentumSteps:
    """Steps v <- momentum v + gradient (its norm clipped for each image), to the coordinates step_size v."""

    steps: int
    step_size: float
    momentum: float
    clip: float
    samples: int

    def velocity(self, last: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return v after one more gradient."""
        return [self.momentum * v + g for v, g in zip(last, clipped(gradients, self.clip), strict=True)]


def clipped(values: Sequence[Tensor], norm: float) -> list[Tensor]:
    """Return `values` shortened for each image where their joint norm is above `norm`."""
    square = torch.stack([v.flatten(1).square().sum(1) for v in values]).sum(0)
    shorter = (norm * (square + 1e-12).rsqrt()).clamp(max=1.0)
    return [v * _per_row(shorter, v) for v in values]


def ascend(
    model: Model, x: Float[Tensor, "B C H W"], start: G, settings: MomentumSteps, generator: torch.Generator | None
) -> list[G]:
    """Return `start` and the Gaussian after each step: in the graph where training can go through it, else detached."""
    noise = step_noise(settings.steps, settings.samples, start.parts()[0], generator)

    def climb(some: Tensor, parts: Parts, through: bool) -> list[Parts]:
        q = start.from_parts(parts)
        path, velocity = [q], q.origin()
        for eps in noise:
            _, gradients = elbo_and_gradients(model, some, q, q.origin(), eps, through)
            velocity = settings.velocity(velocity, gradients)
            q = q.moved([settings.step_size * v for v in velocity])
            path.append(q)
        return [q.parts() for q in path]

    rows = max(1, DECODES_AT_ONCE // settings.samples)
    return [start.from_parts(parts) for parts in in_rows(climb, model, x, start.parts(), rows)]


def refined_path(q: Posterior, path: Sequence[MovableGaussian]) -> list[Posterior]:
    """Return q itself, and the answers after each step with q as their base."""
    return [q, *(RefinedPosterior(step.posterior(), q) for step in path[1:])]


# -- as many steps as it takes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class AdamUntilFlat:
    """Adam (Kingma & Ba 2015) with a step size for each image, which shrinks when a window of steps gains nothing."""

    samples: int
    """Samples of z for a gradient; at least 2 D are drawn, so that their second moments can be matched."""
    max_windows: int
    drops: int
    """An image is done when its step has been shrunk this often."""
    window: int = 10
    """Steps in a window, whose mean coordinates are a candidate."""
    step_size: float = 0.1
    """In the coordinates' units: standard deviations (mean), nats (log standard deviation), or 1 (shape)."""
    shrink: float = 0.3
    gain: float = 3e-3
    """Nats by which a window must be better."""
    beta_1: float = 0.9
    beta_2: float = 0.99
    tiny: float = 1e-12


class _Adam:
    """Adam's moments of some coordinates, which it moves uphill in place; images can be taken out."""

    def __init__(self, settings: AdamUntilFlat, at: Sequence[Tensor]) -> None:
        self.settings, self.at = settings, list(at)
        self.first = [torch.zeros_like(t) for t in at]
        self.second = [torch.zeros_like(t) for t in at]
        self.steps = 0

    def step(self, gradients: Sequence[Tensor], step_size: Float[Tensor, " B"]) -> None:
        s = self.settings
        self.steps += 1
        for t, g, m, v in zip(self.at, gradients, self.first, self.second, strict=True):
            # NOTE: products and sums apart. Fused, they may be rounded otherwise at the end of a tensor than before.
            m.mul_(s.beta_1).add_((1 - s.beta_1) * g)
            v.mul_(s.beta_2).add_((1 - s.beta_2) * g * g)
            scale = _per_row(step_size, t) / (1 - s.beta_1**self.steps)
            t.add_(scale * m / ((v / (1 - s.beta_2**self.steps)).sqrt() + s.tiny))

    def keep(self, rows: Tensor) -> None:
        for values in (self.at, self.first, self.second):
            values[:] = [value[rows] for value in values]


@torch.no_grad()
def maximise(
    model: ElboTerms, x: Float[Tensor, "B C H W"], start: G, settings: AdamUntilFlat, seed: int
) -> tuple[G, Float[Tensor, " B"]]:
    """Return the best Gaussians reached from `start`, and their mean ELBO over the window that they were found in.

    Steps are taken with the type of `start`. In float64, with the `model` of `truth/by_image.py`, an image's path does
    not depend on which others are in the batch.
    """
    generator = torch.Generator().manual_seed(seed)
    best, adam = start, _Adam(settings, start.origin())
    active = torch.arange(len(x), device=x.device)
    best_elbo = torch.full_like(start.parts()[0][:, 0], -math.inf)
    step_size, drops = torch.full_like(best_elbo, settings.step_size), torch.zeros_like(active)
    for _ in range(settings.max_windows):
        mean, elbo = _one_window(model, x[active], start.rows(active), adam, step_size[active], generator)
        gained = elbo - best_elbo[active]
        best = best.replaced(active[gained > 0], mean.rows(gained > 0))
        best_elbo[active] = torch.where(gained > 0, elbo, best_elbo[active])
        stuck = active[~(gained > settings.gain)]
        step_size[stuck] *= settings.shrink
        drops[stuck] += 1
        going = drops[active] < settings.drops
        active = active[going]
        if len(active) == 0:
            break
        adam.keep(going)
    return best, best_elbo


def _one_window(
    model: ElboTerms, x: Tensor, start: G, adam: _Adam, step_size: Float[Tensor, " B"], generator: torch.Generator
) -> tuple[G, Float[Tensor, " B"]]:
    """Take the steps of a window; return the Gaussian at the mean of its coordinates, and its mean ELBO."""
    settings, d = adam.settings, start.parts()[0].shape[-1]
    elbo, mean = torch.zeros_like(step_size), start.origin()
    for _ in range(settings.window):
        # NOTE: the noise is drawn in float64, in which many pairs are matched without rounding, and on the CPU.
        eps = matched_noise(max(settings.samples, 2 * d), d, generator, torch.float64).to(elbo).unsqueeze(1)
        value, gradients = elbo_and_gradients(model, x, start, adam.at, eps)
        elbo += value / settings.window
        for total, t in zip(mean, adam.at, strict=True):
            total += t / settings.window
        adam.step(gradients, step_size)
    return start.moved(mean), elbo
