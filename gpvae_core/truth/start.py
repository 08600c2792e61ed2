"""The density in which annealed chains start: the best full Gaussian, made wider and mixed with the prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.defensive_mixture import WIDENING
from gpvae_core.truth.by_image import in_double
from gpvae_core.truth.noise import normal, uniform

PRIOR_SHARE = 0.3
"""Share of the chains that start in the prior, to reach modes that the best Gaussian does not cover. Without them the
estimate of a posterior with several modes looks more precise than it is."""
MEAN_STEPS, STD_STEPS, SHAPE_STEPS = 8, 8, 64
"""Rounding of the start: steps within one standard deviation (means), within a factor of 2 (standard deviations), and
within 1 (entries of the unit-diagonal factor)."""


@dataclass(frozen=True)
class AnnealingStart:
    """q(z) = (1 - s) N(z; m, (w L)(w L)') + s N(z; m_0, Diag(s_0)^2) of B images, with s = PRIOR_SHARE, w = WIDENING.

    m_0 and s_0 are the mean and the standard deviations of the prior p(z).
    """

    mean: Float[Tensor, "B D"]
    chol: Float[Tensor, "B D D"]
    prior_mean: Float[Tensor, "B D"]
    prior_std: Float[Tensor, "B D"]

    def rows(self, index: slice) -> AnnealingStart:
        """Return the start of some of the images."""
        return AnnealingStart(self.mean[index], self.chol[index], self.prior_mean[index], self.prior_std[index])

    def draw(self, k: int, generators: Sequence[torch.Generator]) -> Float[Tensor, "K B D"]:
        """Draw K samples for each image with its own generator."""
        shape = (k, *self.mean.shape)
        eps, prior_eps = (normal(shape, generators, self.mean) for _ in range(2))
        gaussian = self.mean + WIDENING * (self.chol * eps[..., None, :]).sum(-1)  # z = m + w L eps
        from_prior = self.prior_mean + self.prior_std * prior_eps
        return torch.where(uniform((*shape[:2], 1), generators, self.mean) < PRIOR_SHARE, from_prior, gaussian)

    def log_prob(self, z: Float[Tensor, "C B D"]) -> Float[Tensor, "C B"]:
        """Return log q(z) in nats, computed in float64 so that its rounding does not depend on the batch."""
        exact, mean, chol = in_double(z), in_double(self.mean), WIDENING * in_double(self.chol)
        eps = torch.linalg.solve_triangular(chol, (exact - mean).permute(1, 2, 0), upper=False)  # (B, D, C)
        log_det = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        # log N without its constant -D/2 log(2 pi), which both components have
        gaussian = -0.5 * eps.square().sum(1).T - log_det + math.log(1 - PRIOR_SHARE)
        prior_std = in_double(self.prior_std)
        prior_eps = (exact - in_double(self.prior_mean)) / prior_std
        prior = -0.5 * prior_eps.square().sum(-1) - prior_std.log().sum(-1) + math.log(PRIOR_SHARE)
        return (torch.logaddexp(gaussian, prior) - 0.5 * z.shape[-1] * math.log(2 * math.pi)).to(z)


def rounded_start(mean: Float[Tensor, "B D"], chol: Float[Tensor, "B D D"], prior: Posterior) -> AnnealingStart:
    """Return a start near N(mean, L L') that is the same for Gaussians which differ by rounding errors alone.

    NOTE: the last bits of an image's best Gaussian depend on the batch in which it was computed, and chains whose
    starts differ by a bit end far apart. The start may be rounded, as the estimate is valid from any start.
    """
    std = in_double(chol.diagonal(dim1=-2, dim2=-1))
    # 2^(n / STD_STEPS) for standard deviations, multiples of std / MEAN_STEPS for means
    rounded_std = torch.exp2((STD_STEPS * std.log2()).round() / STD_STEPS)
    rounded_mean = (MEAN_STEPS * in_double(mean) / rounded_std).round() / MEAN_STEPS * rounded_std
    # L = Diag(std) (I + lower), lower strictly lower triangular
    shape = (SHAPE_STEPS * in_double(chol) / std[..., None]).round() / SHAPE_STEPS
    rounded_chol = (rounded_std[..., None] * shape).to(chol)
    return AnnealingStart(rounded_mean.to(mean), rounded_chol, prior.mean.to(mean), prior.variance.sqrt().to(mean))
