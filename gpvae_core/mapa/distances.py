"""Squared distances by inner products: one matrix product in place of N differences."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

TRAIN_CHUNK = 8192


def square_of_difference(
    products: Float[Tensor, "B N"], own: Float[Tensor, " B"], others: Float[Tensor, " N"]
) -> Float[Tensor, "B N"]:
    """Return |a_b - b_i|^2 of the products a_b'b_i, which are overwritten, and of |a_b|^2 and |b_i|^2.

    NOTE: between vectors much longer than their distance the digits cancel; see `search` for what then is done.
    """
    # |a - b|^2 = |b|^2 - 2 a'b + |a|^2
    return products.mul_(-2.0).add_(others).add_(own[:, None])


@torch.no_grad()
def squared_distances(x_train: Float[Tensor, "N P"], x: Float[Tensor, "B P"]) -> Float64[Tensor, "B N"]:
    """Return |x_b - x_i|^2 in float64 on the CPU, multiplied out around the training mean c, where both are short.

    It works through the training images in chunks, so that no second copy of them is made.
    """
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
