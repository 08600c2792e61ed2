"""The plane of latent space that is shown, and Gaussians on it."""

from __future__ import annotations

import numpy as np

from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.local import LocalPosterior
from gpvae_core.inspection.views import Array, GaussianShape, Plane

SLICE = (
    "Contours and ellipses are the slice through the posterior mode in this plane, not a marginal; "
    "dots and MAPA points are projected onto it. Both axes count from the mode, in prior sd."
)


def latent_plane() -> Plane:
    """d = 2: the latent plane itself."""
    return Plane(np.zeros(2), np.eye(2), "z1", "z2", is_slice=False, note="")


def dims_plane(local: LocalPosterior, dims: tuple[int, int]) -> Plane:
    """The slice along two latent dimensions (counted from 0) through the mode. Raises UserError for a wrong choice."""
    d, (i, j) = len(local.mode), dims
    if i == j or not (0 <= i < d and 0 <= j < d):
        raise UserError(f"wanted two different latent dimensions from 0 to {d - 1}, got {i} and {j}")
    axes = np.zeros((2, d))
    axes[0, i] = axes[1, j] = 1.0
    labels = [f"z{k + 1}" for k in dims]
    note = f"Latent dimensions {i + 1} and {j + 1} of {d}. {SLICE}"
    return Plane(local.mode, axes, *labels, is_slice=True, note=note)


def principal_plane(local: LocalPosterior) -> Plane:
    """Return the slice along the two widest directions of the Laplace approximation at the mode."""
    share = _share_of_variance(local)
    note = (
        "The widest and the second widest direction of the posterior around its mode (Laplace approximation; "
        f"{share:.0%} of its variance over {len(local.mode)} dimensions). {SLICE}"
    )
    return Plane(local.mode, local.main_directions(), "widest direction", "2nd widest", is_slice=True, note=note)


def _share_of_variance(local: LocalPosterior) -> float:
    variances = 1.0 / np.linalg.eigvalsh(local.precision)
    return float(variances[:2].sum() / variances.sum())


def choose_plane(kind: str, local: LocalPosterior, dims: tuple[int, int]) -> Plane:
    """'auto' or 'principal', or 'dims', for d > 2."""
    if kind == "dims":
        return dims_plane(local, dims)
    if kind in ("auto", "principal"):
        return principal_plane(local)
    raise unknown("plane", kind, ("auto", "dims", "principal"))


def on_plane(name: str, plane: Plane, mean: Array, covariance: Array) -> GaussianShape:
    """N(mean, covariance), mean (D,), covariance (D, D), on the plane.

    On the latent plane that is the Gaussian itself. On a slice its density is restricted as the posterior's is: for
    precision Lambda and axes A (2, D) it is N(u, (A Lambda A')^-1), u = (A Lambda A')^-1 A Lambda (mean - origin).
    """
    # A Lambda by a solve, without the inverse of the covariance
    weighted = np.linalg.solve(covariance, plane.axes.T).T
    precision = weighted @ plane.axes.T
    mean_on_plane = np.linalg.solve(precision, weighted @ (mean - plane.origin))
    return GaussianShape(name, mean_on_plane, np.linalg.inv(precision))
