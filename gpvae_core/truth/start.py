"""Where chains of annealed importance sampling start: the best full Gaussian, made wider and mixed with the prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.truth.by_image import in_double
from gpvae_core.truth.noise import normal, uniform

WIDER = 1.1
"""The Gaussian's standard deviations are scaled by this: a start must be at least as wide as the posterior."""
PRIOR_SHARE = 0.3
"""Share of the chains that start in the prior: they find modes that the best Gaussian does not cover. Without them the
answer looks more precise than it is where there are several."""
MEAN_STEPS, STD_STEPS, SHAPE_STEPS = 8, 8, 64
"""Steps in a standard deviation of the start's mean, in a factor of 2 of its deviations, and in 1 of its shape."""


@dataclass(frozen=True)
class AnnealingStart:
    """q(z) = (1 - s) N(z; m, (w L)(w L)') + s N(z; 0, I) of B images, with s = PRIOR_SHARE and w = WIDER."""

    mean: Float[Tensor, "B D"]
    chol: Float[Tensor, "B D D"]

    def of(self, some: slice) -> AnnealingStart:
        """Return the start of some of the images."""
        return AnnealingStart(self.mean[some], self.chol[some])

    def draw(self, k: int, generators: Sequence[torch.Generator]) -> Float[Tensor, "K B D"]:
        """Draw K samples for each image with its own generator."""
        shape = (k, *self.mean.shape)
        eps, from_prior = (normal(shape, generators, self.mean) for _ in range(2))
        gaussian = self.mean + WIDER * (self.chol * eps[..., None, :]).sum(-1)  # z = m + w L eps
        return torch.where(uniform((*shape[:2], 1), generators, self.mean) < PRIOR_SHARE, from_prior, gaussian)

    def log_prob(self, z: Float[Tensor, "C B D"]) -> Float[Tensor, "C B"]:
        """Return log q(z) in nats, from float64: rounded to float32 it is the same beside whichever other images."""
        wide, mean, chol = in_double(z), in_double(self.mean), WIDER * in_double(self.chol)
        white = torch.linalg.solve_triangular(chol, (wide - mean).permute(1, 2, 0), upper=False)  # (B, D, C)
        log_det = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        gaussian = -0.5 * white.square().sum(1).T - log_det + math.log(1 - PRIOR_SHARE)
        prior = -0.5 * wide.square().sum(-1) + math.log(PRIOR_SHARE)
        return (torch.logaddexp(gaussian, prior) - 0.5 * z.shape[-1] * math.log(2 * math.pi)).to(z)


def rounded_start(mean: Float[Tensor, "B D"], chol: Float[Tensor, "B D D"]) -> AnnealingStart:
    """Return a start near N(mean, L L'), the same for all Gaussians that differ from it by rounding errors alone.

    NOTE: the best Gaussian of an image differs in its last bits with the batch that it was found in, and chains that
    start a bit apart end far apart. Where they start may be a little off: the estimate is valid from any start.
    """
    std = in_double(chol.diagonal(dim1=-2, dim2=-1))
    coarse = torch.exp2((STD_STEPS * std.log2()).round() / STD_STEPS)
    near = (MEAN_STEPS * in_double(mean) / coarse).round() / MEAN_STEPS * coarse
    # L = Diag(std) (I + lower), lower strictly lower triangular
    shape = (SHAPE_STEPS * in_double(chol) / std[..., None]).round() / SHAPE_STEPS
    return AnnealingStart(near.to(mean), (coarse[..., None] * shape).to(chol))
