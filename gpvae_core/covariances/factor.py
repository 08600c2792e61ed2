"""Factors V of kernel matrices, V V' = K, of kernels with few features or of columns with few distinct values.

A product of kernels has the row-wise Kronecker product of their factors, as of a linear kernel of M-dimensional object
vectors and a kernel of Q views: H = M Q columns (Casale et al. 2018; Jazbec et al. 2021, B.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.gp_prior.cholesky import safe_cholesky

MOST_FEATURES = 4096
"""Most columns of a factor: with more of them a sparse approximation, as of svgp, is the better choice."""


@dataclass(frozen=True)
class Factor:
    """Features of the instances of a kernel matrix, and those of any other inputs."""

    V: Float[Tensor, "N H"]
    """Features of the N instances, V V' = K."""
    at: Callable[[Float[Tensor, "S F"]], Float[Tensor, "S H"]]
    """Map from S other inputs to their features V_s, with V_s V' = k(x_s, x). V_s V_s' can be less than k(x_s, x_s),
    as what is new of a value that no instance has is independent of all of them."""


def of_features(phi: Callable[[Tensor], Tensor], x: Float[Tensor, "N F"]) -> Factor:
    """Return the factor of a kernel phi(x)' phi(x')."""
    return Factor(phi(x), phi)


def of_distinct_values(
    matrix: Callable[[Tensor, Tensor], Tensor], x: Float[Tensor, "N F"], features: slice, jitter: float
) -> Factor:
    """Return the factor of a kernel of some features, of which the N instances have few distinct values.

    V has the rows of the Cholesky factor of the kernel's matrix over these values.

    Args:
        matrix: the kernel's matrix of two sets of inputs.
        jitter: smallest part of its mean that is added to that matrix's diagonal.

    Raises:
        UserError: there are more than MOST_FEATURES distinct values, or their matrix is not positive definite.
    """
    _, inverse = torch.unique(x[:, features].detach(), dim=0, return_inverse=True)
    count = _checked(int(inverse.max()) + 1)
    # NOTE: `unique` passes no gradients, which the vectors of categories need: take the first row of each value.
    rows = torch.arange(len(x), device=x.device)
    first = torch.full((count,), len(x), device=x.device).scatter_reduce(0, inverse, rows, "amin")
    distinct = x[first]
    L = safe_cholesky(matrix(distinct, distinct), jitter, "kernel matrix of the distinct values of a column")

    def at(y: Float[Tensor, "S F"]) -> Float[Tensor, "S H"]:
        # V_s L' = k(x_s, distinct)
        return torch.linalg.solve_triangular(L, matrix(distinct, y), upper=False).mT

    return Factor(L[inverse], at)


def of_sum(parts: Sequence[Factor]) -> Factor:
    """Return the factor of the sum of kernels: the features of all of them."""
    _checked(sum(part.V.shape[1] for part in parts))
    return Factor(torch.cat([part.V for part in parts], 1), lambda y: torch.cat([part.at(y) for part in parts], 1))


def of_product(parts: Sequence[Factor]) -> Factor:
    """Return the factor of the product of kernels: all products of a feature of each."""
    _checked(reduce(int.__mul__, (part.V.shape[1] for part in parts)))
    return Factor(
        reduce(_row_products, (part.V for part in parts)),
        lambda y: reduce(_row_products, (part.at(y) for part in parts)),
    )


def _row_products(a: Float[Tensor, "N H"], b: Float[Tensor, "N G"]) -> Float[Tensor, "N HG"]:
    """Return the Kronecker product of each row of a with that of b."""
    return (a[:, :, None] * b[:, None, :]).flatten(1)


def _checked(features: int) -> int:
    """Return the number of features. Raises UserError if it is beyond MOST_FEATURES."""
    if features > MOST_FEATURES:
        raise UserError(
            f"this kernel has {features:,} features at the training images: wanted at most {MOST_FEATURES:,}, as of "
            "linear kernels of short vectors and of columns with few distinct values, or another method, such as svgp"
        )
    return features
