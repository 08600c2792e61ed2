"""One affine flow z -> sigma(z, h) z + mu(z, h): a network and the zuko transform that it parametrises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from zuko.transforms import AutoregressiveTransform, CouplingTransform, DependentTransform, MonotonicAffineTransform

Bijection: TypeAlias = AutoregressiveTransform | CouplingTransform
START = 0.01
"""Factor of the last layer's initial weights, with which each flow starts near the identity."""


class ShiftAndScale(nn.Module):
    """Network (z, h) -> mu and log sigma, with one hidden layer whose connections to z are masked.

    Args:
        input_mask: (W, A) which of A inputs each of W hidden units sees.
        output_mask: (E, W) which hidden units each of E outputs sees.
        context: size of h.

    The terms of h in both layers are computed once for each image, for all of its samples z. zuko's affine transform
    keeps sigma within (1e-3, 1e3).
    """

    def __init__(self, input_mask: Bool[Tensor, "W A"], output_mask: Bool[Tensor, "E W"], context: int) -> None:
        super().__init__()
        (width, a), e = input_mask.shape, output_mask.shape[0]
        self.first, self.last = nn.Linear(a, width, bias=False), nn.Linear(width, 2 * e, bias=False)
        self.first_context, self.last_context = nn.Linear(context, width), nn.Linear(context, 2 * e)
        self.input_mask = nn.Buffer(input_mask, persistent=False)
        self.output_mask = nn.Buffer(output_mask.repeat(2, 1), persistent=False)  # for mu and for log sigma
        with torch.no_grad():
            for parameter in (*self.last.parameters(), *self.last_context.parameters()):
                parameter.mul_(START)

    def conditioned_on(self, h: Float[Tensor, "B H"]) -> ConditionalAffine:
        """Return the function z -> affine transform for these contexts."""
        return ConditionalAffine(
            self.input_mask * self.first.weight,
            self.output_mask * self.last.weight,
            self.first_context(h),
            self.last_context(h),
        )


class ConditionalAffine:
    """Function z -> affine transform, with the context's terms of the network already computed."""

    def __init__(self, first: Tensor, last: Tensor, first_context: Tensor, last_context: Tensor) -> None:
        self.first, self.last, self.first_context, self.last_context = first, last, first_context, last_context

    def __call__(self, z: Float[Tensor, "*K B A"]) -> DependentTransform:
        hidden = nn.functional.leaky_relu(nn.functional.linear(z, self.first) + self.first_context, 0.01)
        shift, log_scale = (nn.functional.linear(hidden, self.last) + self.last_context).chunk(2, dim=-1)
        return DependentTransform(MonotonicAffineTransform(shift, log_scale), 1)


class FlowStep(nn.Module, ABC):
    """One step of a flow, an invertible map of z for each context."""

    net: ShiftAndScale

    @abstractmethod
    def forward(self, h: Float[Tensor, "B H"]) -> Bijection:
        """Return the map of z given the context h."""
