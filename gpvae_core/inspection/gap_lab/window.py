"""The true posterior over a window in which the answers are to be seen."""

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
"""The true posterior spans at least this share of the window: an answer far off is still to be seen."""
SMALLEST = 0.02
"""With the answer from which SVI starts it may be as small as this."""
TRUTH_REACH = 3.7
"""Standard deviations within which a Gaussian holds 99.9 % of its mass."""
Shapes = Sequence[GaussianShape]


def shape(name: str, q: Posterior, plane: Plane) -> GaussianShape:
    """Return a Gaussian with the moments of the answer for one image, by which the window is chosen."""
    mean, variance = (t[0].cpu().double().numpy() for t in (q.mean, q.variance))
    return on_plane(name, plane, mean, np.diag(variance))


def on_latent_plane(
    vae: VAE, atlas: Atlas, x: Float[Tensor, "1 C H W"], truth: GridPosterior, plane: Plane, must: Shapes, may: Shapes
) -> PosteriorView:
    """d = 2. All of the posterior, the shapes that `must` be in view, and those that `may` as far as they are near."""
    share = _share(GaussianShape("", truth.mean, truth.covariance), must)
    drawn = latent_contours(vae, atlas, x, truth, [*must, *may], plane, share)
    return _view(plane, drawn, np.asarray(truth.modes()))


def on_slice(
    vae: VAE, x: Float[Tensor, "1 C H W"], local: LocalPosterior, plane: Plane, must: Shapes, may: Shapes
) -> PosteriorView:
    """d > 2: the same on a slice through the mode."""
    laplace = on_plane("", plane, plane.origin, local.covariance)
    drawn = slice_contours(vae, x, plane, laplace.covariance, [*must, *may], _share(laplace, must))
    return _view(plane, drawn, np.zeros((1, 2)))


def _view(plane: Plane, drawn: Contours, modes: Array) -> PosteriorView:
    nothing = np.empty((0, 2))
    return PosteriorView(
        drawn.x, drawn.y, drawn.log_density, plane, drawn.levels, nothing, (), nothing, np.empty(0), modes
    )


def _share(truth: GaussianShape, must: Shapes) -> float:
    """The share of the window that the true posterior is left with, so that the shapes that must be are in view."""
    span = 2.0 * TRUTH_REACH * float(np.sqrt(np.linalg.eigvalsh(truth.covariance)[-1]))
    reach = [np.abs(one.mean - truth.mean) + TRUTH_REACH * np.sqrt(np.diag(one.covariance)) for one in must]
    farthest = max((float(part.max()) for part in reach), default=0.0)
    return float(np.clip(0.7 * span / (0.5 * span + farthest), SMALLEST, IN_WINDOW))
