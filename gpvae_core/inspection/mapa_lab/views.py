"""The views of points in the plane that the MAPA Lab shows, as plain numpy data.

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
"""Draws of S that the mean gap of one point's bound is taken over."""


@dataclass(frozen=True)
class MapaSettings:
    """MAPA's kernel width and the counts of its bound, as the controls set them."""

    bandwidth: float
    """Standard deviation of the Gaussian kernel, in the units of x."""
    k: int
    """Most probable points that the bound takes whole, 0 to N."""
    draws: int
    """S, points drawn from the rest, 0 or more (0 where k = N)."""
    seed: int = 0
    """Of the draws."""


def check_counts(k: int, draws: int, size: int) -> None:
    """Raises UserError where k most probable points and S draws from the rest do not go together with N points."""
    if k > size:
        raise UserError(f"k: wanted at most {size:,}, the number of points N, got {k:,}")
    if draws > MOST_SAMPLES:
        raise UserError(f"S: wanted at most {MOST_SAMPLES:,}, got {draws:,}")
    if k == size and draws:
        raise UserError(f"k = N = {size:,} leaves no rest to draw from, got S = {draws:,}: a smaller k, or S = 0")
    if k == draws == 0:
        raise UserError("k = 0 and S = 0 leave no point for the bound: wanted k or S above 0")
    if min(k, draws) < 0:
        raise UserError(f"wanted k from 0 on and S of at least 0, got k = {k} and S = {draws}")


@dataclass(frozen=True)
class ChosenPoint:
    """The point under examination: a training point, or any place in the plane (index None)."""

    x: Array
    """(2,)."""
    index: int | None

    @property
    def title(self) -> str:
        place = f"x = ({self.x[0]:.2f}, {self.x[1]:.2f})"
        return place if self.index is None else f"training point {self.index}, {place}"


@dataclass(frozen=True)
class PointComparison(IndexComparison):
    """MAPA beside the true index posterior for one point, and the bound of eq. 10 with these k and S."""

    kl_reverse: float
    """KL(q || p), nats."""
    rank: float
    """Spearman's correlation of log q with log p over the points that hold 99 % of p; NaN for fewer than three."""
    spread: float
    """Standard deviation of log q - log p over these: the "noise" of MAPA around the truth."""
    head_mass: float
    """Share of q on the k most probable points."""
    head_mass_true: float
    """Share of p on the same k points."""
    bound: float
    """The bound of eq. 10 with these k and S draws, under this model; nats. One draw may lie above log p(x)."""
    gap: Value
    """Mean over GAP_DRAWS other draws of log p(x) of the empiricalized model minus the bound; nats."""
    log_px_empirical: float
    """log p(x) of the empiricalized model (eq. 4), which the bound is below on average; nats."""
    log_px: float
    """log p(x) of the model itself, by quadrature; nats."""
    n: int
    """N."""


@dataclass(frozen=True)
class DrawnIndices:
    """The training points on which the bound of eq. 10 is taken."""

    head: Indices
    """(k,) the most probable points under MAPA, most probable first."""
    drawn: Indices
    """(S,) those drawn from the rest; may repeat."""


@dataclass(frozen=True)
class TraceView(DrawnIndices, PosteriorTrace):
    """D.3: the posterior of one point against the latents of one model, all in the units of log p(z|x).

    Index posteriors are scaled by N and lifted by log N(z_i; 0, 1): log(N p(i|n)) + log N(z_i; 0, 1) tends to
    log p(z_i|x) as N grows. What lies more than SHOWN_NATS (inspection/traces.py) below the line's maximum is NaN.
    """

    title: str
    latent: str
    """The name of the abscissa: 'ground-truth z', or whose codes."""
    numbers: PointComparison


@dataclass(frozen=True)
class PlaneView(DrawnIndices, GridDensity):
    """The points in the plane, over log p(x) of the ground truth."""

    points: Array
    """(N, 2) training points."""
    z: Array
    """(N,) their true latents."""
    log_q: Array
    """(N,) log q(i|n) of MAPA for the chosen point."""
    chosen: ChosenPoint


@dataclass(frozen=True)
class ProcessView:
    """Fig. 1 for one function: how n points come about, and what each says of its latent."""

    title: str
    x_label: str
    z: Array
    """(Gz,) grid of latents."""
    x: Array
    """(Gx,) grid of the observed coordinate."""
    log_prior: Array
    """(Gz,) log p(z)."""
    f: Array
    """(Gz,) f(z), of the observed coordinate."""
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
    """(n, n) q(i|n) over the n drawn points: row n, column i."""
    empirical: Array
    """(n, n) p(i|n) over the n drawn points."""
    sigma: float
    """Standard deviation of the noise."""
    latent_unit: str
    """'prior sd', or '' where the prior is uniform on [0, 1]."""


@dataclass(frozen=True)
class Variant:
    """One of several models of the same points: its decoder, and the posterior of the same x under it."""

    name: str
    curve_z: Array
    """(G,) latents along the decoder's curve, over the central 99.8 % of the prior."""
    curve: Array
    """(G, 2) what they decode to."""
    trace: TraceView


@dataclass(frozen=True)
class VariantsView:
    """D.4: MAPA is computed once, from the points alone, and compared with the posterior of each variant."""

    variants: tuple[Variant, ...]
    points: Array
    """(N, 2)."""
    chosen: ChosenPoint
    note: str
    """One sentence: which variants there are, or why there is only one."""


@dataclass(frozen=True)
class DensityView(PlaneGrid):
    """p_model(x) of a trained run beside p_GT(x)."""

    name: str
    log_true: Array
    """(Gy, Gx) log p_GT(x)."""
    log_model: Array
    """(Gy, Gx) log p_model(x)."""
    points: Array
    """(M, 2) test points of the run's own data."""
    test_kl: Value
    """Mean log p_GT(x) - log p_model(x) over the test points, with its standard error over them."""
    test_log_px: Value
    """Mean log p_model(x) over the test points."""
