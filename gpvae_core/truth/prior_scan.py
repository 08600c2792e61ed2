"""log p(x|z) of images at samples of the prior: starts for an ascent, and a plain estimate of log p(x) beside others.

The samples are common to all images and are decoded once. Each image is scored by itself, so that its values do not
depend on its batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from gpvae_core.device import decodes_at_once
from gpvae_core.truth.pareto import log_mean_error
from gpvae_core.vae import GenerativeModel

PRIOR_SAMPLES = 2048
"""Number of samples of the prior."""
NEIGHBOURS = 8
"""A sample is a peak if log p(x, z) is larger there than at this many of its nearest neighbours."""


@dataclass(frozen=True)
class PriorScan:
    """P samples z of the prior, with log p(x|z) of B images at each of them in nats; float64 on the CPU."""

    z: Float64[Tensor, "P D"]
    log_prior: Float64[Tensor, " P"]
    log_likelihood: Float64[Tensor, "P B"]

    @staticmethod
    @torch.no_grad()
    def of(model: GenerativeModel, x: Float[Tensor, "B C H W"], seed: int, samples: int = PRIOR_SAMPLES) -> PriorScan:
        """Draw the samples, decode them and score each image at all of them."""
        generator = torch.Generator().manual_seed(seed)
        z = model.prior(torch.empty(1)).rsample_and_log_prob(samples, generator)[0].to(x)
        parts = []
        for part in z.split(decodes_at_once(x.device)):
            table = model.likelihood.grid_table(model.decode(part)[:, 0])
            # NOTE: one image at a time, as the rounding of a product depends on how many there are.
            parts.append(torch.cat([table.log_prob(image) for image in x.split(1)]).T)
        exact = z[:, 0].cpu().double()
        return PriorScan(exact, model.log_prior(exact), torch.cat(parts))

    @property
    def log_px(self) -> Float64[Tensor, " B"]:
        """log 1/P sum_i p(x|z_i) in nats, a lower bound of log p(x) in expectation; loose where d is not small."""
        return self.log_likelihood.logsumexp(0) - math.log(len(self.z))

    @property
    def se(self) -> Float64[Tensor, " B"]:
        """Standard error of log_px in nats (`log_mean_error`); near 1 where one sample has most of the weight."""
        return log_mean_error(self.log_likelihood)

    @cached_property
    def _neighbours(self) -> Int[Tensor, "P K"]:
        """Indices of the nearest neighbours of each sample, without itself."""
        count = min(NEIGHBOURS + 1, len(self.z))
        return torch.cdist(self.z, self.z).topk(count, largest=False).indices[:, 1:]

    def peaks(self, image: int, count: int) -> Float64[Tensor, "J D"]:
        """Return the at most `count` highest peaks of log p(x, z) among the samples, for one image."""
        log_joint = self.log_likelihood[:, image] + self.log_prior
        highest_nearby = log_joint[self._neighbours].amax(1)
        order = torch.where(log_joint > highest_nearby, log_joint, -math.inf).argsort(descending=True, stable=True)
        peaks = order[: max(1, int((log_joint > highest_nearby).sum()))]
        return self.z[peaks[:count]]
