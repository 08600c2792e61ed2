"""Positive parameters of kernels, stored by their logarithms."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Positive(nn.Module):
    """A positive number in double precision; fixed unless it is learned."""

    def __init__(self, start: float, learn: bool) -> None:
        super().__init__()
        self.learned = learn
        self.log = nn.Parameter(torch.tensor(math.log(start), dtype=torch.float64), requires_grad=learn)

    def forward(self) -> Float[Tensor, ""]:
        """Return the number."""
        return self.log.exp()
