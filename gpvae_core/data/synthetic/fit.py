"""Fitting a surrogate network to a curve with full supervision: L-BFGS in float64, from broken lines on."""

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
TAIL, TAIL_NODES, TAIL_WEIGHT = 6.0, 201, 1e-4
"""Latents out to +-TAIL, evenly spaced, count with a small weight: z ~ N(0, 1) has hardly any beyond 4."""
AT_ONCE, MEMORY = 50, 100
"""Steps between two looks at the error, and gradients that L-BFGS remembers."""
GOOD, MOST_STEPS = 1e-5, 6000
"""A fit ends at this mean squared error, a tenth of what is asked for, or after so many steps."""
SEEDS = 3
"""Starts that are tried until one is good enough."""


@dataclass(frozen=True)
class SurrogateFit:
    """A fitted surrogate and how far it is from the curve."""

    net: nn.Module
    """float32."""
    mse: float
    largest: float
    """Largest distance between the two at the quantiles of N(0, 1) on which `mse` is the mean."""
    seed: int


def fit_surrogate(
    name: str, curve: Curve, seed: int = 0, progress: Progress = silent, good: float = GOOD, most: int = MOST_STEPS
) -> SurrogateFit:
    """Return the first of SEEDS starts, from `seed` on, whose mean squared error over z ~ N(0, 1) is below MAX_MSE.

    Raises:
        UserError: none is.
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
    """Minimise the mean squared error over z ~ N(0, 1), with a little weight on the tails."""
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
        off = (net(z[:, None]).flatten(1) - x).square().mean()
        value = off + TAIL_WEIGHT * (net(tail_z[:, None]).flatten(1) - tail_x).square().mean()
        value.backward()
        return value

    for done in range(0, most, AT_ONCE):
        progress(done, most, what)
        lbfgs.step(loss)
        if errors(net, curve)[0] < good:
            break
    progress(most, most, what)
