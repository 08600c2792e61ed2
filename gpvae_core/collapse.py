"""Measures of posterior collapse, the state in which latent dimensions carry no information about the image.

They need only the means and variances of q(z|x), which every family has.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

ACTIVE = 0.01
"""Variance over images of E_q[z_d] above which a dimension is active (Burda et al. 2016), in squared latent units."""


def moment_kl(mean: Float[Tensor, "N D"], variance: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Return KL(N(mean_d, variance_d) || N(0, 1)) of each image and dimension, in nats.

    It is the KL of q(z_d|x) if that is Gaussian, else a lower bound of it. The sum over dimensions is the KL of a
    diagonal Gaussian q(z|x), and a lower bound of the KL of any other density with the same means and variances.
    """
    return 0.5 * (variance + mean.square() - 1.0 - variance.log())


def activity(mean: Float[Tensor, "N D"]) -> Float[Tensor, " D"]:
    """Return Cov_x(E_q(z|x)[z_d]), the variance over images of each dimension's posterior mean (Burda et al. 2016)."""
    return mean.var(0, correction=0)
