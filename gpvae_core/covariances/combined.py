"""Sums and products of kernels, which are kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, mul

from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.covariances.base import CovarianceFunction
from gpvae_core.covariances.factor import Factor, of_product, of_sum


class _Combination(CovarianceFunction):
    """A kernel whose values are computed from those of its parts."""

    def __init__(self, combine: Callable[[Tensor, Tensor], Tensor], parts: Sequence[CovarianceFunction]) -> None:
        super().__init__()
        self._combine, self._parts = combine, parts
        self.parts = nn.ModuleList(parts)

    def matrix(self, x: Float[Tensor, "*batch A F"], y: Float[Tensor, "*batch C F"]) -> Float[Tensor, "*batch A C"]:
        return reduce(self._combine, (part.matrix(x, y) for part in self._parts))

    def diagonal(self, x: Float[Tensor, "*batch A F"]) -> Float[Tensor, "*batch A"]:
        return reduce(self._combine, (part.diagonal(x) for part in self._parts))

    def parts_of_it(self) -> Sequence[CovarianceFunction]:
        return [leaf for part in self._parts for leaf in part.parts_of_it()]


class SumOfKernels(_Combination):
    """k(x, x') = sum_i k_i(x, x')."""

    def __init__(self, parts: Sequence[CovarianceFunction]) -> None:
        super().__init__(add, parts)

    def factor(self, x: Float[Tensor, "N F"], jitter: float) -> Factor:
        return of_sum([part.factor(x, jitter) for part in self._parts])


class ProductOfKernels(_Combination):
    """k(x, x') = prod_i k_i(x, x')."""

    def __init__(self, parts: Sequence[CovarianceFunction]) -> None:
        super().__init__(mul, parts)

    def factor(self, x: Float[Tensor, "N F"], jitter: float) -> Factor:
        return of_product([part.factor(x, jitter) for part in self._parts])
