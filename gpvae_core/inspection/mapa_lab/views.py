"""The views of points in the plane in the MAPA Lab, as plain numpy data.

Latents are in prior standard deviations, points x in the units of the data, log densities and divergences in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpvae_core.errors import UserError
from gpvae_core.inspection.views import (
    Array,
    GridDensity,
    IndexComparison,
    Indices,
    PlaneGrid,
    PosteriorTrace,
    Value,
)

FEWEST_POINTS, MOST_POINTS, MOST_SAMPLES = 2, 10_000, 10_000
"""Limits of N and of S."""
GAP_DRAWS = 32
"""Number of draws over which the mean gap of one point's bound is taken."""


@dataclass(frozen=True)
class MapaSettings:
    """Settings of MAPA's kernel and bound."""

    bandwidth: float
    """Standard deviation of the Gaussian kernel, in the units of x."""
    k: int
    """Number of most probable points over which the bound sums, 0 to N."""
    draws: int
    """Number of points drawn from the others, S, at least 0 (and 0 if k = N)."""
    seed: int = 0
    """Seed of the draws."""


def check_counts(k: int, draws: int, size: int) -> None:
    """Raises UserError where k most probable points and S draws from the rest do not go together with N points."""
    if k > size:
        raise UserError(f"k: wanted at most {size:,}, the number of points N, got {k:,}")
    if draws > MOST_SAMPLES:
        raise UserError(f"S: wanted at most {MOST_SAMPLES:,}, got {draws:,}")
    if k == size and draws:
        raise UserError(f"k = N = {size:,} leaves no points to sample, got S = {draws:,}: a smaller k, or S = 0")
    if k == draws == 0:
        raise UserError("k = 0 and S = 0 leave no point for the bound: wanted k or S above 0")
    if min(k, draws) < 0:
        raise UserError(f"wanted k from 0 on and S of at least 0, got k = {k} and S = {draws}")


@dataclass(frozen=True)
class ChosenPoint:
    """The point under examination: a training point, or any point in the plane (index None)."""

    x: Array
    """(2,)."""
    index: int | None

    @property
    def title(self) -> str:
        """The point in words, such as 'training point 3, x = (0.10, 0.20)'."""
        place = f"x = ({self.x[0]:.2f}, {self.x[1]:.2f})"
        return place if self.index is None else f"training point {self.index}, {place}"


@dataclass(frozen=True)
class PointComparison(IndexComparison):
    """Comparison of MAPA with the true index posterior of one point, and the bound of eq. 10 with these k and S."""

    kl_reverse: float
    """KL(q || p), nats."""
    rank: float
    """Spearman's correlation of log q with log p over the points that hold 99 % of p; NaN for fewer than three."""
    spread: float
    """Standard deviation of log q - log p over the same points, the "noise" of MAPA around the truth; nats."""
    head_mass: float
    """Mass of q on the k most probable points."""
    head_mass_true: float
    """Mass of p on the same k points."""
    bound: float
    """The bound of eq. 10 with these k and S under this model, nats. A single draw may exceed log p(x)."""
    gap: Value
    """Mean over GAP_DRAWS other draws of log p(x) of the empiricalized model minus the bound; nats."""
    log_px_empirical: float
    """log p(x) of the empiricalized model (eq. 4), an upper bound of the bound's mean; nats."""
    log_px: float
    """log p(x) of the model itself, by quadrature; nats."""
    n: int
    """Number of training points, N."""


@dataclass(frozen=True)
class DrawnIndices:
    """The training points in the bound of eq. 10."""

    head: Indices
    """(k,) the most probable points under MAPA, most probable first."""
    drawn: Indices
    """(S,) points drawn from the others, with replacement."""


@dataclass(frozen=True)
class TraceView(DrawnIndices, PosteriorTrace):
    """The posterior of one point and its index posteriors against the latents of one model, as in D.3.

    All are on the scale of log p(z|x): log(N p(i|n)) + log N(z_i; 0, 1) tends to log p(z_i|x) as N grows. Values more
    than SHOWN_NATS (inspection/traces.py) below the line's maximum are NaN.
    """

    title: str
    latent: str
    """Label of the latents' axis, such as 'ground-truth z'."""
    numbers: PointComparison


@dataclass(frozen=True)
class PlaneView(DrawnIndices, GridDensity):
    """The training points in the plane, with log p(x) of the ground truth on a grid."""

    points: Array
    """(N, 2) training points."""
    z: Array
    """(N,) their true latents."""
    log_q: Array
    """(N,) log q(i|n) of MAPA for the chosen point."""
    chosen: ChosenPoint


@dataclass(frozen=True)
class ProcessView:
    """Fig. 1 for one function f: the generative process of n points, their posteriors and index posteriors."""

    title: str
    x_label: str
    z: Array
    """(Gz,) grid of latents."""
    x: Array
    """(Gx,) grid of the observed coordinate."""
    log_prior: Array
    """(Gz,) log p(z)."""
    f: Array
    """(Gz,) the observed coordinate of f(z)."""
    log_joint: Array
    """(Gx, Gz) log p(x, z)."""
    log_px: Array
    """(Gx,) log p(x)."""
    latents: Array
    """(n,) z_i, drawn from the prior."""
    means: Array
    """(n,) f(z_i)."""
    noise: Array
    """(n,) epsilon_i."""
    observed: Array
    """(n,) x_i = f(z_i) + epsilon_i."""
    log_posterior: Array
    """(n, Gz) log p(z|x_i), given all coordinates of x_i."""
    mapa: Array
    """(n, n) q(i|n) over the drawn points, with a row per point n."""
    empirical: Array
    """(n, n) p(i|n) over the drawn points."""
    sigma: float
    """Standard deviation of the noise."""
    latent_unit: str
    """'prior sd', or '' if the prior is uniform on [0, 1]."""


@dataclass(frozen=True)
class Variant:
    """One of several models of the same points: its decoder's curve, and the posterior of one x under it."""

    name: str
    curve_z: Array
    """(G,) latents along the decoder's curve, over the central 99.8 % of the prior."""
    curve: Array
    """(G, 2) the decoded latents."""
    trace: TraceView


@dataclass(frozen=True)
class VariantsView:
    """MAPA, computed from the points alone, compared with the posterior under each variant of the model (D.4)."""

    variants: tuple[Variant, ...]
    points: Array
    """(N, 2)."""
    chosen: ChosenPoint
    note: str
    """One sentence on the variants, or on why there is only one."""


@dataclass(frozen=True)
class DensityView(PlaneGrid):
    """The densities p_model(x) of a trained run and p_GT(x)."""

    name: str
    log_true: Array
    """(Gy, Gx) log p_GT(x)."""
    log_model: Array
    """(Gy, Gx) log p_model(x)."""
    points: Array
    """(M, 2) test points of the run's data."""
    test_kl: Value
    """Mean of log p_GT(x) - log p_model(x) over the test points at which no quadrature failed, with its
    standard error; nats."""
    test_log_px: Value
    """Mean of log p_model(x) over the test points, nats."""
    failed: int = 0
    """Number of test points at which a quadrature failed its checks."""
