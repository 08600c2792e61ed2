"""What each view of the Posterior Explorer shows, as plain numpy data. Computing fills these; plots draw them.

Units: latent coordinates are in prior standard deviations, log densities and gaps in nats, pixels in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Value:
    """A mean and its standard error; None for a single image."""

    mean: float
    se: float | None = None


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
class PosteriorView:
    """View 1: the true posterior over the plane with what the encoders say."""

    plane: Plane
    x: Array
    """(Gx,) grid coordinates along the first axis, closer together where a sharp posterior lies in a wide window."""
    y: Array
    """(Gy,) along the second."""
    log_density: Array
    """(Gy, Gx) log p(z|x) on the plane in nats; for a slice normalised over the shown plane."""
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
class Correlation:
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
    scatter_index: NDArray[np.integer]
    """(M,) test indices of the instances in the scatter (those with gaps computed)."""
    scatter_uncertainty: Array
    """(M,)."""
    per_dimension_range: tuple[float, float]
    """Smallest and largest positive V[f_j], V[h_j] over the test instances; (0, 0) where there is none."""
    scatter: dict[str, Array] = field(default_factory=dict)
    """Quantity -> (M,): 'inference gap', 'approximation gap', 'amortization gap', 'negentropy' in nats, and, at d = 2,
    'number of modes'."""
    correlations: tuple[Correlation, ...] = ()


@dataclass(frozen=True)
class FigureOneItem:
    """One of the six instances of Fig. 1."""

    index: int
    uncertainty: float
    posterior: PosteriorView
    image: Array
    reconstruction: Array


@dataclass(frozen=True)
class Trace:
    """Log posterior density against one latent coordinate."""

    coordinate: str
    line_x: Array
    line_y: Array
    """log p(z|x), the largest over the other coordinates (d = 2) or along the slice (d > 2)."""
    z: Array
    """(M,) this coordinate of the training codes shown."""
    empirical: Array
    """(M,) log density of the empiricalized model's index posterior at these codes; NaN far below what is shown."""
    mapa: Array
    """(M,) the same of MAPA."""


@dataclass(frozen=True)
class TracesView:
    """View 3: true, empiricalized and MAPA posterior on one scale, per coordinate."""

    traces: tuple[Trace, ...]
    bandwidth: float
    """Standard deviation of MAPA's Gaussian kernel, in pixel units."""
    bandwidth_source: str
    kl_mapa: float
    """KL(empiricalized || MAPA) between the two index posteriors, in nats."""
    note: str
    """One sentence: what the line is (profile or slice)."""


@dataclass(frozen=True)
class MapView:
    """View 4: the t-SNE map of the latents of the test set."""

    index: NDArray[np.integer]
    """(M,) test indices of the points."""
    xy: Array
    """(M, 2)."""
    class_index: NDArray[np.integer]
    """(M,), -1 without labels."""
    class_names: tuple[str, ...]
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
        """Whether log_px is by quadrature; otherwise it is a lower bound, and so are the gaps."""
        return self.log_px_truth in ("line", "grid")
