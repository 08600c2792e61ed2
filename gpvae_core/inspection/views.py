"""The views of the Posterior Explorer as plain numpy data, and the ideas that the labs share with them.

Computing fills these; plots draw them.
Units: latent coordinates are in prior standard deviations, log densities and gaps in nats, pixels in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Indices = NDArray[np.integer]


@dataclass(frozen=True)
class Value:
    """A mean and its standard error; None for a single image."""

    mean: float
    se: float | None = None


@dataclass(frozen=True)
class PlaneGrid:
    """A rectangular grid over a plane; its points may lie closer together where more happens."""

    x: Array
    """(Gx,) coordinates along the first axis."""
    y: Array
    """(Gy,) along the second."""


@dataclass(frozen=True)
class GridDensity(PlaneGrid):
    """A log density at every point of a grid."""

    log_density: Array
    """(Gy, Gx), nats."""


@dataclass(frozen=True)
class LabelledMap:
    """Images as M labelled points in the plane."""

    index: Indices
    """(M,) index of each image in its split."""
    xy: Array
    """(M, 2)."""
    class_index: Indices
    """(M,), -1 without labels."""
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class PosteriorTrace:
    """A true posterior along one latent coordinate, and two index posteriors at N codes, on one scale in nats."""

    line_z: Array
    """(L,) places along the coordinate."""
    line: Array
    """(L,) log p(z|x) there; NaN far below its maximum."""
    z: Array
    """(N,) the coordinate of each code."""
    empirical: Array
    """(N,) the empiricalized model's index posterior at each; NaN far below what is shown."""
    mapa: Array
    """(N,) MAPA likewise."""


@dataclass(frozen=True)
class IndexComparison:
    """MAPA q(i|n) of eq. 8 beside the index posterior p(i|n) of eq. 7, for one point (Yacoby et al. 2024)."""

    kl: float
    """KL(p || q), nats."""
    kl_uniform: float
    """KL(p || uniform) = log N - H(p), nats: the yardstick of `kl`."""
    effective: float
    """exp H(p): the number of training points that matter to the model."""
    effective_mapa: float
    """exp H(q): the number that matter to MAPA."""


@dataclass(frozen=True)
class Instance:
    """One image under examination: a test image (index) or one drawn or uploaded (index None)."""

    image: Array
    """(C, H, W) in [0, 1]."""
    index: int | None
    label: str | None
    source: str
    """'test', 'drawn' or 'uploaded'."""

    @property
    def title(self) -> str:
        if self.index is None:
            return f"{self.source} image"
        return f"test image {self.index}" + (f", class {self.label}" if self.label is not None else "")


@dataclass(frozen=True)
class Plane:
    """The plane of latent space that is shown: origin + u e1 + w e2."""

    origin: Array
    """(D,)."""
    axes: Array
    """(2, D), orthonormal rows."""
    x_label: str
    y_label: str
    is_slice: bool
    """True where d > 2: the density is that of a slice through `origin`, not a marginal."""
    note: str
    """One sentence naming the slice; empty for d = 2."""

    def coordinates(self, z: Array) -> Array:
        """(..., D) -> (..., 2): coordinates of the projection onto the plane."""
        return (z - self.origin) @ self.axes.T


@dataclass(frozen=True)
class GaussianShape:
    """A Gaussian in the plane, to be drawn as an ellipse: name, mean (2,), covariance (2, 2)."""

    name: str
    mean: Array
    covariance: Array
    outline: Array | None = None
    """(P, 2), NaN between pieces: where the 90 % region ends of a density with these moments that is no diagonal
    Gaussian; drawn in place of the ellipse."""


@dataclass(frozen=True)
class PosteriorView(GridDensity):
    """View 1: log p(z|x) over the plane (of a slice normalised over what is shown) with the encoders' answers."""

    plane: Plane
    hpd_levels: tuple[tuple[float, float], ...]
    """(mass, log density threshold) of highest-posterior-density regions, e.g. (0.5, -1.2), (0.9, -3.4), (0.99, -6)."""
    base_samples: Array
    """(S, 2) samples of the base encoder N(b, c^2)."""
    gaussians: tuple[GaussianShape, ...]
    """The (marginalised) encoder and the best Gaussians, where they are known."""
    mapa_points: Array
    """(M, 2) codes of the training instances with the largest MAPA probability."""
    mapa_weights: Array
    """(M,) their probability q(i|n)."""
    modes: Array
    """(J, 2) local maxima of the posterior, highest first; on a slice its highest one alone, the origin."""


@dataclass(frozen=True)
class UncertaintyCorrelation:
    """A rank correlation with a bootstrap interval: Spearman's rho, 95 % interval, number of instances."""

    against: str
    rho: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class UncertaintyView:
    """View 2: this instance's GP uncertainty against the data set's."""

    trace_f: float
    trace_h: float
    per_dimension_f: Array
    """(D,)."""
    per_dimension_h: Array
    """(D,)."""
    all_trace_f: Array
    """(N,) over the test instances."""
    all_trace_h: Array
    """(N,)."""
    percentile: float
    """Share of test instances with a smaller Tr V[f] + Tr V[h], 0 to 100."""
    scatter_index: Indices
    """(M,) test indices of the instances in the scatter (those with gaps computed)."""
    scatter_uncertainty: Array
    """(M,)."""
    per_dimension_range: tuple[float, float]
    """Smallest and largest positive V[f_j], V[h_j] over the test instances; (0, 0) where there is none."""
    scatter: dict[str, Array] = field(default_factory=dict)
    """Quantity -> (M,): 'inference gap', 'approximation gap', 'amortization gap', 'negentropy' in nats, and, at d = 2,
    'number of modes'."""
    correlations: tuple[UncertaintyCorrelation, ...] = ()


@dataclass(frozen=True)
class FigureOneItem:
    """One of the six instances of Fig. 1."""

    index: int
    uncertainty: float
    posterior: PosteriorView
    image: Array
    reconstruction: Array


@dataclass(frozen=True)
class CoordinateTrace(PosteriorTrace):
    """The line is the largest log p(z|x) over the other coordinates (d = 2), or that along the slice (d > 2)."""

    coordinate: str


@dataclass(frozen=True)
class TracesView:
    """View 3: true, empiricalized and MAPA posterior on one scale, per coordinate."""

    traces: tuple[CoordinateTrace, ...]
    bandwidth: float
    """Standard deviation of MAPA's Gaussian kernel, in pixel units."""
    bandwidth_source: str
    kl_mapa: float
    """KL(empiricalized || MAPA) between the two index posteriors, in nats."""
    note: str
    """One sentence: what the line is (profile or slice)."""


@dataclass(frozen=True)
class MapView(LabelledMap):
    """View 4: the t-SNE map of the latents of the test set."""

    uncertainty: Array | None
    """(M,) or None for an encoder without."""
    gap: Array | None
    """(M,) inference gap in nats, NaN where not computed; None before it is known."""
    sample_note: str
    """States the sample: 'all 360 test images' or 'a seeded sample of 5,000 of 10,000 test images'."""


@dataclass(frozen=True)
class Reconstruction:
    """One reconstruction with its error map."""

    name: str
    image: Array
    """(C, H, W)."""
    error: Array
    """(H, W), signed difference to the input, averaged over channels."""
    rmse: float


@dataclass(frozen=True)
class ReconstructionView:
    """View 5."""

    image: Array
    items: tuple[Reconstruction, ...]
    samples: Array
    """(S, C, H, W): decoded samples of the true posterior (or, for d > 2, of the importance-resampled one)."""
    samples_note: str


@dataclass(frozen=True)
class GapView:
    """View 6: one instance's gaps under one run, in nats."""

    run: str
    log_px: float
    log_px_truth: str
    """'line' or 'grid' (quadrature), 'ais' or 'iwae' (then a lower bound)."""
    best_full_elbo: float | None
    best_diagonal_elbo: float | None
    """None while not yet optimised."""
    encoder_elbo: float
    negentropy: float | None
    modes: int | None
    log_px_se: float | None = None
    """Standard error of log_px, nats; None by quadrature, or while it is not known."""

    @property
    def exact(self) -> bool:
        """True where log_px is by quadrature; otherwise it is a lower bound, and so are the gaps."""
        return self.log_px_truth in ("line", "grid")
