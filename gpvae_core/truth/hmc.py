"""Hamiltonian Monte Carlo (Neal 2011) on many chains of many images at once, on a product of densities.

The target is log f = sum_j c_j log f_j: the posterior alone, or a point on the geometric path between a start and the
posterior. Values and gradients of the factors are kept apart, so that a change of the c_j costs no evaluation. Chains
move in u with z = L u, L the `scale` of their image: the mass matrix is (L L')^-1.
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
"""Acceptance to which step sizes are adapted (Wu et al. 2017); the best rate in many dimensions (Neal 2011)."""
JITTER = 0.2
"""Step sizes are multiplied by a random factor from 1 - JITTER to 1 + JITTER."""
STEP_RANGE = (1e-4, 2.0)
"""Smallest and largest step size, in units of the scale."""


@dataclass(frozen=True)
class ChainState:
    """Positions of C chains of B images, with the values of J log densities and their gradients there."""

    z: Float[Tensor, "C B D"]
    values: Float[Tensor, "J C B"]
    gradients: Float[Tensor, "J C B D"]

    def where(self, condition: Bool[Tensor, "C B"], other: ChainState) -> ChainState:
        """Return this state where `condition` holds, the other elsewhere."""
        return ChainState(
            torch.where(condition[..., None], self.z, other.z),
            torch.where(condition, self.values, other.values),
            torch.where(condition[..., None], self.gradients, other.gradients),
        )

    def chains(self, index: slice) -> ChainState:
        """Return the state of some chains."""
        return ChainState(self.z[index], self.values[:, index], self.gradients[:, index])

    def permuted(self, order: Int[Tensor, "C B"]) -> ChainState:
        """Return the state with the chains of each image in a new order: chain c of image b is chain order[c, b]."""
        image = torch.arange(order.shape[1], device=order.device)
        return ChainState(self.z[order, image], self.values[:, order, image], self.gradients[:, order, image])

    @staticmethod
    def joined(parts: Sequence[ChainState]) -> ChainState:
        """Return the state of all chains from that of its parts."""
        return ChainState(
            torch.cat([part.z for part in parts]),
            torch.cat([part.values for part in parts], 1),
            torch.cat([part.gradients for part in parts], 1),
        )


def evaluate(densities: Sequence[LogDensity], z: Float[Tensor, "C B D"]) -> ChainState:
    """Return the values and gradients of the log densities at z."""
    # NOTE: enable_grad works within a caller's no_grad, and autograd.grad leaves the .grad of parameters alone.
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        values = [density(leaf) for density in densities]
        # The sum over rows has the gradient of each row, as rows are independent.
        gradients = [torch.autograd.grad(value.sum(), leaf)[0] for value in values]
    return ChainState(z.detach(), torch.stack([v.detach() for v in values]), torch.stack(gradients))


@dataclass(frozen=True)
class Target:
    """log f = sum_j c_j log f_j for B images, with the units in which the chains of each image step."""

    densities: Sequence[LogDensity]
    coefficients: Float[Tensor, " J"]
    scale: Float[Tensor, "B D D"]
    """L, a square root of the covariance in whose units chains step."""

    def log_prob(self, state: ChainState) -> Float[Tensor, "C B"]:
        """Return log f in nats."""
        return _weighted_sum(self.coefficients, state.values)

    def gradient(self, state: ChainState) -> Float[Tensor, "C B D"]:
        """Return the gradient of log f with respect to u = L^-1 z.

        Components that are not finite become 0: the proposal is then a poor one, but the transition stays valid.
        """
        gradient = _weighted_sum(self.coefficients, state.gradients)
        return _times(gradient, self.scale.mT).nan_to_num(0.0, 0.0, 0.0)  # d/du = L' d/dz

    def moved(self, state: ChainState, du: Float[Tensor, "C B D"]) -> ChainState:
        """Return the state at u + du."""
        return evaluate(self.densities, state.z + _times(du, self.scale))  # dz = L du


def _weighted_sum(coefficients: Float[Tensor, " J"], parts: Tensor) -> Tensor:
    """Return sum_j c_j parts_j over the first axis.

    NOTE: element by element, not as a product of matrices, whose rounding depends on how many images there are.
    """
    return (coefficients.view(-1, *[1] * (parts.ndim - 1)) * parts).sum(0)


def _times(vectors: Float[Tensor, "C B D"], matrices: Float[Tensor, "B D D"]) -> Float[Tensor, "C B D"]:
    """Return M v of each chain and image; as sums over the last axis, for the same reason."""
    return (matrices.contiguous() * vectors[..., None, :]).sum(-1)


def leapfrog(
    target: Target, start: ChainState, momentum: Float[Tensor, "C B D"], step: Float[Tensor, "*C B"], steps: int
) -> tuple[ChainState, Float[Tensor, "C B D"]]:
    """Return state and momentum after `steps` leapfrog steps of size `step` in u, with unit mass (Neal 2011)."""
    size = step[..., None]
    state, p = start, momentum
    for _ in range(steps):
        p = p + 0.5 * size * target.gradient(state)
        state = target.moved(state, size * p)
        p = p + 0.5 * size * target.gradient(state)
    return state, p


def _lengths(chains: int, steps: int, iteration: int) -> list[int]:
    """Return the lengths 1 to `steps` in turn for C chains, beginning with 1 + iteration, in falling order."""
    return sorted((1 + (iteration + c) % steps for c in range(chains)), reverse=True)


def _leapfrog_by_length(
    target: Target,
    start: ChainState,
    momentum: Float[Tensor, "C B D"],
    step: Float[Tensor, "C B"],
    lengths: Sequence[int],
) -> tuple[ChainState, Float[Tensor, "C B D"]]:
    """Take lengths[c] leapfrog steps with chain c; `lengths` do not increase, and finished chains cost nothing."""
    finished: list[tuple[ChainState, Tensor]] = []
    state, p, steps_so_far = start, momentum, 0
    for length in sorted(set(lengths)):
        # Chains are in order of falling length, so that those that go on are the first ones.
        active = sum(n >= length for n in lengths)
        if active < len(p):
            finished.append((state.chains(slice(active, None)), p[active:]))
        state, p = leapfrog(target, state.chains(slice(active)), p[:active], step[:active], length - steps_so_far)
        steps_so_far = length
    finished.append((state, p))
    states, momenta = zip(*reversed(finished), strict=True)
    return ChainState.joined(states), torch.cat(momenta)


def transition(
    target: Target,
    start: ChainState,
    step: Float[Tensor, " B"],
    steps: int,
    generators: Generators,
    iteration: int,
) -> tuple[ChainState, Float[Tensor, " B"]]:
    """Make one HMC transition that leaves f invariant; return the state and each image's mean acceptance probability.

    A trajectory has 1 to `steps` leapfrog steps, at random: a fixed length can be a period of the motion, which leads
    back to where it began (Neal 2011, sec. 3.2). The lengths are divided among the chains of an image at random, and
    each chain has a step size of its own. Common ones would give all estimates of a batch a common error, which no
    spread over chains or images shows. What remains common is which lengths have one chain more than the others, and
    what the caller shares (the `step` of an image). A transition costs as many evaluations as with one length for all
    chains, in up to `steps` calls.

    A proposal whose energy is not finite is rejected; from a start whose energy is not finite any finite one is
    accepted.

    Args:
        step: step size of each image in units of the scale.
        generators: one for all images, or one for each.
        iteration: number of the transition, which determines the lengths, as these are common to images.
    """
    chains, images, _ = start.z.shape
    momentum = normal(start.z.shape, generators, start.z)
    sort_keys, jitter, chance = uniform((chains, images, 3), generators, start.z).unbind(-1)
    # Chains in a random order, for the lengths are in falling order; the inverse permutation undoes it.
    permutation = sort_keys.argsort(0)
    start = start.permuted(permutation)
    jittered = step * (1 + JITTER * (2 * jitter - 1))
    lengths = _lengths(chains, steps, iteration)
    end, p = _leapfrog_by_length(target, start, momentum, jittered, lengths)
    # log f - |p|^2 / 2 is minus the energy; its gain is the log of the Metropolis ratio.
    before = target.log_prob(start) - 0.5 * momentum.square().sum(-1)
    after = target.log_prob(end) - 0.5 * p.square().sum(-1)
    log_ratio = in_double(torch.where(before.isfinite(), after - before, 0.0))
    probability = torch.where(after.isfinite(), log_ratio, -torch.inf).clamp(max=0.0).exp()
    accepted = chance < probability
    end = end.where(accepted, start).permuted(permutation.argsort(0))
    # NOTE: the mean over chains is taken along contiguous rows, so that it is rounded alike in every batch.
    return end, probability.T.contiguous().mean(1).to(step)


def adapted(step: Float[Tensor, " B"], acceptance: Float[Tensor, " B"], gain: float) -> Float[Tensor, " B"]:
    """Return the step size moved towards TARGET_ACCEPTANCE: log step grows by `gain` times the excess acceptance."""
    factor = (gain * (in_double(acceptance) - TARGET_ACCEPTANCE)).exp().to(step)
    return (step * factor).clamp(*STEP_RANGE)
