"""What the convolutional stacks of Jazbec et al. 2021 have in common."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class DoublingConvolution(nn.Conv2d):
    """A convolution 3x3 of a map that is doubled by nearest neighbours first, computed without the doubled map.

    A pixel of the doubled map's convolution sees 2x2 pixels of the map, each by the sum of the weights that fall on it:
    all is one transposed convolution of stride 2, whose kernel is spread 4x4 from the 3x3 one. It takes a third of the
    time.
    """

    def __init__(self, c_in: int, c_out: int, *, padding: int) -> None:
        super().__init__(c_in, c_out, kernel_size=3)
        self._crop = 2 - padding
        spread = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
        self._spread = nn.Buffer(spread, persistent=False)

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E doubled_H doubled_W"]:
        kernel = torch.einsum("ik,eckl,jl->ceij", self._spread, self.weight, self._spread)
        return nn.functional.conv_transpose2d(input, kernel, self.bias, stride=2, padding=self._crop)


def glorot(stack: nn.Sequential) -> nn.Sequential:
    """Return the stack with Glorot's uniform weights and zero biases."""
    for layer in stack:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return stack
