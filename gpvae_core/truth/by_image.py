"""log p(x|z) of many latents of several images, rounded for an image in the same way whichever others are beside it.

A chain of HMC magnifies a difference in the last bit until a proposal is accepted here and rejected there, and an
ascent until a window of steps gains enough here and too little there. Where an image's log p(x) must not depend on the
batch that it is asked in, not even that bit may differ.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.vae import VAE, GenerativeModel

TILE = 4
"""Rows that products of matrices compute together; each image has whole tiles of its own."""


def in_double(values: Tensor) -> Tensor:
    """Return the values in float64, on a device that has it.

    NOTE: exp and log round the last elements of a tensor, which do not fill a vector of the processor, in another way.
    From float64 the result in float32 is the same all the same.
    """
    return values if values.device.type == "mps" else values.double()


def in_whole_tiles(z: Float[Tensor, "K B D"]) -> Float[Tensor, "B T D"]:
    """Return the latents of each image side by side, K rounded up to whole tiles.

    NOTE: a library for products of matrices rounds a row by where in its tile the row stands, and by whether the tile
    is full. In whole tiles row k of any image always has the same place.
    """
    side_by_side, missing = z.transpose(0, 1), -len(z) % TILE
    return torch.nn.functional.pad(side_by_side, (0, 0, 0, missing)) if missing else side_by_side


def log_joint_by_image(model: GenerativeModel, x: Float[Tensor, "B C H W"]) -> Callable[[Tensor], Tensor]:
    """Return z (C, B, D) -> log p(x, z) (C, B) in nats."""

    def log_joint(z: Float[Tensor, "C B D"]) -> Float[Tensor, "C B"]:
        tiles = in_whole_tiles(z)
        value = model.likelihood.log_prob(x[:, None], model.decode(tiles)) + model.log_prior(tiles)
        return value[:, : len(z)].T

    return log_joint


class ElboByImage:
    """The two terms of a model's ELBO, in float64 but for the decoder."""

    def __init__(self, model: GenerativeModel) -> None:
        self._model = model

    def log_likelihood(self, x: Float[Tensor, "B C H W"], z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """Return log p(x|z) in nats."""
        g = self._model.decode(in_whole_tiles(z.to(x)))
        return in_double(self._model.likelihood.log_prob(x[:, None], g)[:, : len(z)].T)

    def kl(self, x: Float[Tensor, "B C H W"], q: Posterior) -> Float[Tensor, " B"]:
        """Return KL(q || p(z)) in nats."""
        return self._model.kl(in_double(x), q)


@torch.no_grad()
def inferred_one_by_one(vae: VAE, x: Float[Tensor, "B C H W"]) -> list[Posterior]:
    """Return q(z|x) of each image, found without the others."""
    return [vae.infer(one) for one in x.split(1)]
