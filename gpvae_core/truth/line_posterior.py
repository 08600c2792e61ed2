"""The true posterior of one image at d = 1, on the nodes of the latent line that hold its mass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.truth.line import Line
from gpvae_core.truth.modes import find_modes

Array = NDArray[np.float64]
FLOOR = 30.0
"""The outer nodes whose density is more than this many nats below the maximum are left out."""


@dataclass(frozen=True)
class LinePosterior:
    """p(z|x) of one image at d = 1. Densities in nats, coordinates in prior units.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1, "latent_dim": 1}, progress=gpvae.silent)
    >>> posterior = run.true_posterior(run.data.test.pixels([0])[0])
    >>> posterior.modes().shape
    (1, 1)
    """

    z: Array
    """(G,) nodes, ascending; closer together where the decoder is steep."""
    log_density: Array
    """(G,) log p(z|x) at the nodes."""
    weight: Array
    """(G,) quadrature weight of each node in an integral over z."""
    log_px: float
    """log p(x) in nats."""
    error: float
    """Change of log p(x) in nats when every panel is halved."""
    passed: bool
    """Whether the checks of the quadrature passed: `error`, and the mass at the ends of the line."""
    mean: float
    """E[z|x]."""
    variance: float
    """Var[z|x]."""
    entropy_excess: float
    """Entropy of the Gaussian with the same moments minus the posterior's entropy in nats; 0 for a Gaussian."""

    @property
    def error_words(self) -> str:
        """The error of the quadrature as a clause: "panels half as wide change it by 1e-09 nats"."""
        return f"panels half as wide change it by {self.error:.1g} nats"

    def negentropy(self) -> float:
        """Return the entropy of the Gaussian with the same moments minus the entropy, in nats; 0 for a Gaussian."""
        return self.entropy_excess

    def modes(self) -> Array:
        """Return the modes (J, 1) by falling density: local maxima with at least 1 % excess mass (`find_modes`)."""
        columns = [column for _, column in find_modes(self.log_density[None], self.weight[None])]
        return self.z[columns][:, None]

    def sample(self, n: int, generator: torch.Generator) -> Array:
        """Draw (n, 1) samples: a node with the probability of its mass, then uniformly around it, `weight` wide."""
        cumulative = np.cumsum(np.exp(self.log_density) * self.weight)
        u = torch.rand((n, 2), generator=generator, device=generator.device).cpu().double().numpy()
        # NOTE: u < 1, but the product may round up to the last entry: hence the clip.
        node = np.searchsorted(cumulative, u[:, 0] * cumulative[-1], side="right").clip(max=len(cumulative) - 1)
        return (self.z[node] + (u[:, 1] - 0.5) * self.weight[node])[:, None]


@torch.no_grad()
def line_posteriors(line: Line, x: Float[Tensor, "B C H W"]) -> list[LinePosterior]:
    """Return p(z|x) of each image of a batch."""
    moments, error, passed = line.moments(x), line.error(x), line.passed(x)
    posteriors = []
    for i, image in enumerate(x):
        z, log_density = (values.squeeze(0).numpy() for values in line.posterior(image[None]))
        above_floor = np.flatnonzero(log_density > log_density.max() - FLOOR)
        window = slice(above_floor[0], above_floor[-1] + 1)
        posteriors.append(
            LinePosterior(
                z=z[window],
                log_density=log_density[window],
                weight=line.log_weight.exp().numpy()[window],
                log_px=float(moments.log_px[i]),
                error=float(error[i]),
                passed=bool(passed[i]),
                mean=float(moments.mean[i]),
                variance=float(moments.variance[i]),
                entropy_excess=float(moments.negentropy[i]),
            )
        )
    return posteriors
