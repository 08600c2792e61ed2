"""Base class of MAPA's kernels k(x_n | x_i): the likelihood of x_n if x_i were noise-free (Yacoby et al. 2024, B.2).

A kernel has two parts: a statistic of the two points, which a search for neighbours computes once and stores, and
hyper-parameters, which turn the statistic into log k at any later time (end of B.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, ClassVar

from jaxtyping import Float, Float64
from torch import Tensor

from gpvae_core.registry import Registry


class Metric(Enum):
    """Statistic of two vectors that a search compares."""

    SQUARED_DISTANCE = "squared distance"
    """|a - b|^2; the nearest have the smallest."""
    INNER_PRODUCT = "inner product"
    """a'b; the nearest have the largest."""


class Kernel(ABC):
    """Kernel log k(x_n | x_i) up to a constant that depends on x_n alone, which cancels in eq. 8.

    >>> import torch
    >>> from gpvae_core.mapa.kernels.gaussian import GaussianKernel
    >>> GaussianKernel(bandwidth=0.5).log_kernel(torch.tensor([1.0, 4.0])).tolist()  # -|x_n - x_i|^2 / (2 bandwidth^2)
    [-2.0, -8.0]
    """

    metric: ClassVar[Metric]

    @abstractmethod
    def check(self, x: Float[Tensor, "B P"]) -> None:
        """Raise UserError if the kernel is not defined for some of these values."""

    @abstractmethod
    def indexed(self, x_train: Float[Tensor, "N P"]) -> Float[Tensor, "N Q"]:
        """Return the vectors of the training points x_i that enter the statistic; float32."""

    @abstractmethod
    def queried(self, x: Float[Tensor, "B P"]) -> Float[Tensor, "B Q"]:
        """Return the vectors of the points x_n that enter the statistic; float32."""

    @abstractmethod
    def log_kernel(self, statistic: Float[Tensor, ...]) -> Float64[Tensor, ...]:
        """Return log k(x_n | x_i), up to a constant for each n, from the statistic of (n, i); nats, float64."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the settings on which `indexed` and `queried` depend; changing one requires a new search."""


KERNELS: Registry[type[Kernel]] = Registry("kernel", "gpvae_core.mapa.kernels")
"""The kernels by the kind of likelihood to which they belong."""
