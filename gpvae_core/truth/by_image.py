"""log p(x, z) of many chains of several images, rounded for an image in the same way whichever others are beside it.

A chain of HMC magnifies a difference in the last bit until a proposal is accepted here and rejected there. Where an
image's log p(x) must not depend on the batch that it is asked in, not even that bit may differ.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.vae import GenerativeModel

TILE = 8
"""Rows that products of matrices compute together; each image has whole tiles of its own."""


def in_double(values: Tensor) -> Tensor:
    """Return the values in float64, on a device that has it.

    NOTE: exp and log round the last elements of a tensor, which do not fill a vector of the processor, in another way.
    From float64 the result in float32 is the same all the same.
    """
    return values if values.device.type == "mps" else values.double()


def log_joint_by_image(model: GenerativeModel, x: Float[Tensor, "B C H W"]) -> Callable[[Tensor], Tensor]:
    """Return z (C, B, D) -> log p(x, z) (C, B) in nats."""

    def log_joint(z: Float[Tensor, "C B D"]) -> Float[Tensor, "C B"]:
        # NOTE: a library for products of matrices rounds a row by where in its tile the row stands, and by whether the
        # tile is full. So the chains of an image stand together, C rounded up to whole tiles: row c of any image then
        # always has the same place.
        chains = len(z)
        padded = torch.nn.functional.pad(z.transpose(0, 1), (0, 0, 0, -chains % TILE))
        g = model.decode(padded)
        value = model.likelihood.log_prob(x[:, None], g) + model.log_prior(padded)
        return value[:, :chains].T

    return log_joint
