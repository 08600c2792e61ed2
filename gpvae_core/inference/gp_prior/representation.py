"""Vectors of categories from their images, so that unseen ones have one too (Jazbec et al. 2021, A.3, Table A.4)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from gpvae_core.types import EventShape

KERNEL, LAYERS = 2, 3
"""Side and stride of a filter, and number of convolutions."""


class Halving(nn.Conv2d):
    """A convolution of stride 2 that gives ceil(H / 2) x ceil(W / 2) places: odd sides are padded by a zero."""

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E half_H half_W"]:
        height, width = input.shape[-2:]
        return super().forward(nn.functional.pad(input, (0, width % KERNEL, 0, height % KERNEL)))


class Representation(nn.Module):
    """The representation network r_zeta: a category's vector is the mean of r_zeta(y) over images y of it.

    Three convolutions 2x2 of stride 2 with ELU, and the mean over all places (Table A.4). The paper says that f sums
    the images' representations, and its code averages them; the mean does not depend on the number of images.
    """

    def __init__(self, event_shape: EventShape, size: int, categories: int, most: int, pretrained: bool) -> None:
        """Build the network.

        Args:
            size: length of a vector.
            categories: number of categories.
            most: number of images from which the vector of a category without training images is found.
            pretrained: whether the network is trained alone first, before the approximation's start can be placed.
        """
        super().__init__()
        self.most = most
        self.pretraining = False
        """Whether the network is trained to classify images, in the stage before the others."""
        self.placed = nn.Buffer(torch.tensor(0.0 if pretrained else 1.0, dtype=torch.float64))
        """Whether the inducing points need not be placed again, at vectors that the pretrained network finds."""
        layers: list[nn.Module] = []
        for c_in in (event_shape[0], size, size):
            layers += [Halving(c_in, size, KERNEL, stride=KERNEL), nn.ELU()]
        self.network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(size, categories)
        """Which category an image is of, by its representation: what the network is trained on at first."""

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B E"]:
        """Return r_zeta(y) of each image."""
        return self.network(x)

    def log_prob(self, x: Float[Tensor, "B C H W"], codes: Int64[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Return the log probability of each image's own category under the classifier, in nats."""
        return -nn.functional.cross_entropy(self.classifier(self(x)), codes, reduction="none")


class PooledVectors:
    """Sums of representations by category, to which images are added in pieces."""

    def __init__(self, categories: int, size: int, device: torch.device) -> None:
        self._sums = torch.zeros(categories, size, dtype=torch.float64, device=device)
        self._counts = torch.zeros(categories, dtype=torch.float64, device=device)

    def add(self, representations: Float[Tensor, "B E"], codes: Int64[Tensor, " B"]) -> None:
        """Add the representations of images of these categories."""
        self._sums = self._sums.index_add(0, codes, representations.double())
        self._counts = self._counts.index_add(0, codes, torch.ones_like(codes, dtype=torch.float64))

    @property
    def known(self) -> Bool[Tensor, " categories"]:
        """Return which categories have an image."""
        return self._counts > 0

    def vectors(self) -> Float[Tensor, "categories E"]:
        """Return the mean representation of each category; zero for one without an image."""
        return self._sums / self._counts.clamp_min(1.0)[:, None]


def context(codes: Int64[Tensor, " N"], most: int) -> Bool[Tensor, " N"]:
    """Return which images are among the first `most` of their category, in the order in which they are stored."""
    order = torch.argsort(codes, stable=True)
    _, sizes = torch.unique_consecutive(codes[order], return_counts=True)
    starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    place = torch.arange(len(codes), device=codes.device) - starts
    return torch.empty_like(codes, dtype=torch.bool).index_copy(0, order, place < most)
