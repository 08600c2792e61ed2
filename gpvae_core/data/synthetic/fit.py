"""Fitting a surrogate network to a curve: Adam on fresh stratified latents, then L-BFGS on fixed ones, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.special import ndtri
from torch import Tensor, nn

from gpvae_core.data.synthetic.surrogate import ARCHITECTURE, EVENT_SHAPE, MAX_MSE, Curve, errors, quantiles
from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, silent

BATCH, LBFGS_NODES = 1024, 6000
TAIL, TAIL_NODES, TAIL_WEIGHT = 6.0, 201, 1e-3
"""Latents out to +-TAIL, evenly spaced, count with a small weight: z ~ N(0, 1) has hardly any beyond 4."""
LBFGS_AT_ONCE, MEMORY = 100, 50
SEEDS = 5
"""Starts that are tried until one is good enough."""


@dataclass(frozen=True)
class Schedule:
    """How long a fit takes."""

    adam_steps: int = 2000
    lr: float = 3e-3
    """Of Adam at the start; it falls to 0 as a cosine."""
    lbfgs_steps: int = 500


@dataclass(frozen=True)
class Fit:
    """A fitted surrogate and how far it is from the curve."""

    net: nn.Module
    """float32."""
    mse: float
    largest: float
    """Largest distance between the two at the quantiles of N(0, 1) on which `mse` is the mean."""
    seed: int


def fit_surrogate(
    name: str, curve: Curve, schedule: Schedule | None = None, seed: int = 0, progress: Progress = silent
) -> Fit:
    """The first of SEEDS starts, from `seed` on, whose mean squared error over z ~ N(0, 1) is below MAX_MSE.

    Raises:
        UserError: none is.
    """
    best = float("inf")
    for start in range(seed, seed + SEEDS):
        net = _fit(curve, schedule or Schedule(), start, progress, f"surrogate of {name}, seed {start}")
        mse, largest = errors(net, curve)
        if mse < MAX_MSE:
            return Fit(net, mse, largest, start)
        best = min(best, mse)
    raise UserError(f"wanted a surrogate of '{name}' with a mean squared error below {MAX_MSE:g}, got {best:.2g}")


def _fit(curve: Curve, schedule: Schedule, seed: int, progress: Progress, what: str) -> nn.Module:
    net = _start(curve, seed)
    tail = np.linspace(-TAIL, TAIL, TAIL_NODES)
    tail_z, tail_x = _column(tail), torch.from_numpy(curve(tail))

    def loss(z: Float64[Tensor, "N 1"], x: Float64[Tensor, "N 2"]) -> Float64[Tensor, ""]:
        off, tail_off = net(z).flatten(1) - x, net(tail_z).flatten(1) - tail_x
        return off.square().mean() + TAIL_WEIGHT * tail_off.square().mean()

    total, done = schedule.adam_steps + schedule.lbfgs_steps, 0
    adam = torch.optim.Adam(net.parameters(), lr=schedule.lr)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, schedule.adam_steps)
    for z in _stratified(schedule.adam_steps, seed):
        adam.zero_grad()
        loss(_column(z), torch.from_numpy(curve(z))).backward()
        adam.step()
        falling.step()
        done += 1
        progress(done, total, what)
    fixed = quantiles(LBFGS_NODES)
    fixed_z, fixed_x = _column(fixed), torch.from_numpy(curve(fixed))
    lbfgs = torch.optim.LBFGS(
        net.parameters(),
        max_iter=LBFGS_AT_ONCE,
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
    )

    def closure() -> Float64[Tensor, ""]:
        lbfgs.zero_grad()
        value = loss(fixed_z, fixed_x)
        value.backward()
        return value

    while done < total:
        lbfgs.step(closure)
        done += LBFGS_AT_ONCE
        progress(min(done, total), total, what)
    return net.float()


def _stratified(steps: int, seed: int) -> Iterator[Float64[np.ndarray, " N"]]:
    """Draws of z ~ N(0, 1), one in each of BATCH equally likely intervals."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        yield ndtri((np.arange(BATCH) + rng.random(BATCH)) / BATCH)


def _column(z: Float64[np.ndarray, " N"]) -> Float64[Tensor, "N 1"]:
    return torch.from_numpy(z)[:, None]


def _start(curve: Curve, seed: int) -> nn.Module:
    """A random network, float64, whose first layer bends where the curve does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ARCHITECTURE.decoder(1, EVENT_SHAPE).double()
        sign = torch.where(torch.rand(ARCHITECTURE.hidden) < 0.5, -1.0, 1.0).double()
    knots = _knots(curve, ARCHITECTURE.hidden)
    slope = sign * torch.from_numpy(np.clip(0.3 / np.sqrt(np.gradient(knots)), 0.5, 6.0))
    first = next(module for module in net.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        first.weight[:, 0] = slope
        first.bias[:] = -slope * torch.from_numpy(knots)
    return net


def _knots(curve: Curve, n: int, share: float = 0.7) -> Float64[np.ndarray, " n"]:
    """Quantiles of a density that is mostly |f''|^0.4 N(z)^0.2, about that of a broken line's best knots."""
    z = np.linspace(-4.5, 4.5, 40_001)
    bend = np.linalg.norm(np.diff(curve(z), 2, axis=0), axis=1) ** 0.4 * np.exp(-0.1 * z[1:-1] ** 2)
    normal = np.exp(-0.5 * z[1:-1] ** 2)
    density = share * bend / bend.sum() + (1.0 - share) * normal / normal.sum()
    return np.interp((np.arange(n) + 0.5) / n, np.cumsum(density), z[1:-1])
