"""Posteriors over training indices: MAPA's, without any model, and the empiricalized model's (Yacoby et al. 2024).

Eq. 7: p(i|n) = p(x_n | z_i) / sum_j p(x_n | z_j). Eq. 8: q(i|n) = k(x_n | x_i) / sum_j k(x_n | x_j). The kernel is
Gaussian: k(x | x_i) = N(x; x_i, bandwidth^2 I); its bandwidth is a scale in pixel units, as sigma_x is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gpvae_core.device import decodes_at_once
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import LikelihoodTable
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import GenerativeModel

TRAIN_CHUNK, QUERY_CHUNK = 8192, 128
MAX_VALIDATION = 512
"""Validation images, evenly spaced, on which a bandwidth is chosen: one number needs no more."""
CANDIDATE_RATIO, MAX_CANDIDATES, SMALLEST = 1.1, 32, 1e-3
"""Of the bandwidths tried where none are given: ratio of one to the next, number, and least value."""


def _check_bandwidth(bandwidth: float) -> None:
    if not (bandwidth > 0 and math.isfinite(bandwidth)):
        raise UserError(f"wanted a kernel bandwidth above 0 (a scale in pixel units, as sigma_x), got {bandwidth:g}")


def _check_pixels(x_train: Tensor, x: Tensor) -> None:
    if x_train.shape[1] != x.shape[1]:
        raise UserError(
            f"wanted images of {x_train.shape[1]} pixels as in training, got {x.shape[1]}; is it another data set?"
        )
    if len(x_train) == 0:
        raise UserError("wanted training images for the kernel, got none; is the training split empty?")


@torch.no_grad()
def squared_distances(x_train: Float[Tensor, "N P"], x: Float[Tensor, "B P"]) -> Float64[Tensor, "B N"]:
    """|x_b - x_i|^2 in float64 on the CPU: |x-c|^2 - 2 (x-c)'(x_i-c) + |x_i-c|^2 around the training mean c.

    Works through the training images in chunks, so that no second copy of them is made.
    """
    c = x_train.mean(0)
    centred = x.to(c) - c
    found = torch.empty(len(x), len(x_train), dtype=torch.float64)
    for start in range(0, len(x_train), TRAIN_CHUNK):
        part = x_train[start : start + TRAIN_CHUNK] - c
        cross = (centred @ part.T).cpu().double()
        found[:, start : start + len(part)] = torch.linalg.vector_norm(part, dim=1).cpu().double() ** 2 - 2.0 * cross
    return (found + centred.cpu().double().square().sum(1, keepdim=True)).clamp_min(0.0)


@torch.no_grad()
def mapa(x_train: Float[Tensor, "N P"], x: Float[Tensor, "B Q"], bandwidth: float) -> Float64[Tensor, "B N"]:
    """log q(i|n) of eq. 8 in nats, for each image (of Q = P pixels) over the training images; float64 on the CPU.

    Raises:
        UserError: a bandwidth that is not positive, or images with another number of pixels.
    """
    _check_bandwidth(bandwidth)
    _check_pixels(x_train, x)
    return torch.log_softmax(-0.5 * squared_distances(x_train, x) / bandwidth**2, dim=1)


@torch.no_grad()
def log_density(
    x_train: Float[Tensor, "N P"],
    x: Float[Tensor, "B P"],
    bandwidths: Sequence[float],
    progress: Progress = silent,
) -> Float64[Tensor, "S B"]:
    """log 1/N sum_i k(x|x_i) in nats of each image, for each of S bandwidths."""
    for bandwidth in bandwidths:
        _check_bandwidth(bandwidth)
    _check_pixels(x_train, x)
    parts = []
    for start in range(0, len(x), QUERY_CHUNK):
        progress(start, len(x), "choosing the kernel's bandwidth")
        square = squared_distances(x_train, x[start : start + QUERY_CHUNK])
        nearest = square.min(dim=1, keepdim=True).values
        # Relative to the largest term float32 is exact enough, and several times faster.
        rest = (square - nearest).float()
        sums = [(rest * (-0.5 / s**2)).exp_().sum(1).double().log() - 0.5 * nearest[:, 0] / s**2 for s in bandwidths]
        parts.append(torch.stack(sums))
    progress(len(x), len(x), "choosing the kernel's bandwidth")
    constants = [-x.shape[1] * (math.log(s) + 0.5 * math.log(2 * math.pi)) - math.log(len(x_train)) for s in bandwidths]
    return torch.cat(parts, dim=1) + torch.tensor(constants, dtype=torch.float64)[:, None]


def choose_bandwidth(
    x_train: Float[Tensor, "N P"],
    x_validation: Float[Tensor, "V Q"],
    candidates: Sequence[float] | None = None,
    progress: Progress = silent,
) -> float:
    """The candidate with the largest mean log 1/N sum_i k(x|x_i) over (at most MAX_VALIDATION) validation images.

    Args:
        candidates: bandwidths to try; without them the range in which the best one lies.

    Raises:
        UserError: no validation images or of another number of pixels, no candidates, or one that is not positive.
    """
    if len(x_validation) == 0:
        raise UserError("wanted validation images to choose the kernel's bandwidth on, got none")
    _check_pixels(x_train, x_validation)
    x_validation = x_validation[:: -(-len(x_validation) // MAX_VALIDATION)]
    tried = _default_candidates(x_train, x_validation) if candidates is None else list(candidates)
    if not tried:
        raise UserError("wanted at least one bandwidth to choose from, got none")
    return tried[int(log_density(x_train, x_validation, tried, progress).mean(1).argmax())]


def _default_candidates(x_train: Float[Tensor, "N P"], x_validation: Float[Tensor, "V P"]) -> list[float]:
    """Bandwidths from the root-mean-square pixel distance to the nearest training image to that to all of them.

    At the best bandwidth s^2 is the mean of |x - x_i|^2 / P over q(i|n), the derivative's root, and so between the two.
    """
    square = squared_distances(x_train, x_validation[:: -(-len(x_validation) // QUERY_CHUNK)]) / x_train.shape[1]
    # A sample of the images has given the range, so a step more on either side.
    low = max(math.sqrt(float(square.min(1).values.mean())), SMALLEST) / CANDIDATE_RATIO
    high = max(math.sqrt(float(square.mean())), low) * CANDIDATE_RATIO
    n = min(math.ceil(math.log(high / low) / math.log(CANDIDATE_RATIO)) + 1, MAX_CANDIDATES)
    return torch.logspace(math.log10(low), math.log10(high), n, dtype=torch.float64).tolist()


@dataclass(frozen=True)
class EmpiricalModel:
    """The empiricalized model of eq. 6: the prior is uniform over N codes, decoded once; an image costs one product."""

    table: LikelihoodTable

    @classmethod
    @torch.no_grad()
    def build(cls, vae: GenerativeModel, codes: Float[Tensor, "N D"], progress: Progress = silent) -> EmpiricalModel:
        """Decode the codes, with the model as it is now."""
        if codes.shape[1] != vae.latent_dim or len(codes) == 0:
            raise UserError(f"wanted codes of shape (N, {vae.latent_dim}) with N > 0, got {tuple(codes.shape)}")
        points = codes.to(next(vae.decoder.parameters()))
        g = torch.empty(len(codes), *vae.event_shape, dtype=points.dtype, device=points.device)
        chunk = decodes_at_once(points.device)
        for start in range(0, len(codes), chunk):
            progress(start, len(codes), "decoding the training codes")
            g[start : start + chunk] = vae.decode(points[start : start + chunk])
        progress(len(codes), len(codes), "decoding the training codes")
        return cls(vae.likelihood.grid_table(g))

    @torch.no_grad()
    def log_index_posterior(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, "B N"]:
        """log p(i|n) of eq. 7 in nats; float64 on the CPU."""
        return torch.log_softmax(self.table.log_prob(x), dim=1)


def index_posterior(
    vae: GenerativeModel, codes: Float[Tensor, "N D"], x: Float[Tensor, "B C H W"]
) -> Float64[Tensor, "B N"]:
    """log p(i|n) of eq. 7 with z_i = codes, in nats. For many images, keep an `EmpiricalModel`."""
    return EmpiricalModel.build(vae, codes).log_index_posterior(x)
