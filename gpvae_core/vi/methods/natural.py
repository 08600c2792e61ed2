"""Steps along the natural gradient of a Gaussian, of which coordinate ascent is the case of full steps.

With g = E_q[grad log p(x, z)] and H = E_q[Hessian of log p(x, z)], the natural gradient of the ELBO in the natural
parameters of N(m, P^-1) gives the step of size rho (Hoffman et al. 2013; Khan & Rue 2023, eq. 10)::

    P <- (1 - rho) P - rho H,    m <- m + rho P^-1 g.

For a conjugate target and rho = 1 that is the best Gaussian given the other factors: the conjugate update.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.vi.families.gaussian import GaussianFamily
from gpvae_core.vi.methods.base import Start


def gaussian_family(start: Start, what: str) -> GaussianFamily:
    """Return the Gaussian family at its start.

    Raises:
        UserError: the family is no Gaussian; `what` names the method.
    """
    family = start.family.build(start.m, start.sd, start.seed)
    if not isinstance(family, GaussianFamily):
        raise UserError(f"{what} wants a Gaussian family (mean-field, block or full), got '{start.family.kind}'")
    return family


@torch.no_grad()
def natural_step(
    family: GaussianFamily, gradient: Float[Tensor, " D"], hessian: Float[Tensor, "D D"], rho: float, block: Tensor
) -> bool:
    """Take one step with the latents where `block` is True, and return whether the precision stayed positive definite.

    Where it did not, which only a Hessian that is not negative definite can cause, nothing is changed.
    """
    q = family.density()
    mask = family.mask & block & block[:, None]
    precision = torch.cholesky_inverse(q.lower_factor()[0]) * family.mask
    stepped = torch.where(mask, (1.0 - rho) * precision - rho * hessian, precision)
    factor, wrong = torch.linalg.cholesky_ex(stepped)
    if int(wrong):
        return False
    direction = torch.cholesky_solve(torch.where(block, gradient, 0.0).unsqueeze(-1), factor)[:, 0]
    family.set_moments(family.m + rho * torch.where(block, direction, 0.0), stepped)
    return True
