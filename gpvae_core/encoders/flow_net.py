"""One affine flow z -> sigma(z, h) z + mu(z, h) as a network and zuko's transform made from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from zuko.transforms import AutoregressiveTransform, CouplingTransform, DependentTransform, MonotonicAffineTransform

Bijection: TypeAlias = AutoregressiveTransform | CouplingTransform
START = 0.01
"""Factor on the start of the last layer: the first answers are close to those without flows."""


class ShiftAndScale(nn.Module):
    """The network (z, h) -> mu and log sigma, with one hidden layer whose connections to z are masked.

    What h adds to both layers is computed once for each image, however many z there are. zuko's affine transform keeps
    sigma within (1e-3, 1e3).
    """

    def __init__(self, seen: Bool[Tensor, "W A"], used: Bool[Tensor, "E W"], context: int) -> None:
        super().__init__()
        (width, a), e = seen.shape, used.shape[0]
        self.first, self.last = nn.Linear(a, width, bias=False), nn.Linear(width, 2 * e, bias=False)
        self.first_context, self.last_context = nn.Linear(context, width), nn.Linear(context, 2 * e)
        self.seen, self.used = nn.Buffer(seen, persistent=False), nn.Buffer(used.repeat(2, 1), persistent=False)
        with torch.no_grad():
            for parameter in (*self.last.parameters(), *self.last_context.parameters()):
                parameter.mul_(START)

    def given(self, h: Float[Tensor, "B H"]) -> ConditionalAffine:
        """Return the affine map of z for these contexts."""
        return ConditionalAffine(
            self.seen * self.first.weight, self.used * self.last.weight, self.first_context(h), self.last_context(h)
        )


class ConditionalAffine:
    """The map of z to its affine transform, with the context's part of the network computed already."""

    def __init__(self, first: Tensor, last: Tensor, first_context: Tensor, last_context: Tensor) -> None:
        self.first, self.last, self.first_context, self.last_context = first, last, first_context, last_context

    def __call__(self, z: Float[Tensor, "*K B A"]) -> DependentTransform:
        hidden = nn.functional.leaky_relu(nn.functional.linear(z, self.first) + self.first_context, 0.01)
        shift, log_scale = (nn.functional.linear(hidden, self.last) + self.last_context).chunk(2, dim=-1)
        return DependentTransform(MonotonicAffineTransform(shift, log_scale), 1)


class FlowStep(nn.Module, ABC):
    """One flow."""

    net: ShiftAndScale

    @abstractmethod
    def forward(self, h: Float[Tensor, "B H"]) -> Bijection:
        """Return the map of z given the context."""
