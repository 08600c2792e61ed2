"""The view of a posterior along the latent line, d = 1, as plain numpy data; z in prior sd, densities per prior sd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class LineDensity:
    """The density of an approximate posterior at the G latents of a view, with its moments."""

    name: str
    mean: float
    variance: float
    log_density: Array
    """(G,) log q(z|x), nats."""


@dataclass(frozen=True)
class LineView:
    """View 1 at d = 1: p(z|x) by quadrature along the line, with the densities of the encoder and the best Gaussian."""

    z: Array
    """(G,) latents, ascending; closer together where a density is narrow."""
    log_density: Array
    """(G,) log p(z|x), nats; NaN where it is more than 30 nats below its maximum."""
    hpd_levels: tuple[tuple[float, float], ...]
    """(mass, log density threshold) of highest-posterior-density regions."""
    base_samples: Array
    """(S,) samples of the base encoder."""
    gaussians: tuple[LineDensity, ...]
    """The encoder's density, which need not be Gaussian, and the best Gaussian's if it is known."""
    mapa_points: Array
    """(M,) codes of the training instances with the largest MAPA probability."""
    mapa_weights: Array
    """(M,) probability q(i|n) of each."""
    modes: Array
    """(J,) local maxima of the posterior, highest first."""
    label: str = "z1"
    base_name: str = "q(z|x)"
    """What the density of `base_samples` is called."""
