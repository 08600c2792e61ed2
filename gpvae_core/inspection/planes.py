"""The displayed plane of latent space, and Gaussians restricted to it."""

from __future__ import annotations

import numpy as np

from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.local import LocalPosterior
from gpvae_core.inspection.views import Array, GaussianShape, Plane

SLICE = (
    "Contours and ellipses are the slice through the posterior mode in this plane, not a marginal; "
    "dots and MAPA points are projected onto it."
)
FROM_MODE = "Both axes count from the mode, in prior sd."


def latent_plane() -> Plane:
    """Return the latent plane itself, at d = 2."""
    return Plane(np.zeros(2), np.eye(2), "z1", "z2", is_slice=False, note="")


def latent_line() -> Plane:
    """Return the latent line, at d = 1, whose only axis is the latent itself."""
    return Plane(np.zeros(1), np.eye(1), "z1", "", is_slice=False, note="")


def dims_plane(local: LocalPosterior, dims: tuple[int, int]) -> Plane:
    """Return the slice through the mode along two latent dimensions, from 0. Raises UserError if they are invalid."""
    d, (i, j) = len(local.mode), dims
    if i == j or not (0 <= i < d and 0 <= j < d):
        raise UserError(f"wanted two different latent dimensions from 0 to {d - 1}, got {i} and {j}")
    axes = np.zeros((2, d))
    axes[0, i] = axes[1, j] = 1.0
    # z1 is then the coordinate itself, as in every other view, and not the distance from the mode.
    origin = local.mode - (local.mode @ axes.T) @ axes
    labels = [f"z{k + 1}" for k in dims]
    note = f"Latent dimensions {i + 1} and {j + 1} of {d}. {SLICE}"
    return Plane(origin, axes, *labels, is_slice=True, note=note)


def principal_plane(local: LocalPosterior) -> Plane:
    """Return the slice through the mode along the two widest directions of the Laplace approximation."""
    share = _share_of_variance(local)
    note = (
        "The widest and the second widest direction of the posterior around its mode (Laplace approximation; "
        f"{share:.0%} of its variance over {len(local.mode)} dimensions). {SLICE} {FROM_MODE}"
    )
    return Plane(local.mode, local.main_directions(), "widest direction", "2nd widest", is_slice=True, note=note)


def _share_of_variance(local: LocalPosterior) -> float:
    variances = 1.0 / np.linalg.eigvalsh(local.precision)
    return float(variances[:2].sum() / variances.sum())


def choose_plane(kind: str, local: LocalPosterior, dims: tuple[int, int]) -> Plane:
    """Return the slice of this kind at d > 2: 'dims', or 'principal' (also 'auto'). Raises UserError for others."""
    if kind == "dims":
        return dims_plane(local, dims)
    if kind in ("auto", "principal"):
        return principal_plane(local)
    raise unknown("plane", kind, ("auto", "dims", "principal"))


def on_plane(name: str, plane: Plane, mean: Array, covariance: Array) -> GaussianShape:
    """Return N(mean, covariance), with mean (D,) and covariance (D, D), restricted to the plane.

    On the latent plane that is the Gaussian itself. On a slice with axes A (2, D), and with the precision
    Lambda = covariance^-1, it is N(u, (A Lambda A')^-1) with u = (A Lambda A')^-1 A Lambda (mean - origin).
    """
    # Completing the square in w for z = origin + A'w: (z - mean)' Lambda (z - mean) is quadratic in w with precision
    # A Lambda A'. A Lambda comes from a linear solve, without the inverse of the covariance.
    weighted = np.linalg.solve(covariance, plane.axes.T).T
    precision = weighted @ plane.axes.T
    mean_on_plane = np.linalg.solve(precision, weighted @ (mean - plane.origin))
    return GaussianShape(name, mean_on_plane, np.linalg.inv(precision))
