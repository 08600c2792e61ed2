"""Measures of posterior collapse, the state in which latent dimensions carry no information about the image.

They need only the means and variances of q(z|x), which every family has.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior

ACTIVE = 0.01
"""Variance over images of E_q[z_d] above which a dimension is active (Burda et al. 2016), in squared latent units."""


def moment_kl(mean: Float[Tensor, "N D"], variance: Float[Tensor, "N D"], prior: Posterior) -> Float[Tensor, "N D"]:
    """Return KL(N(mean_d, variance_d) || N(m_d, s_d^2)) of each image and dimension, in nats.

    m_d and s_d^2 are the mean and the variance of the `prior`. If it is a diagonal Gaussian, this is the KL of q(z_d|x)
    for a Gaussian q, else a lower bound of it; and the sum over dimensions is the KL of a diagonal Gaussian q(z|x), and
    a lower bound of the KL of any other density with the same means and variances.
    """
    square, ratio = (mean - prior.mean).square() / prior.variance, variance / prior.variance
    return 0.5 * (ratio + square - 1.0 - ratio.log())


def activity(mean: Float[Tensor, "N D"]) -> Float[Tensor, " D"]:
    """Return Cov_x(E_q(z|x)[z_d]), the variance over images of each dimension's posterior mean (Burda et al. 2016)."""
    return mean.var(0, correction=0)
