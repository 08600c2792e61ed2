"""Gradient ascent on the ELBO of each image: stochastic variational inference.

`ascend` takes a fixed number of momentum steps, through which training can differentiate; `maximise` takes Adam steps
until the ELBO of an image no longer grows, and returns the best Gaussian. Both use the same ELBO and gradient.
"""

from __future__ import annotations

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
from gpvae_core.refiners.until_flat import AdamUntilFlat, climb, per_row

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
    return [v * per_row(factor, v) for v in values]


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


@torch.no_grad()
def maximise(
    model: ElboTerms, x: Float[Tensor, "B C H W"], start: G, settings: AdamUntilFlat, seed: int
) -> tuple[G, Float[Tensor, " B"]]:
    """Return the best Gaussians reached from `start`, with the mean ELBO over their window in nats.

    Steps are taken in the dtype of `start`. In float64, with the `model` of `truth/by_image.py`, the path of an image
    does not depend on the others in its batch.
    """
    generator = torch.Generator().manual_seed(seed)
    origin = start.origin()
    d = origin[0].shape[-1]

    def objective(rows: Tensor, coordinates: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        # NOTE: noise in float64, so that many pairs can be matched without rounding, and from the CPU's generator.
        eps = matched_noise(max(settings.samples, 2 * d), d, generator, torch.float64).to(origin[0]).unsqueeze(1)
        return elbo_and_gradients(model, x[rows], start.rows(rows), coordinates, eps)

    best, elbo = climb(objective, origin, settings)
    return start.moved(best), elbo
