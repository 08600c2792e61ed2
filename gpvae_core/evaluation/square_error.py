"""The mean square error of the pixels of images."""

from __future__ import annotations

from jaxtyping import Float
from numpy import ndarray
from torch import Tensor


def square_error(x: Float[Tensor, "B C H W"], shown: Float[Tensor, "B C H W"]) -> Float[ndarray, " B"]:
    """Return the mean square error of each image's pixels."""
    return (x - shown).square().flatten(1).mean(1).cpu().double().numpy()
