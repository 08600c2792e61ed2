"""Posterior collapse: latent dimensions that carry nothing of the image.

It is judged by the means and the variances of an encoder's answers, which every family has.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

ACTIVE = 0.01
"""Variance over images of E_q[z_d] above which a dimension is active (Burda et al. 2016), in squared latent units."""


def moment_kl(mean: Float[Tensor, "N D"], variance: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Return KL(N(mean_d, variance_d) || N(0, 1)) of each image and dimension, in nats.

    It is the KL of q(z_d|x) where that is Gaussian, and a lower bound on it elsewhere; the sum over dimensions is the
    KL of a diagonal Gaussian q(z|x), and a lower bound on that of any other with the same means and variances.
    """
    return 0.5 * (variance + mean.square() - 1.0 - variance.log())


def activity(mean: Float[Tensor, "N D"]) -> Float[Tensor, " D"]:
    """Return Cov_x(E_q(z|x)[z_d]), the variance over images of each dimension's posterior mean (Burda et al. 2016)."""
    return mean.var(0, correction=0)


def collapse_report(mean: Float[Tensor, "N D"], variance: Float[Tensor, "N D"]) -> dict[str, Any]:
    """Return active dimensions, and how far the others' posteriors are from the prior, as JSON-ready data.

    'active_units': their count, of how many, and the variance over images of each dimension's posterior mean.
    'collapse': the share of dimensions that are not active, and the mean over images of each dimension's `moment_kl`.
    """
    moved = activity(mean)
    count, d = int((moved > ACTIVE).sum()), len(moved)
    return {
        "active_units": {"count": count, "of": d, "variance": moved.tolist()},
        "collapse": {"fraction": 1.0 - count / d, "moment_kl": moment_kl(mean, variance).mean(0).tolist()},
    }
