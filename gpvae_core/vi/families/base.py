"""The interface of a variational family of one target: the parameters of q(z), and q(z) as a density."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry


class VIFamily(nn.Module, ABC):
    """Parameters of one density q(z) in D dimensions, in float64."""

    @abstractmethod
    def density(self) -> Posterior:
        """Return q(z), a density of one row."""

    def forward(self) -> Posterior:
        return self.density()

    def expectation(self, f: Callable[[Tensor], Tensor], k: int, generator: torch.Generator) -> Float[Tensor, ""]:
        """Return the mean of f(z) (K,) over K samples z (K, D) of q, with a gradient in every parameter through z.

        Override it where samples do not carry the gradient in all parameters, as those of a mixture in its weights.
        """
        return f(self.density().rsample_and_log_prob(k, generator)[0][:, 0]).mean()


class FamilyConfig(PartConfig):
    """Settings of one family."""

    method: ClassVar[str] = ""
    gaussian: ClassVar[bool] = True
    """Whether q(z) is a Gaussian, as coordinate ascent and natural gradients want it."""

    @abstractmethod
    def build(self, m: Float[Tensor, " D"], sd: float, seed: int) -> VIFamily:
        """Return the family at its start, with mean `m` and standard deviations `sd`."""


VI_FAMILIES: Registry[type[FamilyConfig]] = Registry("family", "gpvae_core.vi.families")
