"""The true posterior and log p(x) at d = 2 by quadrature on a latent grid, and the checks that it is fine enough.

The grid is decoded once (`Atlas`) and used for every image, with coarse nodes around it (`Surroundings`). On smooth
densities the rectangle rule converges faster than any power of the step. Where the step is too large for an image, or
the grid too small, the nodes that carry the mass are decoded on a finer or wider grid for this image alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from torch import Tensor

from gpvae_core.device import decodes_at_once
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.atlas import Atlas, require_plane
from gpvae_core.truth.lattice import Lattice, LogJoint, refined
from gpvae_core.truth.modes import between_nodes, find_modes
from gpvae_core.vae import GenerativeModel

Array = NDArray[np.float64]

IMAGE_CHUNK = 64
"""Number of images whose log p(x, z) is in memory together."""
MAX_BORDER_MASS, MAX_HALVING_ERROR, MIN_CELLS, MAX_STEP = 1e-4, 0.01, 12, 1.0
"""Limits of a grid that is fine enough: share of the mass outside, halving error in nats, cells spanned by the mass,
and step in standard deviations across the narrowest direction."""
MAX_LEVELS = 6
"""Largest number of refinements of one image's grid."""
FINE_NODES, MAX_NODES = 40_000, 2_000_000
"""Smallest and largest number of nodes of the interpolated grid, from which modes, samples and regions are computed."""


@dataclass(frozen=True)
class GridPosterior:
    """p(z|x) of one image at d = 2, on a window that contains its mass. Densities in nats, coordinates in prior units.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> posterior = run.true_posterior(run.data.test.pixels([0])[0])
    >>> posterior.mean.shape, posterior.passed
    ((2,), True)
    """

    x: Array
    """(Gx,) first latent coordinate of the columns, evenly spaced."""
    y: Array
    """(Gy,) second latent coordinate of the rows, with the same step."""
    log_joint: Array
    """(Gy, Gx) log p(x, z) in nats, clipped 30 nats below its maximum."""
    log_px: float
    """log p(x) in nats."""
    outside_mass: float
    """Share of the mass that may lie outside the window: between the window and the border of the evaluated nodes, on
    that border, and in the surroundings."""
    halving_error: float
    """Largest change of log p(x) in nats when the step is doubled: an upper bound of the quadrature's error."""
    refined: bool = False
    """Whether the atlas was too coarse or too small, so that further nodes were decoded for this image."""

    @property
    def passed(self) -> bool:
        """Whether the grid is large and fine enough: outside mass at most 1e-4, halving error at most 0.01 nats."""
        return self.outside_mass <= MAX_BORDER_MASS and self.halving_error <= MAX_HALVING_ERROR

    @property
    def error_words(self) -> str:
        """The error of the quadrature as a clause: "a grid twice as coarse changes it by 1e-05 nats"."""
        return f"a grid twice as coarse changes it by {self.halving_error:.1g} nats"

    @property
    def log_density(self) -> Array:
        """(Gy, Gx) log p(z|x) in nats."""
        return self.log_joint - self.log_px

    @property
    def cell(self) -> float:
        """Area of a grid cell, in squared prior units."""
        return float(self.x[1] - self.x[0]) ** 2

    @cached_property
    def _p(self) -> Array:
        """(Gy, Gx) probability of each cell, normalised over the window."""
        p = np.exp(self.log_joint - self.log_joint.max())
        return p / p.sum()

    @cached_property
    def mean(self) -> Array:
        """(2,) E[z|x]."""
        return np.array([self._p.sum(0) @ self.x, self._p.sum(1) @ self.y])

    @cached_property
    def covariance(self) -> Array:
        """(2, 2) Cov[z|x]."""
        dx, dy = self.x - self.mean[0], self.y - self.mean[1]
        xy = float(dy @ self._p @ dx)
        return np.array([[self._p.sum(0) @ dx**2, xy], [xy, self._p.sum(1) @ dy**2]])

    def entropy(self) -> float:
        """Return -E[log p(z|x)] in nats."""
        p = self._p[self._p > 0]
        return float(-(p * np.log(p)).sum() + np.log(self.cell))  # the density is p / cell

    def negentropy(self) -> float:
        """Return the entropy of the Gaussian with the same moments minus the entropy, in nats; 0 for a Gaussian."""
        # 1/2 log det(2 pi e Sigma); rounding may leave a tiny negative difference
        gaussian = 0.5 * np.linalg.slogdet(2.0 * np.pi * np.e * self.covariance)[1]
        return max(0.0, float(gaussian - self.entropy()))

    def hpd_levels(self, masses: Sequence[float] = (0.5, 0.9, 0.99)) -> tuple[tuple[float, float], ...]:
        """Return (mass, log density in nats) of each highest-posterior-density region.

        The region where the density exceeds the threshold is the smallest one with that mass.
        """
        falling = np.sort(self._fine[2].ravel())[::-1]
        cumulative = np.cumsum(np.exp(falling - falling[0]))
        return tuple((m, float(falling[np.searchsorted(cumulative, m * cumulative[-1])])) for m in masses)

    @cached_property
    def _fine(self) -> tuple[Array, Array, Array]:
        """x, y and log density on a finer grid, by a cubic spline.

        A step of nearly a standard deviation is enough for the quadrature, but not for the shape of regions.
        """
        values = self.log_density
        factor = max(2, math.ceil(math.sqrt(FINE_NODES / values.size)))
        if factor**2 * values.size > MAX_NODES:
            return self.x, self.y, values
        xs, ys = (np.linspace(a[0], a[-1], factor * (len(a) - 1) + 1) for a in (self.x, self.y))
        return xs, ys, RectBivariateSpline(self.y, self.x, values)(ys, xs)

    @cached_property
    def _modes(self) -> Array:
        x, y, values = self._fine
        step = float(x[1] - x[0])
        modes = []
        for row, column in find_modes(values, step**2):
            up, right = between_nodes(values, row, column)
            modes.append((x[column] + right * step, y[row] + up * step))
        return np.array(modes)

    def modes(self) -> Array:
        """Return the modes (J, 2) by falling density: local maxima with at least 1 % excess mass (`find_modes`)."""
        return self._modes

    def sample(self, n: int, generator: torch.Generator) -> Array:
        """Draw (n, 2) samples: a cell with the probability of its mass, then uniformly within it."""
        x, y, values = self._fine
        cumulative = np.cumsum(np.exp(values - values.max()).ravel())
        u = torch.rand((n, 3), generator=generator, device=generator.device).cpu().double().numpy()
        rows, columns = np.divmod(np.searchsorted(cumulative, u[:, 0] * cumulative[-1], side="right"), len(x))
        return np.stack([x[columns], y[rows]], axis=-1) + (u[:, 1:] - 0.5) * (x[1] - x[0])

    def profile(self, j: int) -> tuple[Array, Array]:
        """Return the grid of coordinate j (0 or 1) and the largest log density over the other coordinate, in nats."""
        x, y, values = self._fine
        return (x, y)[j], values.max(axis=j)


def _log_joint_of(model: GenerativeModel, x: Float[Tensor, "C H W"]) -> LogJoint:
    """Return the function z (K, 2) -> log p(x, z) (K,) of one image, which decodes z in the model's precision."""
    image = x[None].to(next(model.parameters()))

    @torch.no_grad()
    def log_joint(z: Array) -> Array:
        points = torch.as_tensor(z).to(image)[:, None, :]
        values = [model.log_joint(image, part)[:, 0] for part in points.split(decodes_at_once(image.device))]
        return torch.cat(values).cpu().double().numpy()

    return log_joint


def _fine_enough(lattice: Lattice) -> bool:
    converged = lattice.halving_error() <= MAX_HALVING_ERROR
    return converged and lattice.cells_spanned() >= MIN_CELLS and lattice.step_across() <= MAX_STEP


def _extended(lattice: Lattice, around: Array, atlas: Atlas, log_joint: LogJoint) -> tuple[Lattice, float]:
    """Return the lattice, extended beyond the atlas where there is mass, and the share of the mass left outside."""
    coarse = atlas.surroundings.coarse(lattice, around)
    # The mass outside over that inside, an upper estimate; at most 1, as exp could overflow.
    share = math.exp(min(0.0, atlas.surroundings.log_mass(coarse) - lattice.log_mass()))
    if lattice.border_mass() + share <= MAX_BORDER_MASS:
        return lattice, share
    return atlas.surroundings.joined(lattice, coarse, log_joint), 0.0


def _refined_until_fine(lattice: Lattice, log_joint: LogJoint) -> Lattice:
    """Return the lattice, refined until it is fine enough or until a finer one would be too large."""
    for _ in range(MAX_LEVELS):
        if _fine_enough(lattice):
            break
        finer = refined(lattice, log_joint)
        if finer is None:
            break
        lattice = finer
    return lattice


def _posterior(lattice: Lattice, share_beyond: float, refined: bool) -> GridPosterior:
    """Return the posterior on the window of the lattice that carries the mass."""
    window = lattice.cropped()
    # 1 - window mass / mass, by expm1, as the difference is tiny
    cut = -np.expm1(min(0.0, window.log_mass() - lattice.log_mass()))
    return GridPosterior(
        x=window.x,
        y=window.y,
        log_joint=window.values,
        log_px=lattice.log_mass(),
        outside_mass=float(cut + lattice.border_mass() + share_beyond),
        halving_error=lattice.halving_error(),
        refined=refined,
    )


def true_posteriors(
    vae: GenerativeModel, atlas: Atlas, x: Float[Tensor, "B C H W"], progress: Progress = silent
) -> list[GridPosterior]:
    """Return p(z|x) of each image, on a grid refined and extended until it is good enough.

    The atlas is too coarse if log p(x) changes by more than 0.01 nats when its step is doubled, if the mass spans fewer
    than 12 cells, or if the step exceeds one standard deviation across the narrowest direction; it is too small if more
    than 1e-4 of the mass lies on its border or around it. Then further nodes are decoded for this image. `passed` of
    the result tells whether outside mass and halving error are within their limits in the end.

    Raises:
        UserError: the model does not have exactly 2 latent dimensions.
    """
    require_plane(vae.latent_dim)
    posteriors: list[GridPosterior] = []
    for part in x.split(IMAGE_CHUNK):
        for image, values, around in zip(part, *atlas.log_joint_and_around(part), strict=True):
            progress(len(posteriors), len(x), "true posteriors")
            log_joint = _log_joint_of(atlas.model, image)
            own = atlas.lattice(values)
            extended, share_beyond = _extended(own, around.numpy(), atlas, log_joint)
            fine = _refined_until_fine(extended, log_joint)
            posteriors.append(_posterior(fine, share_beyond, refined=fine is not own))
    progress(len(x), len(x), "true posteriors")
    return posteriors
