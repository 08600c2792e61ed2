"""The latent data set {y~, sigma~^2}: what an encoder says of each latent channel, read as Gaussian observations.

As N(z; y~, sigma~^2) = N(y~; z, sigma~^2), the encoder's q~(z|y) takes the place of the likelihood, and the posterior
of each channel is that of GP regression with heteroscedastic noise (Pearce 2020; Jazbec et al. 2021, eq. 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Marginals:
    """Marginal distributions N(mean, variance) of each latent channel at each of N inputs."""

    mean: Float[Tensor, "*batch D N"]
    variance: Float[Tensor, "*batch D N"]


@dataclass(frozen=True)
class PseudoObservations:
    """Observations y~ of D latent channels at N inputs, with the precisions 1 / sigma~^2 of their noise.

    A precision of 0 is that of an instance without an observation, such as a missing frame or the padding of a short
    video: it takes no part in posteriors and evidences.
    """

    mean: Float[Tensor, "*batch D N"]
    precision: Float[Tensor, "*batch D N"]

    @property
    def observed(self) -> Float[Tensor, "*batch D N"]:
        """Return 1 where there is an observation, else 0."""
        return (self.precision > 0).to(self.mean.dtype)

    @property
    def log_precision(self) -> Float[Tensor, "*batch D N"]:
        """Return log(1 / sigma~^2), and 0 where there is no observation."""
        return torch.where(self.precision > 0, self.precision, 1.0).log()

    def log_normaliser(self) -> Float[Tensor, "*batch D"]:
        """Return -1/2 sum_i log(2 pi sigma~_i^2) over the observations, in nats."""
        return 0.5 * (self.log_precision - math.log(2 * math.pi) * self.observed).sum(-1)

    def expected_log(self, q: Marginals) -> Float[Tensor, "*batch D N"]:
        """Return E_q log N(z_i; y~_i, sigma~_i^2) in nats, the cross-entropy of Prop. B.1; 0 without an observation."""
        # E (z - y~)^2 = (m - y~)^2 + v
        square = (q.mean - self.mean).square() + q.variance
        return 0.5 * (self.log_precision - math.log(2 * math.pi) * self.observed - self.precision * square)
