"""Mixtures of diagonal Gaussians."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.mixture import GaussianMixture
from gpvae_core.vi.families.base import VI_FAMILIES, FamilyConfig, VIFamily


class MixtureFamily(VIFamily):
    """Mixture of diagonal Gaussians, which can cover several modes."""

    def __init__(self, m: Float[Tensor, "C D"], sd: float) -> None:
        super().__init__()
        self.m = nn.Parameter(m.clone())
        self.log_s = nn.Parameter(torch.full_like(m, sd).log())
        self.logits = nn.Parameter(torch.zeros_like(m[:, 0]))

    def density(self) -> GaussianMixture:
        return GaussianMixture(self.logits.log_softmax(-1)[None], self.m[None], self.log_s.exp()[None])

    def expectation(self, f: Callable[[Tensor], Tensor], k: int, generator: torch.Generator) -> Tensor:
        """Return sum_c w_c E_c[f(z)], the same number of samples from each component."""
        q, n = self.density(), -(-k // len(self.logits))
        z = torch.stack([q.sample_components(generator)[:, 0] for _ in range(n)])
        return self.logits.softmax(-1) @ f(z.flatten(0, 1)).unflatten(0, (n, -1)).mean(0)


@VI_FAMILIES.register("mixture")
class MixtureFamilyConfig(FamilyConfig):
    """Mixture of diagonal Gaussians, which can cover several modes."""

    kind: ClassVar[str] = "mixture"
    count: ClassVar[str] = "components"
    gaussian: ClassVar[bool] = False
    components: int = Field(default=3, ge=1, le=12, description="number of components")

    def build(self, m: Tensor, sd: float, seed: int) -> MixtureFamily:
        generator = torch.Generator().manual_seed(seed)
        spread = torch.randn(self.components, len(m), generator=generator, dtype=m.dtype)
        return MixtureFamily(m + sd * spread, sd)
