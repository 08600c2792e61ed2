"""Squared distances from inner products: one matrix product in place of N differences."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

TRAIN_CHUNK = 8192
"""Number of training images whose centred copy is in memory."""


def square_of_difference(
    products: Float[Tensor, "B N"], own: Float[Tensor, " B"], others: Float[Tensor, " N"]
) -> Float[Tensor, "B N"]:
    """Return |a_b - b_i|^2 from the products a_b'b_i, which are overwritten, and from |a_b|^2 and |b_i|^2."""
    # |a - b|^2 = |b|^2 - 2 a'b + |a|^2
    # NOTE: this cancels if the vectors are much longer than their distance; `search` then recomputes by differences.
    return products.mul_(-2.0).add_(others).add_(own[:, None])


@torch.no_grad()
def squared_distances(x_train: Float[Tensor, "N P"], x: Float[Tensor, "B P"]) -> Float64[Tensor, "B N"]:
    """Return |x_b - x_i|^2 in float64 on the CPU, expanded around the training mean."""
    # Centring at the training mean c shortens both vectors, and with that reduces cancellation in the expansion. The
    # training images are centred in chunks, so that no second copy of them is made.
    c = x_train.mean(0)
    centred = x.to(c) - c
    own = centred.cpu().double().square().sum(1)
    squares = torch.empty(len(x), len(x_train), dtype=torch.float64)
    for start in range(0, len(x_train), TRAIN_CHUNK):
        part = x_train[start : start + TRAIN_CHUNK] - c
        products = (centred @ part.T).cpu().double()
        lengths = torch.linalg.vector_norm(part, dim=1).cpu().double()
        squares[:, start : start + len(part)] = square_of_difference(products, own, lengths**2)
    return squares.clamp_min(0.0)
