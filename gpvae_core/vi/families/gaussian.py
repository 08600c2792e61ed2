"""Gaussians: mean field, blocks of correlated latents, and full."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.vi.families.base import VI_FAMILIES, FamilyConfig, VIFamily


class GaussianFamily(VIFamily):
    """Gaussian whose covariance is zero outside of a mask of blocks: mean field, blocks, or full.

    Its factor is L = Diag(s) (I + C) with C strictly lower triangular; the parameters are m, log s and C.
    """

    def __init__(self, m: Float[Tensor, " D"], sd: float, mask: Bool[Tensor, "D D"]) -> None:
        super().__init__()
        self.m = nn.Parameter(m.clone())
        self.log_s = nn.Parameter(torch.full_like(m, sd).log())
        self.mask = nn.Buffer(mask)
        self.mean_field = bool((mask == torch.eye(len(m), dtype=torch.bool)).all())
        if not self.mean_field:
            self.c = nn.Parameter(torch.zeros_like(mask, dtype=m.dtype))

    def density(self) -> DiagonalGaussian | FullGaussian:
        s = self.log_s.exp()
        if self.mean_field:
            return DiagonalGaussian(self.m[None], s[None])
        within = torch.eye(len(s)).to(s) + (self.c * self.mask).tril(-1)
        return FullGaussian(self.m[None], (s.unsqueeze(-1) * within)[None])

    @torch.no_grad()
    def set_moments(self, m: Float[Tensor, " D"], precision: Float[Tensor, "D D"]) -> None:
        """Become N(m, P^-1), the precision P restricted to the blocks."""
        covariance = torch.linalg.inv(precision * self.mask)
        chol = torch.linalg.cholesky(0.5 * (covariance + covariance.T))
        s = chol.diagonal()
        self.m.copy_(m)
        self.log_s.copy_(s.log())
        if not self.mean_field:
            self.c.copy_((chol / s.unsqueeze(-1)).tril(-1))


@VI_FAMILIES.register("mean-field")
class MeanFieldConfig(FamilyConfig):
    """Mean field: a Gaussian with independent latents (Ganguly et al. 2023, eq. 8)."""

    kind: ClassVar[str] = "mean-field"

    def build(self, m: Tensor, sd: float, seed: int) -> GaussianFamily:
        return GaussianFamily(m, sd, torch.eye(len(m), dtype=torch.bool))


@VI_FAMILIES.register("block")
class BlockConfig(FamilyConfig):
    """Structured: a Gaussian with a full covariance within blocks of neighbouring latents, and none between them."""

    kind: ClassVar[str] = "block"
    count: ClassVar[str] = "size"
    size: int = Field(default=2, ge=1, le=16, description="number of latents in a block")

    def build(self, m: Tensor, sd: float, seed: int) -> GaussianFamily:
        block = torch.arange(len(m)) // self.size
        return GaussianFamily(m, sd, block[:, None] == block)


@VI_FAMILIES.register("full")
class FullConfig(FamilyConfig):
    """Structured: a Gaussian with a full covariance."""

    kind: ClassVar[str] = "full"

    def build(self, m: Tensor, sd: float, seed: int) -> GaussianFamily:
        return GaussianFamily(m, sd, torch.ones(len(m), len(m), dtype=torch.bool))
