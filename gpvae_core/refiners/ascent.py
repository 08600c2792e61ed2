"""Gradient ascent on the ELBO of each image: stochastic variational inference.

`ascend` takes a fixed number of momentum steps, through which training can differentiate; `maximise` takes Adam steps
until the ELBO of an image no longer grows, and returns the best Gaussian. Both use the same ELBO and gradient.
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
"""Number of latents decoded together where steps are not differentiated; bounds the memory."""
G = TypeVar("G", bound=MovableGaussian)


@runtime_checkable
class ElboTerms(Protocol):
    """Protocol of the two terms of an ELBO; a `Model` has them too."""

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor: ...

    def kl(self, x: Tensor, q: Posterior) -> Tensor: ...


def gaussian_elbo(
    model: ElboTerms, x: Float[Tensor, "B C H W"], q: MovableGaussian, eps: Float[Tensor, "K 1 D"]
) -> Float[Tensor, " B"]:
    """Return E_q[log p(x|z)] - KL(q || p(z)) in nats, with the expectation as the mean over z = m + L eps."""
    return model.log_likelihood(x, q.transform(eps)).mean(0) - model.kl(x, q.posterior())


def elbo_and_gradients(
    model: ElboTerms, x: Tensor, q: MovableGaussian, coordinates: Sequence[Tensor], eps: Tensor, through: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Return the ELBO of each image at some coordinates around q, and its gradient with respect to the coordinates.

    Components of the gradient that are not finite become zero. With `through` the gradient has a graph of its own, so
    that it can be differentiated in turn. The decoder's parameters accumulate no gradient, and a caller's no_grad does
    not matter.
    """
    with torch.enable_grad():
        leaves = [t.detach().requires_grad_() for t in coordinates]
        value = gaussian_elbo(model, x, q.moved(leaves), eps)
        gradients = torch.autograd.grad(value.sum(), leaves, create_graph=through)
    return value.detach(), [g.nan_to_num(0.0, 0.0, 0.0) for g in gradients]


def _per_row(values: Float[Tensor, " B"], like: Tensor) -> Tensor:
    """Return `values` (B,) as (B, 1, ...), so that they multiply the rows of `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


# -- a fixed number of steps -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MomentumSteps:
    """Settings of momentum steps: v <- momentum v + clipped gradient, then a move to the coordinates step_size v."""

    steps: int
    step_size: float
    momentum: float
    clip: float | None
    """Largest norm of an image's gradient; None for no limit."""
    samples: int

    def velocity(self, velocity: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return the velocity v after one more gradient."""
        limited = gradients if self.clip is None else clipped(gradients, self.clip)
        return [self.momentum * v + g for v, g in zip(velocity, limited, strict=True)]


def clipped(values: Sequence[Tensor], norm: float) -> list[Tensor]:
    """Return `values` scaled down for each image whose joint norm is above `norm`."""
    square = torch.stack([v.flatten(1).square().sum(1) for v in values]).sum(0)
    # NOTE: 1e-12 within the root keeps its derivative finite at zero, as training differentiates the clipping.
    factor = (norm * (square + 1e-12).rsqrt()).clamp(max=1.0)
    return [v * _per_row(factor, v) for v in values]


def ascend(
    model: Model, x: Float[Tensor, "B C H W"], start: G, settings: MomentumSteps, generator: torch.Generator | None
) -> list[G]:
    """Return `start` and the Gaussian after each step, in the autograd graph if anything is trained, else detached."""
    noise = step_noise(settings.steps, settings.samples, start.parts()[0], generator)

    def ascent(images: Tensor, parts: Parts, through: bool) -> list[Parts]:
        q = start.from_parts(parts)
        path, velocity = [q], q.origin()
        for eps in noise:
            _, gradients = elbo_and_gradients(model, images, q, q.origin(), eps, through)
            velocity = settings.velocity(velocity, gradients)
            q = q.moved([settings.step_size * v for v in velocity])
            path.append(q)
        return [q.parts() for q in path]

    rows = max(1, DECODES_AT_ONCE // settings.samples)
    return [start.from_parts(parts) for parts in in_rows(ascent, model, x, start.parts(), rows)]


def refined_path(q: Posterior, path: Sequence[MovableGaussian]) -> list[Posterior]:
    """Return q and the posterior after each step, whose base is q."""
    return [q, *(RefinedPosterior(step.posterior(), q) for step in path[1:])]


# -- steps until convergence -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AdamUntilFlat:
    """Settings of Adam (Kingma & Ba 2015) with a step size for each image, reduced when a window gains too little."""

    samples: int
    """Number of samples of z for a gradient; at least 2 D are drawn, so that their second moments can be matched."""
    max_windows: int
    """Largest number of windows."""
    drops: int
    """Number of reductions of its step size after which an image is finished."""
    window: int = 10
    """Number of steps in a window, whose mean coordinates are a candidate for the best."""
    step_size: float = 0.1
    """In the coordinates' units: standard deviations (mean), nats (log standard deviation), or 1 (shape)."""
    shrink: float = 0.3
    """Factor by which the step size is reduced."""
    gain: float = 3e-3
    """Gain of a window, in nats, below which the step size is reduced."""
    beta_1: float = 0.9
    beta_2: float = 0.99
    epsilon: float = 1e-12
    """Adam's epsilon, added to the root of the second moment."""


class _Adam:
    """Adam's state: coordinates, which it moves uphill in place, and their moments; finished images can be removed."""

    def __init__(self, settings: AdamUntilFlat, coordinates: Sequence[Tensor]) -> None:
        self.settings, self.coordinates = settings, list(coordinates)
        self.first_moment = [torch.zeros_like(t) for t in coordinates]
        self.second_moment = [torch.zeros_like(t) for t in coordinates]
        self.steps = 0

    def step(self, gradients: Sequence[Tensor], step_size: Float[Tensor, " B"]) -> None:
        """Take one step along the gradients."""
        s = self.settings
        self.steps += 1
        for t, g, m, v in zip(self.coordinates, gradients, self.first_moment, self.second_moment, strict=True):
            # m and v are running means that start at 0; divided by 1 - beta^t, the weights of their t terms sum to 1.
            # NOTE: separate products and sums. Fused ones may be rounded differently at the end of a tensor.
            m.mul_(s.beta_1).add_((1 - s.beta_1) * g)
            v.mul_(s.beta_2).add_((1 - s.beta_2) * g * g)
            scale = _per_row(step_size, t) / (1 - s.beta_1**self.steps)
            t.add_(scale * m / ((v / (1 - s.beta_2**self.steps)).sqrt() + s.epsilon))

    def keep(self, rows: Tensor) -> None:
        """Keep the state of some images, drop that of the others."""
        for values in (self.coordinates, self.first_moment, self.second_moment):
            values[:] = [value[rows] for value in values]


@torch.no_grad()
def maximise(
    model: ElboTerms, x: Float[Tensor, "B C H W"], start: G, settings: AdamUntilFlat, seed: int
) -> tuple[G, Float[Tensor, " B"]]:
    """Return the best Gaussians reached from `start`, with the mean ELBO over their window in nats.

    Steps are taken in the dtype of `start`. In float64, with the `model` of `truth/by_image.py`, the path of an image
    does not depend on the others in its batch.
    """
    # `best`, `best_elbo`, `step_size` and `drops` have a row for each image; `active` holds the numbers of the images
    # that are not finished, and Adam's tensors, `mean`, `elbo` and `gain` have a row for each of these alone.
    generator = torch.Generator().manual_seed(seed)
    best, adam = start, _Adam(settings, start.origin())
    active = torch.arange(len(x), device=x.device)
    best_elbo = torch.full_like(start.parts()[0][:, 0], -math.inf)
    step_size, drops = torch.full_like(best_elbo, settings.step_size), torch.zeros_like(active)
    for _ in range(settings.max_windows):
        mean, elbo = _take_window(model, x[active], start.rows(active), adam, step_size[active], generator)
        gain = elbo - best_elbo[active]
        best = best.replaced(active[gain > 0], mean.rows(gain > 0))
        best_elbo[active] = torch.where(gain > 0, elbo, best_elbo[active])
        stalled = active[~(gain > settings.gain)]  # also where the ELBO is not finite
        step_size[stalled] *= settings.shrink
        drops[stalled] += 1
        unfinished = drops[active] < settings.drops
        active = active[unfinished]
        if len(active) == 0:
            break
        adam.keep(unfinished)
    return best, best_elbo


def _take_window(
    model: ElboTerms, x: Tensor, start: G, adam: _Adam, step_size: Float[Tensor, " B"], generator: torch.Generator
) -> tuple[G, Float[Tensor, " B"]]:
    """Take the steps of a window; return the Gaussian at the window's mean coordinates, and the window's mean ELBO."""
    settings, d = adam.settings, start.parts()[0].shape[-1]
    elbo, mean = torch.zeros_like(step_size), start.origin()
    for _ in range(settings.window):
        # NOTE: noise in float64, so that many pairs can be matched without rounding, and from the CPU's generator.
        eps = matched_noise(max(settings.samples, 2 * d), d, generator, torch.float64).to(elbo).unsqueeze(1)
        value, gradients = elbo_and_gradients(model, x, start, adam.coordinates, eps)
        elbo += value / settings.window
        for total, t in zip(mean, adam.coordinates, strict=True):
            total += t / settings.window
        adam.step(gradients, step_size)
    return start.moved(mean), elbo
