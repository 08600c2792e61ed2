"""Hamiltonian Monte Carlo (Neal 2011) on many chains of many instances at once, on a product of densities.

The density is log f = sum_j c_j log f_j: the posterior alone, or a geometric path between a start and the posterior.
Values and gradients of the parts are kept apart, so that a change of the c_j costs no evaluation. An instance moves in
u with z = L u, L its `scale`: the mass matrix is (L L')^-1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]
"""log f_j: z (C, B, D) -> (C, B), unnormalised, in nats; rows are independent of each other."""
TARGET_ACCEPTANCE = 0.65
"""Wu et al. 2017; the best rate in many dimensions (Neal 2011)."""
JITTER = 0.2
"""Step sizes are scaled by up to this, at random."""
STEP_RANGE = (1e-4, 2.0)


@dataclass(frozen=True)
class Point:
    """Positions of C chains of B instances, with the values of J log densities and their gradients there."""

    z: Float[Tensor, "C B D"]
    values: Float[Tensor, "J C B"]
    gradients: Float[Tensor, "J C B D"]

    def where(self, condition: Bool[Tensor, "C B"], other: Point) -> Point:
        """This point where `condition`, the other elsewhere."""
        return Point(
            torch.where(condition[..., None], self.z, other.z),
            torch.where(condition, self.values, other.values),
            torch.where(condition[..., None], self.gradients, other.gradients),
        )


def evaluate(densities: Sequence[LogDensity], z: Float[Tensor, "C B D"]) -> Point:
    """Values and gradients at z. No parameter collects a gradient, and a caller's no_grad does not matter."""
    with torch.enable_grad():
        free = z.detach().requires_grad_()
        values = [density(free) for density in densities]
        gradients = [torch.autograd.grad(value.sum(), free)[0] for value in values]
    return Point(z.detach(), torch.stack([v.detach() for v in values]), torch.stack(gradients))


def _mix(coefficients: Tensor, parts: Tensor) -> Tensor:
    """sum_j c_j parts_j over the first axis."""
    return torch.einsum("j,j...->...", coefficients, parts)


def leapfrog(
    densities: Sequence[LogDensity],
    coefficients: Float[Tensor, " J"],
    start: Point,
    momentum: Float[Tensor, "C B D"],
    step: Float[Tensor, " B"],
    scale: Float[Tensor, "B D D"],
    steps: int,
) -> tuple[Point, Float[Tensor, "C B D"]]:
    """`steps` leapfrog steps of size `step` in u = L^-1 z, with momentum of unit mass there (Neal 2011)."""
    size = step[:, None]
    point, p = start, momentum
    for _ in range(steps):
        p = p + 0.5 * size * _slope(coefficients, point, scale)
        point = evaluate(densities, point.z + torch.einsum("bij,cbj->cbi", scale, size * p))
        p = p + 0.5 * size * _slope(coefficients, point, scale)
    return point, p


def _slope(coefficients: Tensor, point: Point, scale: Tensor) -> Float[Tensor, "C B D"]:
    """Gradient of log f with respect to u."""
    return torch.einsum("bij,cbi->cbj", scale, _mix(coefficients, point.gradients))


def transition(
    densities: Sequence[LogDensity],
    coefficients: Float[Tensor, " J"],
    start: Point,
    step: Float[Tensor, " B"],
    scale: Float[Tensor, "B D D"],
    steps: int,
    generator: torch.Generator | None,
) -> tuple[Point, Float[Tensor, " B"]]:
    """One HMC transition that leaves f invariant, and the mean probability of acceptance of each instance's chains.

    Of 1 to `steps` leapfrog steps, at random: a fixed length can be a period of the motion, which leads back to where
    it began (Neal 2011, sec. 3.2). A proposal whose energy is not finite is rejected.
    """
    like = {"generator": generator, "device": start.z.device, "dtype": start.z.dtype}
    momentum = torch.randn(start.z.shape, **like)
    jittered = step * (1 + JITTER * (2 * torch.rand(step.shape, **like) - 1))
    length = int(torch.randint(1, steps + 1, (), generator=generator, device=start.z.device))
    end, p = leapfrog(densities, coefficients, start, momentum, jittered, scale, length)
    gain = _mix(coefficients, end.values) - _mix(coefficients, start.values)
    log_ratio = gain - 0.5 * (p.square() - momentum.square()).sum(-1)
    probability = log_ratio.nan_to_num(-torch.inf, -torch.inf, -torch.inf).clamp(max=0.0).exp()
    accepted = torch.rand(probability.shape, **like) < probability
    return end.where(accepted, start), probability.mean(0)


def adapted(step: Float[Tensor, " B"], acceptance: Float[Tensor, " B"], gain: float) -> Float[Tensor, " B"]:
    """Larger where more than TARGET_ACCEPTANCE is accepted, smaller where less: log step moves by gain x excess."""
    return (step * (gain * (acceptance - TARGET_ACCEPTANCE)).exp()).clamp(*STEP_RANGE)
