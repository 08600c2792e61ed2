"""Hamiltonian Monte Carlo (Neal 2011) on many chains of many instances at once, on a product of densities.

The density is log f = sum_j c_j log f_j: the posterior alone, or a geometric path between a start and the posterior.
Values and gradients of the parts are kept apart, so that a change of the c_j costs no evaluation. An instance moves in
u with z = L u, L its `scale`: the mass matrix is (L L')^-1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gpvae_core.truth.by_image import in_double
from gpvae_core.truth.noise import Generators, normal, uniform

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

    def chains(self, some: slice) -> Point:
        return Point(self.z[some], self.values[:, some], self.gradients[:, some])

    def dealt(self, order: Int[Tensor, "C B"]) -> Point:
        """Chain c of instance b is the one that was order[c, b]."""
        instance = torch.arange(order.shape[1], device=order.device)
        return Point(self.z[order, instance], self.values[:, order, instance], self.gradients[:, order, instance])

    @staticmethod
    def joined(parts: Sequence[Point]) -> Point:
        return Point(
            torch.cat([part.z for part in parts]),
            torch.cat([part.values for part in parts], 1),
            torch.cat([part.gradients for part in parts], 1),
        )


def evaluate(densities: Sequence[LogDensity], z: Float[Tensor, "C B D"]) -> Point:
    """Values and gradients at z. No parameter collects a gradient, and a caller's no_grad does not matter."""
    with torch.enable_grad():
        free = z.detach().requires_grad_()
        values = [density(free) for density in densities]
        gradients = [torch.autograd.grad(value.sum(), free)[0] for value in values]
    return Point(z.detach(), torch.stack([v.detach() for v in values]), torch.stack(gradients))


def _mix(coefficients: Float[Tensor, " J"], parts: Tensor) -> Tensor:
    """Return sum_j c_j parts_j over the first axis.

    NOTE: element by element, not as a product of matrices, whose rounding depends on how many instances there are.
    """
    return (coefficients.view(-1, *[1] * (parts.ndim - 1)) * parts).sum(0)


def _times(vectors: Float[Tensor, "C B D"], matrices: Float[Tensor, "B D D"]) -> Float[Tensor, "C B D"]:
    """Return M v of each chain and instance; as sums over the last axis, for the same reason."""
    return (matrices.contiguous() * vectors[..., None, :]).sum(-1)


def leapfrog(
    densities: Sequence[LogDensity],
    coefficients: Float[Tensor, " J"],
    start: Point,
    momentum: Float[Tensor, "C B D"],
    step: Float[Tensor, "*C B"],
    scale: Float[Tensor, "B D D"],
    steps: int,
) -> tuple[Point, Float[Tensor, "C B D"]]:
    """`steps` leapfrog steps of size `step` in u = L^-1 z, with momentum of unit mass there (Neal 2011)."""
    size = step[..., None]
    point, p = start, momentum
    for _ in range(steps):
        p = p + 0.5 * size * _slope(coefficients, point, scale)
        point = evaluate(densities, point.z + _times(size * p, scale))  # dz = L p
        p = p + 0.5 * size * _slope(coefficients, point, scale)
    return point, p


def _slope(coefficients: Tensor, point: Point, scale: Tensor) -> Float[Tensor, "C B D"]:
    """Gradient of log f with respect to u; 0 where it is not finite, which costs a step its aim, not its validity."""
    return _times(_mix(coefficients, point.gradients), scale.mT).nan_to_num(0.0, 0.0, 0.0)  # d/du = L' d/dz


def _lengths(chains: int, steps: int, generator: torch.Generator | None, device: torch.device) -> list[int]:
    """Draw leapfrog steps of C chains: which lengths have a chain more is uniform, and so is the length of a chain."""
    return _shared_lengths(chains, steps, int(torch.randint(steps, (), generator=generator, device=device)))


def _shared_lengths(chains: int, steps: int, first: int) -> list[int]:
    """Share the lengths 1 to `steps` out among C chains, longest first; those from `first` on have a chain more."""
    return sorted((1 + (first + c) % steps for c in range(chains)), reverse=True)


def _each_its_length(
    densities: Sequence[LogDensity],
    coefficients: Float[Tensor, " J"],
    start: Point,
    momentum: Float[Tensor, "C B D"],
    step: Float[Tensor, "C B"],
    scale: Float[Tensor, "B D D"],
    lengths: Sequence[int],
) -> tuple[Point, Float[Tensor, "C B D"]]:
    """Chain c takes lengths[c] leapfrog steps; `lengths` do not increase, and chains that are done are left out."""
    done: list[tuple[Point, Tensor]] = []
    point, p, taken = start, momentum, 0
    for length in sorted(set(lengths)):
        going = sum(one >= length for one in lengths)
        if going < len(p):
            done.append((point.chains(slice(going, None)), p[going:]))
        point, p = leapfrog(
            densities, coefficients, point.chains(slice(going)), p[:going], step[:going], scale, length - taken
        )
        taken = length
    done.append((point, p))
    points, momenta = zip(*reversed(done), strict=True)
    return Point.joined(points), torch.cat(momenta)


def transition(
    densities: Sequence[LogDensity],
    coefficients: Float[Tensor, " J"],
    start: Point,
    step: Float[Tensor, " B"],
    scale: Float[Tensor, "B D D"],
    steps: int,
    generators: Generators,
    turn: int | None = None,
) -> tuple[Point, Float[Tensor, " B"]]:
    """One HMC transition that leaves f invariant, and the mean probability of acceptance of each instance's chains.

    Of 1 to `steps` leapfrog steps, at random: a fixed length can be a period of the motion, which leads back to where
    it began (Neal 2011, sec. 3.2). An instance's chains share the lengths out among them by lot, and each has a step
    size of its own: common ones would give all estimates of a batch one error, which no spread over chains or instances
    shows. What remains common is which lengths have a chain more, and what the caller shares (an instance's `step`). A
    transition costs as many evaluations as with one length, in up to `steps` calls.

    Args:
        generators: one for all instances, or one for each; then `turn` is wanted, for what instances have in common.
        turn: number of the transition: which lengths have a chain more goes round with it. Where there is none, it is
            drawn.

    A proposal whose energy is not finite is rejected; from where that is so, any finite one is accepted.
    """
    chains, instances, _ = start.z.shape
    momentum = normal(start.z.shape, generators, start.z)
    dealing, jitter, chance = uniform((chains, instances, 3), generators, start.z).unbind(-1)
    lot = dealing.argsort(0)
    start = start.dealt(lot)
    jittered = step * (1 + JITTER * (2 * jitter - 1))
    if turn is None:
        shared = generators if isinstance(generators, torch.Generator) else None
        lengths = _lengths(chains, steps, shared, start.z.device)
    else:
        lengths = _shared_lengths(chains, steps, turn)
    end, p = _each_its_length(densities, coefficients, start, momentum, jittered, scale, lengths)
    before = _mix(coefficients, start.values) - 0.5 * momentum.square().sum(-1)
    after = _mix(coefficients, end.values) - 0.5 * p.square().sum(-1)
    log_ratio = in_double(torch.where(before.isfinite(), after - before, 0.0))
    probability = torch.where(after.isfinite(), log_ratio, -torch.inf).clamp(max=0.0).exp()
    accepted = chance < probability
    return end.where(accepted, start).dealt(lot.argsort(0)), probability.T.contiguous().mean(1).to(step)


def adapted(step: Float[Tensor, " B"], acceptance: Float[Tensor, " B"], gain: float) -> Float[Tensor, " B"]:
    """Larger where more than TARGET_ACCEPTANCE is accepted, smaller where less: log step moves by gain x excess."""
    factor = (gain * (in_double(acceptance) - TARGET_ACCEPTANCE)).exp().to(step)
    return (step * factor).clamp(*STEP_RANGE)
