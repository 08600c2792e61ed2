"""Fit of a surrogate network to a curve with full supervision: L-BFGS in float64 from a piecewise linear start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from gpvae_core.data.synthetic.broken_lines import start_network
from gpvae_core.data.synthetic.surrogate import MAX_MSE, Curve, errors, quantiles
from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, silent

NODES = 6000
"""Number of quantiles of N(0, 1) over which the error is minimised."""
TAIL, TAIL_NODES, TAIL_WEIGHT = 6.0, 201, 1e-4
"""Uniform grid on [-TAIL, TAIL] that enters the loss with a small weight, because N(0, 1) has little mass beyond 4."""
AT_ONCE, MEMORY = 50, 100
"""Steps between two evaluations of the error, and history size of L-BFGS."""
GOOD, MOST_STEPS = 1e-5, 6000
"""Mean squared error at which a fit ends, a tenth of MAX_MSE, and its largest number of steps."""
SEEDS = 3
"""Largest number of restarts."""


@dataclass(frozen=True)
class SurrogateFit:
    """A fitted surrogate and its error."""

    net: nn.Module
    """The network, in float32."""
    mse: float
    """Mean squared error of a coordinate over quantiles of N(0, 1)."""
    largest: float
    """Largest distance from the curve at these quantiles."""
    seed: int


def fit_surrogate(
    name: str, curve: Curve, seed: int = 0, progress: Progress = silent, good: float = GOOD, most: int = MOST_STEPS
) -> SurrogateFit:
    """Return the first fit, of SEEDS restarts from `seed` on, whose mean squared error is below MAX_MSE.

    Raises:
        UserError: no restart reaches MAX_MSE.
    """
    best = float("inf")
    for start in range(seed, seed + SEEDS):
        net = start_network(curve, start)
        _descend(net, curve, good, most, progress, f"surrogate of {name}, seed {start}")
        mse, largest = errors(net.float(), curve)
        if mse < MAX_MSE:
            return SurrogateFit(net, mse, largest, start)
        best = min(best, mse)
    raise UserError(f"wanted a surrogate of '{name}' with a mean squared error below {MAX_MSE:g}, got {best:.2g}")


def _descend(net: nn.Module, curve: Curve, good: float, most: int, progress: Progress, what: str) -> None:
    """Minimise the mean squared error over z ~ N(0, 1), plus TAIL_WEIGHT times that on the tail's grid."""
    tail = np.linspace(-TAIL, TAIL, TAIL_NODES)
    z, x = (torch.from_numpy(values) for values in (quantiles(NODES), curve(quantiles(NODES))))
    tail_z, tail_x = torch.from_numpy(tail), torch.from_numpy(curve(tail))
    lbfgs = torch.optim.LBFGS(
        net.parameters(),
        max_iter=AT_ONCE,
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-12,
        tolerance_change=1e-15,
    )

    def loss() -> Float64[Tensor, ""]:
        lbfgs.zero_grad()
        mse = (net(z[:, None]).flatten(1) - x).square().mean()
        value = mse + TAIL_WEIGHT * (net(tail_z[:, None]).flatten(1) - tail_x).square().mean()
        value.backward()
        return value

    for done in range(0, most, AT_ONCE):
        progress(done, most, what)
        lbfgs.step(loss)
        if errors(net, curve)[0] < good:
            break
    progress(most, most, what)
