"""Dense MAPA with a Gaussian kernel over all training images, and the choice of its bandwidth (Yacoby et al. 2024).

Eq. 8: q(i|n) = k(x_n | x_i) / sum_j k(x_n | x_j) with k(x | x_i) = N(x; x_i, bandwidth^2 I). The bandwidth is a
standard deviation in pixel units, as sigma_x is. For many images see `neighbours`, which stores only the nearest ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.distances import squared_distances
from gpvae_core.mapa.ranges import check_bandwidth
from gpvae_core.progress import Progress, silent

QUERY_CHUNK = 128
"""Number of images compared with all training images in one batch."""
MAX_VALIDATION = 512
"""Largest number of validation images, evenly spaced, with which a bandwidth is chosen; a scalar needs no more."""
CANDIDATE_RATIO, MAX_CANDIDATES, SMALLEST = 1.1, 32, 1e-3
"""Grid of default bandwidths: ratio of neighbouring values, largest number of values, and smallest value."""


def _check_pixels(x_train: Tensor, x: Tensor) -> None:
    if x_train.shape[1] != x.shape[1]:
        raise UserError(
            f"wanted images of {x_train.shape[1]} pixels as in training, got {x.shape[1]}; is it another data set?"
        )
    if len(x_train) == 0:
        raise UserError("wanted training images for the kernel, got none; is the training split empty?")


@torch.no_grad()
def mapa(x_train: Float[Tensor, "N P"], x: Float[Tensor, "B Q"], bandwidth: float) -> Float64[Tensor, "B N"]:
    """Return log q(i|n) of eq. 8 for each image over the training images, in nats; Q = P pixels, float64 on the CPU.

    Raises:
        UserError: the bandwidth is not positive, or the images have another number of pixels.
    """
    check_bandwidth(bandwidth)
    _check_pixels(x_train, x)
    return torch.log_softmax(-0.5 * squared_distances(x_train, x) / bandwidth**2, dim=1)


@torch.no_grad()
def log_density(
    x_train: Float[Tensor, "N P"],
    x: Float[Tensor, "B P"],
    bandwidths: Sequence[float],
    progress: Progress = silent,
) -> Float64[Tensor, "S B"]:
    """Return the kernel density log 1/N sum_i k(x|x_i) of each image, in nats, for each of S bandwidths."""
    for bandwidth in bandwidths:
        check_bandwidth(bandwidth)
    _check_pixels(x_train, x)
    parts = []
    for start in range(0, len(x), QUERY_CHUNK):
        progress(start, len(x), "choosing the kernel's bandwidth")
        square = squared_distances(x_train, x[start : start + QUERY_CHUNK])
        nearest = square.min(dim=1, keepdim=True).values
        # log-sum-exp: log sum_i exp(-d_i / 2s^2) = log sum_i exp(-(d_i - d_min) / 2s^2) - d_min / 2s^2
        # NOTE: relative to the largest term float32 is accurate enough, and several times faster.
        excess = (square - nearest).float()
        sums = [(excess * (-0.5 / s**2)).exp_().sum(1).double().log() - 0.5 * nearest[:, 0] / s**2 for s in bandwidths]
        parts.append(torch.stack(sums))
    progress(len(x), len(x), "choosing the kernel's bandwidth")
    # normalizer of N(x; x_i, s^2 I) and the 1/N of the mean
    constants = [-x.shape[1] * (math.log(s) + 0.5 * math.log(2 * math.pi)) - math.log(len(x_train)) for s in bandwidths]
    return torch.cat(parts, dim=1) + torch.tensor(constants, dtype=torch.float64)[:, None]


def choose_bandwidth(
    x_train: Float[Tensor, "N P"],
    x_validation: Float[Tensor, "V Q"],
    candidates: Sequence[float] | None = None,
    progress: Progress = silent,
) -> float:
    """Return the bandwidth with the highest mean kernel density of at most MAX_VALIDATION validation images.

    Args:
        candidates: bandwidths to compare; by default a grid over the range that contains the optimum.

    Raises:
        UserError: there are no validation images, they have another number of pixels, there are no candidates, or one
            is not positive.
    """
    if len(x_validation) == 0:
        raise UserError("wanted validation images to choose the kernel's bandwidth on, got none")
    _check_pixels(x_train, x_validation)
    x_validation = x_validation[:: -(-len(x_validation) // MAX_VALIDATION)]
    bandwidths = _default_candidates(x_train, x_validation) if candidates is None else list(candidates)
    if not bandwidths:
        raise UserError("wanted at least one bandwidth to choose from, got none")
    return bandwidths[int(log_density(x_train, x_validation, bandwidths, progress).mean(1).argmax())]


def _default_candidates(x_train: Float[Tensor, "N P"], x_validation: Float[Tensor, "V P"]) -> list[float]:
    """Return a grid of bandwidths between the RMS pixel distance to the nearest and that to all training images."""
    # The derivative of the mean log density in s vanishes where s^2 = mean of |x - x_i|^2 / P under q(i|n). That is a
    # weighted mean of squared distances, and therefore between their minimum and their plain mean.
    square = squared_distances(x_train, x_validation[:: -(-len(x_validation) // QUERY_CHUNK)]) / x_train.shape[1]
    # The range comes from a sample of the images, so extend it by one step on either side.
    low = max(math.sqrt(float(square.min(1).values.mean())), SMALLEST) / CANDIDATE_RATIO
    high = max(math.sqrt(float(square.mean())), low) * CANDIDATE_RATIO
    n = min(math.ceil(math.log(high / low) / math.log(CANDIDATE_RATIO)) + 1, MAX_CANDIDATES)
    return torch.logspace(math.log10(low), math.log10(high), n, dtype=torch.float64).tolist()
