"""The true posterior and log p(x) at d = 2 by quadrature on a latent grid, and the checks that it is fine enough.

The grid is decoded once (`Atlas`) and reused for every image, with coarse nodes around it (`Surroundings`). The
rectangle rule converges faster than any power of the step on smooth densities; where the step is too large for an
image, or the grid too small, the nodes that matter are decoded on a finer or wider one for this image alone.
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
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import LikelihoodTable
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.lattice import Lattice, LogJoint, refined
from gpvae_core.truth.modes import between_nodes, find_modes
from gpvae_core.truth.surroundings import Surroundings
from gpvae_core.vae import GenerativeModel

Array = NDArray[np.float64]

SIDE, MAX_FLOATS = 201, 250_000_000
"""Nodes a side, and how many decoded pixels an atlas may hold (1 GB); larger images get a coarser grid."""
IMAGE_CHUNK = 64
MAX_BORDER_MASS, MAX_HALVING_ERROR, MIN_CELLS, MAX_STEP = 1e-4, 0.01, 12, 1.0
MAX_LEVELS = 6
FINE_NODES, MOST_NODES = 40_000, 2_000_000
"""Nodes, at least and at most, of the grid on which modes are sought, samples drawn and regions measured."""


def _planar(latent_dim: int) -> None:
    if latent_dim != 2:
        raise UserError(
            f"the true posterior by quadrature wants a run with 2 latent dimensions, this one has {latent_dim}"
        )


@dataclass(frozen=True)
class Atlas:
    """The latent plane decoded once: nodes at `axis` x `axis`."""

    axis: Float[Tensor, " side"]
    """Node coordinates, the same for both latent dimensions; float64."""
    table: LikelihoodTable
    """log p(x|z) of any image at the nodes, and at those of the surroundings after them."""
    log_prior: Float[Tensor, "side side"]
    """log N(z; 0, I) at the nodes; float64."""
    surroundings: Surroundings
    """Coarse nodes further out, up to twice as far."""
    log_prior_around: Float[Tensor, " F"]
    """log N(z; 0, I) at those; float64."""

    @staticmethod
    @torch.no_grad()
    def build(vae: GenerativeModel, side: int | None = None, extent: float = 4.0, progress: Progress = silent) -> Atlas:
        """Decode a grid over [-extent, extent]^2.

        Args:
            side: nodes a side; 201 where that takes at most 1 GB, else what fits.

        Raises:
            UserError: the model's latent dimension is not 2.
        """
        _planar(vae.latent_dim)
        pixels = int(np.prod(vae.event_shape))
        side = side or min(SIDE, 2 * int((MAX_FLOATS / pixels) ** 0.5 / 2) - 1)
        axis = torch.linspace(-extent, extent, side, dtype=torch.float64)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        around = Surroundings(extent)
        z = torch.cat([torch.stack([x, y], dim=-1).reshape(-1, 2), torch.from_numpy(around.z)])
        points = z.float().to(next(vae.parameters()).device)
        g = torch.empty((len(z), *vae.event_shape), device=points.device)
        chunk = decodes_at_once(points.device)
        for start in range(0, len(z), chunk):
            progress(start, len(z), "decoding the latent grid")
            g[start : start + chunk] = vae.decode(points[start : start + chunk])
        progress(len(z), len(z), "decoding the latent grid")
        log_prior, beyond = vae.log_prior(z).split([side**2, len(around.z)])
        return Atlas(axis, vae.likelihood.grid_table(g), log_prior.reshape(side, side), around, beyond)

    @torch.no_grad()
    def log_joint(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B side side"]:
        """log p(x, z) in nats, float64 on the CPU; [b, row, column] is at z = (axis[column], axis[row])."""
        return self.log_joint_and_around(x)[0]

    @torch.no_grad()
    def log_joint_and_around(
        self, x: Float[Tensor, "B C H W"]
    ) -> tuple[Float[Tensor, "B side side"], Float[Tensor, "B F"]]:
        """As `log_joint`, with the same at the nodes of the surroundings."""
        log_p, nodes = self.table.log_prob(x).numpy(), self.log_prior.numel()
        inside = log_p[:, :nodes].reshape(len(x), *self.log_prior.shape) + self.log_prior.numpy()
        return torch.from_numpy(inside), torch.from_numpy(log_p[:, nodes:] + self.log_prior_around.numpy())

    def lattice(self, log_joint: Float[Tensor, "side side"]) -> Lattice:
        values = log_joint.numpy()
        step = float(self.axis[1] - self.axis[0])
        return Lattice(float(self.axis[0]), step, 0, 0, values, np.ones(values.shape, dtype=bool))


@dataclass(frozen=True)
class GridPosterior:
    """p(z|x) of one image at d = 2, on a window that holds its mass. Densities in nats, coordinates in prior units.

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
    """(Gy, Gx) log p(x, z); where it is more than 30 nats below the highest, that floor."""
    log_px: float
    """log p(x) in nats."""
    outside_mass: float
    """Share of the mass that may lie outside: what the border of the evaluated nodes, the cut to the window and the
    surroundings hold."""
    halving_error: float
    """Largest change of log p(x), in nats, when the step is doubled: an upper bound of the quadrature's error."""

    @property
    def passed(self) -> bool:
        """Whether the grid is large and fine enough: outside mass at most 1e-4, halving error at most 0.01 nats."""
        return self.outside_mass <= MAX_BORDER_MASS and self.halving_error <= MAX_HALVING_ERROR

    @property
    def error_words(self) -> str:
        """The quadrature's error, in words."""
        return f"a grid twice as coarse changes it by {self.halving_error:.1g} nats"

    @property
    def log_density(self) -> Array:
        """(Gy, Gx) log p(z|x) in nats."""
        return self.log_joint - self.log_px

    @property
    def cell(self) -> float:
        """Area of a grid cell."""
        return float(self.x[1] - self.x[0]) ** 2

    @cached_property
    def _p(self) -> Array:
        """(Gy, Gx) probability of each cell, normalised over the window."""
        p = np.exp(self.log_joint - self.log_joint.max())
        return p / p.sum()

    @cached_property
    def mean(self) -> Array:
        """E[z|x], (2,)."""
        return np.array([self._p.sum(0) @ self.x, self._p.sum(1) @ self.y])

    @cached_property
    def covariance(self) -> Array:
        """Cov[z|x], (2, 2)."""
        dx, dy = self.x - self.mean[0], self.y - self.mean[1]
        xy = float(dy @ self._p @ dx)
        return np.array([[self._p.sum(0) @ dx**2, xy], [xy, self._p.sum(1) @ dy**2]])

    def entropy(self) -> float:
        """-E[log p(z|x)] in nats."""
        p = self._p
        used = p > 0
        return float(-(p[used] * np.log(p[used])).sum() + np.log(self.cell))

    def negentropy(self) -> float:
        """Entropy of the Gaussian with the same mean and covariance, less the entropy; nats, 0 for a Gaussian."""
        gaussian = 0.5 * np.linalg.slogdet(2.0 * np.pi * np.e * self.covariance)[1]
        return max(0.0, float(gaussian - self.entropy()))

    def hpd_levels(self, masses: Sequence[float] = (0.5, 0.9, 0.99)) -> tuple[tuple[float, float], ...]:
        """(mass, log density threshold in nats): above the threshold is the smallest region that holds the mass."""
        ordered = np.sort(self._fine[2].ravel())[::-1]
        held = np.cumsum(np.exp(ordered - ordered[0]))
        return tuple((m, float(ordered[np.searchsorted(held, m * held[-1])])) for m in masses)

    @cached_property
    def _fine(self) -> tuple[Array, Array, Array]:
        """x, y and the log density through a spline, with enough nodes for regions of a few cells.

        The quadrature is exact with a step of most of a standard deviation; shapes need a finer one.
        """
        values = self.log_density
        finer = max(2, math.ceil(math.sqrt(FINE_NODES / values.size)))
        if finer**2 * values.size > MOST_NODES:
            return self.x, self.y, values
        xs, ys = (np.linspace(a[0], a[-1], finer * (len(a) - 1) + 1) for a in (self.x, self.y))
        return xs, ys, RectBivariateSpline(self.y, self.x, values)(ys, xs)

    @cached_property
    def _modes(self) -> Array:
        x, y, values = self._fine
        step = float(x[1] - x[0])
        found = []
        for row, column in find_modes(values, step**2):
            up, right = between_nodes(values, row, column)
            found.append((x[column] + right * step, y[row] + up * step))
        return np.array(found)

    def modes(self) -> Array:
        """(J, 2) modes, highest first: local maxima with an excess mass of at least 1 % (see `find_modes`)."""
        return self._modes

    def sample(self, n: int, generator: torch.Generator) -> Array:
        """(n, 2) samples: a cell by its mass, then evenly within it."""
        x, y, values = self._fine
        held = np.cumsum(np.exp(values - values.max()).ravel())
        u = torch.rand((n, 3), generator=generator, device=generator.device).cpu().double().numpy()
        rows, columns = np.divmod(np.searchsorted(held, u[:, 0] * held[-1], side="right"), len(x))
        return np.stack([x[columns], y[rows]], axis=-1) + (u[:, 1:] - 0.5) * (x[1] - x[0])

    def profile(self, j: int) -> tuple[Array, Array]:
        """Grid of coordinate j (0 or 1), and the largest log density over the other coordinate, in nats."""
        x, y, values = self._fine
        return (x, y)[j], values.max(axis=j)


def _log_joint_of(vae: GenerativeModel, x: Float[Tensor, "C H W"]) -> LogJoint:
    """z (K, 2) -> log p(x, z) (K,), decoded."""

    @torch.no_grad()
    def log_joint(z: Array) -> Array:
        points = torch.as_tensor(z, dtype=torch.float32, device=x.device)[:, None, :]
        values = [vae.log_joint(x[None], part)[:, 0] for part in points.split(decodes_at_once(x.device))]
        return torch.cat(values).cpu().double().numpy()

    return log_joint


def _fine_enough(lattice: Lattice) -> bool:
    halved = lattice.halving_error() <= MAX_HALVING_ERROR
    return halved and lattice.cells_spanned() >= MIN_CELLS and lattice.step_across() <= MAX_STEP


def _extended(lattice: Lattice, around: Array, atlas: Atlas, log_joint: LogJoint) -> tuple[Lattice, float]:
    """The lattice, continued beyond the atlas where there is mass, and the share that may lie beyond it still."""
    coarse = atlas.surroundings.coarse(lattice, around)
    share = math.exp(min(0.0, atlas.surroundings.log_mass(coarse) - lattice.log_mass()))
    if lattice.border_mass() + share <= MAX_BORDER_MASS:
        return lattice, share
    return atlas.surroundings.joined(lattice, coarse, log_joint), 0.0


def _checked(lattice: Lattice, log_joint: LogJoint) -> Lattice:
    """Refined until the checks hold, or until nothing finer is affordable."""
    for _ in range(MAX_LEVELS):
        if _fine_enough(lattice):
            break
        finer = refined(lattice, log_joint)
        if finer is None:
            break
        lattice = finer
    return lattice


def _posterior(lattice: Lattice, beyond: float) -> GridPosterior:
    window = lattice.cropped()
    cut = -np.expm1(min(0.0, window.log_mass() - lattice.log_mass()))
    return GridPosterior(
        x=window.x,
        y=window.y,
        log_joint=window.values,
        log_px=lattice.log_mass(),
        outside_mass=float(cut + lattice.border_mass() + beyond),
        halving_error=lattice.halving_error(),
    )


def true_posterior(vae: GenerativeModel, atlas: Atlas, x: Float[Tensor, "C H W"]) -> GridPosterior:
    """p(z|x) of one image, zoomed to where its mass is.

    Where the atlas is too coarse (log p(x) changes by more than 0.01 nats when its step is doubled, the mass spans
    fewer than 12 cells, or the step is above one standard deviation across the narrowest direction) or too small (more
    than 1e-4 of the mass on its border or around it), it is refined or extended by decoding for this image. `passed`
    says whether outside mass and halving hold in the end.

    Raises:
        UserError: the model's latent dimension is not 2.
    """
    return true_posteriors(vae, atlas, x[None])[0]


def true_posteriors(
    vae: GenerativeModel, atlas: Atlas, x: Float[Tensor, "B C H W"], progress: Progress = silent
) -> list[GridPosterior]:
    """p(z|x) of each image of a batch, as `true_posterior`."""
    _planar(vae.latent_dim)
    found: list[GridPosterior] = []
    for part in x.split(IMAGE_CHUNK):
        for image, values, around in zip(part, *atlas.log_joint_and_around(part), strict=True):
            progress(len(found), len(x), "true posteriors")
            log_joint = _log_joint_of(vae, image)
            lattice, beyond = _extended(atlas.lattice(values), around.numpy(), atlas, log_joint)
            found.append(_posterior(_checked(lattice, log_joint), beyond))
    progress(len(x), len(x), "true posteriors")
    return found
