"""The kernelised Stein discrepancy, and the Gaussian kernel with its derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.vi.divergences.base import DIVERGENCES, DivergenceConfig, Fit
from gpvae_core.vi.families.mixture import MixtureFamily
from gpvae_core.vi.gradients.base import Drawn, flat_gradient


def posterior_score(
    log_density: Callable[[Tensor], Tensor], z: Float[Tensor, "K D"], create_graph: bool = False
) -> Float[Tensor, "K D"]:
    """Return the gradient of the log density in z, which does not depend on p(x)."""
    with torch.enable_grad():
        leaf = z if z.requires_grad else z.detach().requires_grad_()
        return torch.autograd.grad(log_density(leaf).sum(), leaf, create_graph=create_graph)[0]


def stein_kernel(z: Float[Tensor, "K D"], score: Float[Tensor, "K D"], width: float) -> Float[Tensor, "K K"]:
    """Return k_p(z_i, z_j) of the kernel k = exp(-|z_i - z_j|^2 / (2 h^2)) (Liu et al. 2016, eq. 6).

    k_p = s_i's_j k + s_i' grad_j k + s_j' grad_i k + tr(grad_i grad_j k), of mean zero over z_j ~ p for every z_i.
    """
    difference = (z.unsqueeze(1) - z.unsqueeze(0)) / width**2  # grad_j k = k (z_i - z_j) / h^2, grad_i k its negative
    square = difference.square().sum(-1)
    k = (-0.5 * width**2 * square).exp()
    cross = ((score.unsqueeze(1) - score.unsqueeze(0)) * difference).sum(-1)
    return k * (score @ score.T + cross + z.shape[-1] / width**2 - square)


@DIVERGENCES.register("stein")
class SteinConfig(DivergenceConfig):
    """Kernelised Stein discrepancy, squared: needs the gradient of log p(x, z) alone, and no p(x) (eq. 31)."""

    kind: ClassVar[str] = "stein"
    count: ClassVar[str] = "width"
    width: float = Field(default=1.0, ge=0.05, le=50, description="width h of the Gaussian kernel, in latent units")

    def squared(self, z: Float[Tensor, "K D"], score: Float[Tensor, "K D"]) -> Float[Tensor, ""]:
        """Return the unbiased estimate from K samples, the mean of k_p over pairs; it may be negative."""
        k = len(z)
        if k < 2:
            raise UserError(f"the Stein discrepancy wants at least 2 samples, got {k}")
        kernel = stein_kernel(z, score, self.width)
        return (kernel.sum() - kernel.diagonal().sum()) / (k * (k - 1))

    def estimate(self, draw: Drawn) -> Fit:
        if isinstance(draw.family, MixtureFamily):
            raise UserError(
                "the divergence 'stein' wants a Gaussian family: samples of a mixture carry no gradient in its weights"
            )
        z = draw.family.density().rsample_and_log_prob(draw.k, draw.generator)[0][:, 0]
        value = self.squared(z, posterior_score(draw.log_density, z, create_graph=True))
        return Fit(float(value.detach()), flat_gradient(value, draw.family))
