"""log p(x|z) of many latents of several images, rounded for each image alike whatever the others in its batch.

Chains of HMC amplify a difference in the last bit until a proposal is accepted in one batch and rejected in another; so
does gradient ascent with a stopping rule. Where an image's log p(x) must not depend on its batch, not even the last bit
may differ.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.vae import VAE, GenerativeModel

TILE = 4
"""Number of rows that a matrix product computes together; the latents of each image fill whole tiles."""


def in_double(values: Tensor) -> Tensor:
    """Return the values in float64; unchanged on a device without float64 (MPS).

    NOTE: exp and log round the last elements of a tensor, which do not fill a SIMD vector, differently from the others.
    Computed in float64, the result is the same once it is rounded to float32.
    """
    return values if values.device.type == "mps" else values.double()


def in_whole_tiles(z: Float[Tensor, "K B D"]) -> Float[Tensor, "B T D"]:
    """Return the latents image by image, padded with zeros to T latents each, the next multiple of TILE.

    NOTE: BLAS rounds a row depending on its position in a tile of rows and on whether the tile is full. With whole
    tiles row k of any image is always at the same position.
    """
    image_by_image, missing = z.transpose(0, 1), -len(z) % TILE
    return torch.nn.functional.pad(image_by_image, (0, 0, 0, missing)) if missing else image_by_image


def log_joint_by_image(model: GenerativeModel, x: Float[Tensor, "B C H W"]) -> Callable[[Tensor], Tensor]:
    """Return the function z (C, B, D) -> log p(x, z) (C, B) in nats, with batch-independent rounding."""

    def log_joint(z: Float[Tensor, "C B D"]) -> Float[Tensor, "C B"]:
        tiles = in_whole_tiles(z)
        value = model.likelihood.log_prob(x[:, None], model.decode(tiles)) + model.log_prior(tiles)
        return value[:, : len(z)].T

    return log_joint


class ElboByImage:
    """The two terms of a model's ELBO with batch-independent rounding; all but the decoder runs in float64."""

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
def infer_each(vae: VAE, x: Float[Tensor, "B C H W"]) -> list[Posterior]:
    """Return q(z|x) of each image, inferred in a batch of its own."""
    return [vae.infer(image) for image in x.split(1)]
