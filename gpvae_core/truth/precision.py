"""The precision in which the latent plane is decoded: float64 where rounding in float32 would be noise on log p(x|z).

log p(x|z) is a difference of large numbers where sigma_x is small: with sigma_x = 1e-3 float32 leaves noise of 0.2 nats
at the nodes of a grid, in which thousands of nodes are local maxima.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float64
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.vae import GenerativeModel

MAX_NOISE = 0.05
"""Largest rounding error of log p(x|z) in nats, the median over far nodes; at the mode it is several times less."""
SIDE, IMAGES = 16, 4
"""Nodes along a side at which rounding errors are measured, and number of images, decoded there, that are scored."""


@torch.no_grad()
def model_in_precision(model: GenerativeModel, extent: float) -> GenerativeModel:
    """Return the model, or a copy in float64 on the CPU where its rounding in [-extent, extent]^2 is above MAX_NOISE.

    Raises:
        UserError: rounding is above MAX_NOISE in float64, too.
    """
    axis = torch.linspace(-extent, extent, SIDE, dtype=torch.float64)
    exact = copy.deepcopy(model).cpu().double().eval()
    noise = _rounding(model, exact, torch.cartesian_prod(axis, axis))
    in_double = noise * torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
    if not in_double <= MAX_NOISE:
        raise UserError(
            f"the true posterior by quadrature on a grid wants log p(x|z) to {MAX_NOISE:g} nats, rounding leaves "
            f"{in_double:.2g} even in float64: sigma_x is too small for the decoder's outputs"
        )
    return model if noise <= MAX_NOISE else exact


def _rounding(model: GenerativeModel, exact: GenerativeModel, z: Float64[Tensor, "G D"]) -> float:
    """Return the median difference in nats of log p(x|z) in float32 and in float64, for decoded images x."""
    weights = next(model.parameters())
    g, g_exact = model.decode(z.to(weights)), exact.decode(z)
    x = exact.likelihood.mean(g_exact[:: max(1, len(z) // IMAGES)]).to(weights)
    rounded = model.likelihood.grid_table(g.float()).log_prob(x)
    reference = exact.likelihood.log_prob(x.cpu().double()[:, None], g_exact)
    return float((rounded - reference).abs().nan_to_num(torch.inf).median())
