"""The contract of MAPA's kernel k(x_n | x_i): the density of x_n if x_i had no noise (Yacoby et al. 2024, B.2).

A kernel is split in two: a statistic of the two points that is found once, by a search for neighbours, and kept; and
the hyper-parameters, which turn it into log k at any time after (end of B.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, ClassVar

from jaxtyping import Float, Float64
from torch import Tensor

from gpvae_core.registry import Registry


class Metric(Enum):
    """The statistic of two vectors: the squared distance, small for near ones, or the inner product, large for them."""

    SQUARED_DISTANCE = "squared distance"
    """|a - b|^2; the nearest have the smallest."""
    INNER_PRODUCT = "inner product"
    """a'b; the nearest have the largest."""


class Kernel(ABC):
    """log k(x_n | x_i) up to a constant of x_n, which eq. 8 does not see.

    >>> import torch
    >>> from gpvae_core.mapa.kernels.gaussian import GaussianKernel
    >>> GaussianKernel(bandwidth=0.5).log_kernel(torch.tensor([1.0, 4.0])).tolist()  # -|x_n - x_i|^2 / (2 bandwidth^2)
    [-2.0, -8.0]
    """

    metric: ClassVar[Metric]

    @abstractmethod
    def check(self, x: Float[Tensor, "B P"]) -> None:
        """Raises UserError where the kernel is not defined for such values."""

    @abstractmethod
    def indexed(self, x_train: Float[Tensor, "N P"]) -> Float[Tensor, "N Q"]:
        """Return the vectors that stand for the training points x_i in the statistic; float32."""

    @abstractmethod
    def queried(self, x: Float[Tensor, "B P"]) -> Float[Tensor, "B Q"]:
        """Return the vectors that stand for the points x_n; float32."""

    @abstractmethod
    def log_kernel(self, statistic: Float[Tensor, ...]) -> Float64[Tensor, ...]:
        """Return log k(x_n | x_i) + constant of n in nats, float64, from the statistic of (n, i); nearer is larger."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the settings that `indexed` and `queried` depend on: where one changes, the search is done again."""


KERNELS: Registry[type[Kernel]] = Registry("kernel", "gpvae_core.mapa.kernels")
"""By the kind of the likelihood that they belong to."""
