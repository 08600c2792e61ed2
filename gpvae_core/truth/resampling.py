"""Approximate samples of p(z|x) of one image for any latent dimension, by sampling-importance-resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.device import decodes_at_once
from gpvae_core.truth.evidence import Array
from gpvae_core.vae import GenerativeModel

PROPOSALS = 2000
"""Number of proposals from which latents are resampled."""


@dataclass(frozen=True)
class ResampledLatents:
    """Latents (K, D) drawn by sampling-importance-resampling, and the effective sample size of the proposals."""

    z: Array
    effective: float


@torch.no_grad()
def resample(
    model: GenerativeModel,
    x: Float[Tensor, "1 C H W"],
    mean: NDArray[np.floating],
    chol: NDArray[np.floating],
    generator: torch.Generator,
    n: int,
    proposals: int,
) -> ResampledLatents:
    """Draw n latents approximately from p(z|x) by resampling proposals from N(mean, chol chol') with p(x,z) / q(z).

    Args:
        mean, chol: mean (D,) and lower-triangular factor (D, D) of the proposal.
        generator: a generator on the CPU, so that the samples are the same on every device.
    """
    q = torch.distributions.MultivariateNormal(torch.as_tensor(mean), scale_tril=torch.as_tensor(chol))
    eps = torch.randn(proposals, len(mean), generator=generator, dtype=torch.float64)
    z = q.loc + eps @ q.scale_tril.T
    points = z.to(x)[:, None, :]
    log_joint = torch.cat([model.log_joint(x, part)[:, 0] for part in points.split(decodes_at_once(x.device))])
    weights = torch.softmax(log_joint.cpu().double() - q.log_prob(z), dim=0)
    index = torch.multinomial(weights, n, replacement=True, generator=generator)
    # effective sample size (sum w)^2 / sum w^2 of normalised weights
    return ResampledLatents(z[index].numpy(), float(1.0 / weights.square().sum()))
