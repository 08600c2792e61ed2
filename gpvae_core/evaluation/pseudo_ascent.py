"""The ascent of a bound in pseudo-observations, with the same noise at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.noise import matched_noise
from gpvae_core.errors import UserError
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.refiners.until_flat import AdamUntilFlat, Objective
from gpvae_core.runs import Run

ASCENT = AdamUntilFlat(samples=4, max_windows=15, drops=3, step_size=0.2, gain=1e-2)
"""Ascent of the pseudo-observations, in standard deviations sigma~ of the encoder's (y~) and in nats (sigma~)."""
AT_ONCE = 256
"""Images that are decoded in one batch: few, so that the time left can be told after some of them."""


def check_amortized(run: Run) -> GPModel:
    """Return the GP part of a run. Raises UserError if its posterior is not that of pseudo-observations."""
    model = run.model.extra
    if not isinstance(model, GPModel) or not model.family.rests_on_observations:
        raise UserError(f"method '{run.config.method}' has no pseudo-observations whose gap could be computed")
    return model


def ascent_noise(latent_dim: int, seed: int) -> Float[Tensor, "K D"]:
    """Return the noise of an ascent, the same at every step: pairs with the second moments of N(0, I)."""
    generator = torch.Generator().manual_seed(seed)
    return matched_noise(max(ASCENT.samples, 2 * latent_dim), latent_dim, generator, torch.float64)


def moved(pseudo: PseudoObservations, coordinates: Sequence[Tensor]) -> PseudoObservations:
    """Return pseudo-observations moved by (a, b): y~ + sigma~ a with standard deviations sigma~ exp(b)."""
    a, b = coordinates
    seen = pseudo.observed
    std = torch.where(seen > 0, pseudo.precision, 1.0).rsqrt() * seen
    return PseudoObservations(pseudo.mean + std * a, pseudo.precision * torch.exp(-2 * b))


def differentiated(value: Callable[[Tensor, Sequence[Tensor]], Float[Tensor, " B"]]) -> Objective:
    """Return the objective of an ascent: the value of each row, and its gradient; what is not finite becomes zero."""

    def objective(rows: Tensor, coordinates: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_() for t in coordinates]
            values = value(rows, leaves)
            gradients = torch.autograd.grad(values.sum(), leaves)
        return values.detach(), [g.nan_to_num(0.0, 0.0, 0.0) for g in gradients]

    return objective


def kept_if_better(growth: Float[Tensor, " B"], *more: Float[Tensor, " B"]) -> tuple[Float[np.ndarray, " B"], ...]:
    """Return the growth of bounds and what belongs to it, all 0 where the start is at least as good, and stays."""
    return tuple(torch.where(growth > 0, t, 0.0).cpu().double().numpy() for t in (growth, *more))
