"""The true posterior over a window that also contains the approximate posteriors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.inspection.contours import Contours, latent_contours, slice_contours
from gpvae_core.inspection.local import LocalPosterior
from gpvae_core.inspection.planes import on_plane
from gpvae_core.inspection.views import Array, GaussianShape, Plane, PosteriorView
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.vae import VAE

IN_WINDOW = 0.25
"""Smallest share of the window that the true posterior spans, so that distant approximations are visible too."""
SMALLEST = 0.02
"""Smallest share if the window has to contain a given shape, such as the start of SVI."""
TRUTH_REACH = 3.7
"""Number of standard deviations that contain 99.9 % of a two-dimensional Gaussian's mass."""
Shapes = Sequence[GaussianShape]


def shape(name: str, q: Posterior, plane: Plane) -> GaussianShape:
    """Return the Gaussian with the moments of q, the posterior of one image, from which the window is chosen."""
    mean, variance = (t[0].cpu().double().numpy() for t in (q.mean, q.variance))
    return on_plane(name, plane, mean, np.diag(variance))


def on_latent_plane(
    vae: VAE, atlas: Atlas, x: Float[Tensor, "1 C H W"], truth: GridPosterior, plane: Plane, must: Shapes, may: Shapes
) -> PosteriorView:
    """Return the true posterior at d = 2, over a window with all its mass.

    Args:
        must: shapes that the window has to contain.
        may: shapes that the window contains unless they are too far away.
    """
    share = _share(GaussianShape("", truth.mean, truth.covariance), must)
    contours = latent_contours(vae, atlas, x, truth, [*must, *may], plane, share)
    return truth_alone(plane, contours, np.asarray(truth.modes()))


def on_slice(
    vae: VAE, x: Float[Tensor, "1 C H W"], local: LocalPosterior, plane: Plane, must: Shapes, may: Shapes
) -> PosteriorView:
    """Return the true posterior at d > 2 on a slice through the mode; for `must` and `may` see `on_latent_plane`."""
    laplace = on_plane("", plane, local.mode, local.covariance)
    contours = slice_contours(vae, x, plane, laplace, [*must, *may], _share(laplace, must))
    return truth_alone(plane, contours, plane.coordinates(local.mode)[None])


def truth_alone(plane: Plane, contours: Contours, modes: Array) -> PosteriorView:
    """Return the view of a true posterior without approximate ones."""
    empty = np.empty((0, 2))
    return PosteriorView(
        contours.x, contours.y, contours.log_density, plane, contours.levels, empty, (), empty, np.empty(0), modes
    )


def _share(truth: GaussianShape, must: Shapes) -> float:
    """Return the share of the window that is left for the true posterior if the window contains the shapes `must`."""
    span = 2.0 * TRUTH_REACH * float(np.sqrt(np.linalg.eigvalsh(truth.covariance)[-1]))
    reach = [np.abs(shape.mean - truth.mean) + TRUTH_REACH * np.sqrt(np.diag(shape.covariance)) for shape in must]
    farthest = max((float(part.max()) for part in reach), default=0.0)
    return float(np.clip(0.7 * span / (0.5 * span + farthest), SMALLEST, IN_WINDOW))
