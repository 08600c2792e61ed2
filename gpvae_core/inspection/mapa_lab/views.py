"""What each pane of the MAPA Lab shows, as plain numpy data.

Latents are in prior standard deviations, points x in the units of the data, log densities and divergences in nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpvae_core.inspection.views import Array, Value

Indices = NDArray[np.integer]

GAP_DRAWS = 32
"""Draws of S that the mean gap of one point's bound is taken over."""


@dataclass(frozen=True)
class Choice:
    """What the controls say of MAPA and its bound."""

    bandwidth: float
    """Standard deviation of the Gaussian kernel, in the units of x."""
    k: int
    """Most probable points that the bound takes whole, 0 to N."""
    draws: int
    """S, points drawn from the rest, 0 or more (0 where k = N)."""
    seed: int = 0
    """Of the draws."""


@dataclass(frozen=True)
class Chosen:
    """The point under examination: a training point, or any place in the plane (index None)."""

    x: Array
    """(2,)."""
    index: int | None

    @property
    def title(self) -> str:
        place = f"x = ({self.x[0]:.2f}, {self.x[1]:.2f})"
        return place if self.index is None else f"training point {self.index}, {place}"


@dataclass(frozen=True)
class Numbers:
    """How near MAPA q(i|n) of eq. 8 is to the true index posterior p(i|n) of eq. 7, for one point; nats."""

    kl: float
    """KL(p || q)."""
    kl_reverse: float
    """KL(q || p)."""
    kl_uniform: float
    """KL(p || uniform) = log N - H(p): what knowing nothing costs, the yardstick of `kl`."""
    rank: float
    """Spearman's correlation of log q with log p over the points that hold 99 % of p; NaN for fewer than three."""
    spread: float
    """Standard deviation of log q - log p over these: the "noise" of MAPA around the truth."""
    effective: float
    """exp H(p): the number of points that matter in truth."""
    effective_mapa: float
    """exp H(q): the number that matter to MAPA."""
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
class TraceView:
    """D.3: the posterior of one point against the latents of one model, all in the units of log p(z|x).

    Index posteriors are scaled by N and lifted by log N(z_i; 0, 1): log(N p(i|n)) + log N(z_i; 0, 1) tends to
    log p(z_i|x) as N grows.
    """

    title: str
    latent: str
    """What the abscissa is: 'ground-truth z', or whose codes."""
    line_z: Array
    """(L,)."""
    line: Array
    """(L,) log p(z|x), NaN where it lies more than SHOWN_NATS (explore/traces.py) below its maximum."""
    z: Array
    """(N,) latent of each training point."""
    empirical: Array
    """(N,) the true index posterior at each, NaN where it lies as far below the line's maximum."""
    mapa: Array
    """(N,) MAPA likewise."""
    head: Indices
    """(k,) the most probable points under MAPA, most probable first."""
    drawn: Indices
    """(S,) those drawn from the rest; may repeat."""
    numbers: Numbers


@dataclass(frozen=True)
class PlaneView:
    """The points in the plane, over the density they come from."""

    x: Array
    """(Gx,) grid along x_1."""
    y: Array
    """(Gy,) grid along x_2."""
    log_density: Array
    """(Gy, Gx) log p(x) of the ground truth."""
    points: Array
    """(N, 2) training points."""
    z: Array
    """(N,) their true latents."""
    log_q: Array
    """(N,) log q(i|n) of MAPA for the chosen point."""
    head: Indices
    """(k,) its most probable points."""
    drawn: Indices
    """(S,) those drawn from the rest."""
    chosen: Chosen


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
    """D.4: MAPA is computed once, from the points alone, and held against each variant's own posterior."""

    variants: tuple[Variant, ...]
    points: Array
    """(N, 2)."""
    chosen: Chosen
    note: str
    """One sentence: which variants there are, or why there is only one."""


@dataclass(frozen=True)
class BoundCurve:
    """The bound of eq. 10 under one proposal and one rule for k, against S."""

    proposal: str
    """'MAPA', 'MAPA-GT' (true index posterior) or 'MAPA-naive' (uniform)."""
    rule: str
    """How k goes with S: 'k = 10 % of S', 'k = 90 % of S', 'k = 5'."""
    draws: Array
    """(J,) values of S."""
    k: Indices
    """(J,) k at each S."""
    bound: tuple[Value, ...]
    """J means over points and draws, with their standard error."""
    gap: tuple[Value, ...]
    """J means of log p(x) of the empiricalized model minus the bound: points differ less in it than in the bound."""


@dataclass(frozen=True)
class BoundView:
    """Bound against S under the ground-truth decoder and the true latents."""

    curves: tuple[BoundCurve, ...]
    empirical: Value
    """Mean log p(x) of the empiricalized model (eq. 4): what every bound is below."""
    true: Value
    """Mean log p(x) of the model with the continuous prior."""
    points: int
    """Training points of which means are taken, a seeded sample."""
    repeats: int
    """Draws of each."""
    bandwidth: float


@dataclass(frozen=True)
class KlCurve:
    """Test KL of one method against S, from a finished comparison."""

    method: str
    draws: Array
    """(J,) values of S."""
    kl: tuple[Value, ...]
    """J means of KL(p_GT || p_model) over draws of the data, with their standard error; nats."""
    n: tuple[int, ...]
    """Draws of the data behind each."""


@dataclass(frozen=True)
class KlView:
    """Fig. 2-3 (left): test KL against S on one data set."""

    dataset: str
    curves: tuple[KlCurve, ...]
    flat: tuple[tuple[str, Value], ...]
    """Methods without an S (VAE), as lines across."""
    claims: tuple[str, ...] = ()
    """What the paper's text says of this set, and whether it holds here, a line each."""
    sweep: str = ""
    """Which sweep the figures are of, in words."""


@dataclass(frozen=True)
class DensityView:
    """p_model(x) of a trained run beside p_GT(x)."""

    name: str
    x: Array
    """(Gx,)."""
    y: Array
    """(Gy,)."""
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


@dataclass(frozen=True)
class PassCurve:
    """Network passes of one method for each point of a batch, against S."""

    method: str
    """'MAPA, k = 10 % of S', 'MAPA, k = 90 % of S', 'IWAE', 'MAPA max'."""
    draws: Array
    """(J,) values of S."""
    decoder: tuple[Value, ...]
    """J decoder passes per point (Fig. 4); mean over batches, se None where it is exact."""
    both: tuple[Value, ...]
    """J encoder and decoder passes per point (Fig. 5)."""


@dataclass(frozen=True)
class PassesView:
    """Fig. 4-5: what a gradient step costs."""

    curves: tuple[PassCurve, ...]
    batch: int
    n_total: int
    bandwidth: float


@dataclass(frozen=True)
class Slider:
    """A hyper-parameter of an image model's kernel, for whoever builds its control."""

    name: str
    label: str
    low: float
    high: float
    default: float
    logarithmic: bool
    help: str


@dataclass(frozen=True)
class Neighbour:
    """One training image among the most probable of a list."""

    index: int
    """In the training split."""
    label: str | None
    image: Array
    """(C, H, W) in [0, 1]."""
    probability: float
    """Under the list's own index posterior."""
    distance: float
    """Root mean square difference to the test image, in pixel units."""
    latent_distance: float
    """Distance of the two codes, prior sd."""
    shared: bool
    """Whether the other list has it too."""


@dataclass(frozen=True)
class NeighboursView:
    """Whose latents are near: by the pixels alone (MAPA), and by the trained model (empiricalized posterior)."""

    title: str
    image: Array
    """(C, H, W) the test image."""
    label: str | None
    reconstruction: Array
    """(C, H, W) decoded from its code."""
    mapa: tuple[Neighbour, ...]
    """k of them, most probable first."""
    empirical: tuple[Neighbour, ...]
    """k of them, most probable first."""
    overlap: int
    """Training images that both lists have."""
    kl: float
    """KL(empiricalized || MAPA), nats."""
    kl_uniform: float
    """KL(empiricalized || uniform), the yardstick."""
    effective: float
    """exp of the entropy of the empiricalized posterior: training images that matter to the model."""
    effective_mapa: float
    """The same of MAPA."""
    n_total: int
    """N, training images."""
    kernel: str
    """The kernel in words with its hyper-parameters."""
    note: str
    """One sentence on what is exact and what is not; empty where all is."""


@dataclass(frozen=True)
class CodesView:
    """Where the neighbours' codes lie among those of the training images."""

    index: Indices
    """(M,) training indices of the points, the neighbours among them."""
    xy: Array
    """(M, 2)."""
    class_index: Indices
    """(M,), -1 without labels."""
    class_names: tuple[str, ...]
    place: Array
    """(2,) of the test image's own code."""
    mapa: Indices
    """Rows of `xy` that are neighbours by MAPA."""
    empirical: Indices
    """Rows of `xy` that are neighbours by the empiricalized posterior."""
    x_label: str
    y_label: str
    note: str
    """What the map is: the latent plane, or the first two principal components; and the sample shown."""
