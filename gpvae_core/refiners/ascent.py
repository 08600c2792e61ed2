"""Steps uphill on the ELBO of each image by itself: stochastic variational inference with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.encoders.base import Posterior
from gpvae_core.refiners.base import Model
from gpvae_core.refiners.gaussians import Movable
from gpvae_core.refiners.noise import step_noise
from gpvae_core.refiners.refined import Refined
from gpvae_core.refiners.rows import Parts, in_rows

DECODES_AT_ONCE = 4096
"""Latents decoded together where the steps are not trained through; bounds the memory."""


@dataclass(frozen=True)
class Ascent:
    """v <- momentum v + gradient (its norm clipped for each image); coordinates += step_size v."""

    steps: int
    step_size: float
    momentum: float
    clip: float
    samples: int


def gaussian_elbo(
    model: Model, x: Float[Tensor, "B C H W"], q: Movable, eps: Float[Tensor, "K 1 D"]
) -> Float[Tensor, " B"]:
    """E_q[log p(x|z)] - KL(q || N(0, I)) in nats: the expectation over z = m + L eps, the KL in closed form."""
    return model.log_likelihood(x, q.at(eps)).mean(0) - q.posterior().kl()


def gradients(model: Model, x: Tensor, q: Movable, eps: Tensor, through: bool) -> list[Tensor]:
    """d ELBO / d coordinates of each image; numbers that are not finite are zero. `through` keeps their graph."""
    with torch.enable_grad():
        at = [zero.requires_grad_() for zero in q.zeros()]
        value = gaussian_elbo(model, x, q.moved(at), eps)
        found = torch.autograd.grad(value.sum(), at, create_graph=through)
    return [g.nan_to_num(0.0, 0.0, 0.0) for g in found]


def clipped(values: Sequence[Tensor], norm: float) -> list[Tensor]:
    """`values` shortened for each image where their joint norm is above `norm`."""
    square = torch.stack([v.flatten(1).square().sum(1) for v in values]).sum(0)
    shorter = (norm * (square + 1e-12).rsqrt()).clamp(max=1.0)
    return [v * shorter.reshape(-1, *[1] * (v.ndim - 1)) for v in values]


def ascend(
    model: Model, x: Float[Tensor, "B C H W"], start: Movable, how: Ascent, generator: torch.Generator | None
) -> list[Movable]:
    """`start` and what it is after each step. In the graph if training can go through the steps, detached elsewhere."""
    noise = step_noise(how.steps, how.samples, start.parts()[0], generator)

    def climb(some: Tensor, parts: Parts, through: bool) -> list[Parts]:
        q = start.of(parts)
        path, velocity = [q], q.zeros()
        for eps in noise:
            uphill = clipped(gradients(model, some, q, eps, through), how.clip)
            velocity = [how.momentum * v + g for v, g in zip(velocity, uphill, strict=True)]
            q = q.moved([how.step_size * v for v in velocity])
            path.append(q)
        return [q.parts() for q in path]

    rows = max(1, DECODES_AT_ONCE // how.samples)
    return [start.of(parts) for parts in in_rows(climb, model, x, start.parts(), rows)]


def refined_path(q: Posterior, path: Sequence[Movable]) -> list[Posterior]:
    """q itself, and the answers after each step with q as their base."""
    return [q, *(Refined(step.posterior(), q) for step in path[1:])]
