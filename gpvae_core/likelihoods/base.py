"""The interface of a likelihood p(x|z)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from gpvae_core.registry import Registry


class LikelihoodTable(ABC):
    """Evaluates log p(x|z_i) of any image at G latents whose decoder outputs are known."""

    @abstractmethod
    def log_prob(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B G"]:
        """Return log p(x|z_i) in nats, float64 on the CPU (not every device has it)."""


class Likelihood(nn.Module, ABC):
    """Density p(x|g) of an image given the decoder's output g, independent over pixels.

    >>> import torch
    >>> from gpvae_core.likelihoods import BernoulliLikelihood
    >>> round(float(BernoulliLikelihood().log_prob(torch.ones(1, 2, 2), torch.zeros(1, 2, 2))), 4)  # 4 log(1/2)
    -2.7726
    """

    @abstractmethod
    def log_prob(
        self,
        x: Float[Tensor, "*#batch C H W"],
        g: Float[Tensor, "*#batch C H W"],
        observed: Bool[Tensor, "*#batch 1 H W"] | None = None,
    ) -> Float[Tensor, "*batch"]:
        """Return log p(x | g) in nats, summed over C, H, W; `x` and the decoder output `g` are broadcast.

        Args:
            observed: the pixels over which it is summed; all by default.
        """

    @abstractmethod
    def kl(self, g: Float[Tensor, "*#batch C H W"], other: Float[Tensor, "*#batch C H W"]) -> Float[Tensor, "*batch"]:
        """Return KL(p(x|g) || p(x|other)) of two decoder outputs in nats, summed over C, H, W; in closed form."""

    @abstractmethod
    def grid_table(self, g: Float[Tensor, "G C H W"]) -> LikelihoodTable:
        """Return a table for the decoder outputs `g`, with the likelihood's current parameters.

        The table takes ownership of `g` and may overwrite its memory.
        """

    @abstractmethod
    def mean(self, g: Tensor) -> Tensor:
        """Return E[x | g], shown as the reconstruction."""

    @abstractmethod
    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw one image from p(x|g) for each decoder output, of the same shape and without a gradient."""

    @abstractmethod
    def noise_scale(self) -> float | None:
        """Return the current scale sigma_x of the pixel noise; None for a likelihood that has none."""


class LikelihoodConfig(BaseModel, ABC):
    """Settings of one likelihood."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]
    shares: ClassVar[bool] = False
    """Whether it is of pixels in [0, 1] alone."""

    @abstractmethod
    def build(self) -> Likelihood:
        """Return the likelihood with its initial parameters."""


LIKELIHOODS: Registry[type[LikelihoodConfig]] = Registry("likelihood", "gpvae_core.likelihoods")
