"""The views of the Posterior Explorer as plain numpy data, and base classes that the labs' views share.

`gpvae_core.inspection` computes views, and `gpvae_core.plots` draws them. Latent coordinates are in prior standard
deviations, log densities and gaps in nats, and pixels in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpvae_core.hashes import hexdigest

Array = NDArray[np.floating]
Indices = NDArray[np.integer]
USUAL = (5, 95)
"""Percentiles of a sample of images between which a quantity's usual range lies."""


@dataclass(frozen=True)
class Value:
    """A mean and its standard error; None for a single image."""

    mean: float
    se: float | None = None


@dataclass(frozen=True)
class PlaneGrid:
    """A rectangular grid over a plane, whose spacing may vary."""

    x: Array
    """(Gx,) coordinates along the first axis."""
    y: Array
    """(Gy,) coordinates along the second axis."""


@dataclass(frozen=True)
class GridDensity(PlaneGrid):
    """A log density at every point of a grid."""

    log_density: Array
    """(Gy, Gx), nats."""


@dataclass(frozen=True)
class LabelledMap:
    """M images as labelled points in the plane."""

    index: Indices
    """(M,) index of each image in its split."""
    xy: Array
    """(M, 2)."""
    class_index: Indices
    """(M,) index of each image's class in `class_names`; -1 if it has no label."""
    class_names: tuple[str, ...]

    def class_name(self, c: int) -> str | None:
        """Return the name of the class `c`; None for an image without a label."""
        return self.class_names[c] if 0 <= c < len(self.class_names) else None


@dataclass(frozen=True)
class PosteriorTrace:
    """A true posterior along one latent coordinate, and two index posteriors at N codes, on one scale in nats."""

    line_z: Array
    """(L,) values of the coordinate."""
    line: Array
    """(L,) log p(z|x) at these values; NaN far below its maximum."""
    z: Array
    """(N,) the coordinate of each code."""
    empirical: Array
    """(N,) the empiricalized model's index posterior at each code; NaN below the displayed range."""
    mapa: Array
    """(N,) MAPA at each code; NaN below the displayed range."""


@dataclass(frozen=True)
class IndexComparison:
    """Comparison of MAPA q(i|n), eq. 8, with the index posterior p(i|n), eq. 7, of one point (Yacoby et al. 2024)."""

    kl: float
    """KL(p || q), nats."""
    kl_uniform: float
    """KL(p || uniform) = log N - H(p), nats, for comparison with `kl`."""
    effective: float
    """exp H(p), the effective number of training points under the model."""
    effective_mapa: float
    """exp H(q), the effective number of training points under MAPA."""


@dataclass(frozen=True)
class Instance:
    """An image under examination: a test image, or a drawn or uploaded one (index None)."""

    image: Array
    """(C, H, W) in [0, 1]."""
    index: int | None
    label: str | None
    source: str
    """'test', 'drawn' or 'uploaded'."""

    @property
    def key(self) -> str:
        """Key of cached results: the index of a test image, a hash of the pixels of any other image."""
        if self.index is not None:
            return f"test {self.index}"
        return hexdigest([np.ascontiguousarray(self.image).tobytes()], "sha1")

    @property
    def title(self) -> str:
        """The image in words, such as 'test image 3, class 7'."""
        if self.index is None:
            return f"{self.source} image"
        return f"test image {self.index}" + (f", class {self.label}" if self.label is not None else "")


@dataclass(frozen=True)
class Plane:
    """A plane of latent space: the points origin + u e1 + w e2."""

    origin: Array
    """(D,)."""
    axes: Array
    """(2, D), the orthonormal rows e1 and e2."""
    x_label: str
    y_label: str
    is_slice: bool
    """Whether d > 2: a density on the plane is then a slice through `origin`, not a marginal."""
    note: str
    """One sentence that describes the slice; empty at d = 2."""

    def coordinates(self, z: Array) -> Array:
        """Return the coordinates (..., 2) of the projection of z (..., D) onto the plane."""
        return (z - self.origin) @ self.axes.T


@dataclass(frozen=True)
class GaussianShape:
    """A Gaussian in the plane, drawn as an ellipse, with mean (2,) and covariance (2, 2)."""

    name: str
    mean: Array
    covariance: Array
    outline: Array | None = None
    """(P, 2) boundary of the 90 % region, NaN between pieces, of a density with these moments that is not a diagonal
    Gaussian; drawn in place of the ellipse."""


@dataclass(frozen=True)
class PosteriorView(GridDensity):
    """View 1: log p(z|x) over the plane, on a slice normalised over the window, with the approximate posteriors."""

    plane: Plane
    hpd_levels: tuple[tuple[float, float], ...]
    """(mass, log density threshold) of highest-posterior-density regions, e.g. (0.5, -1.2), (0.9, -3.4), (0.99, -6)."""
    base_samples: Array
    """(S, 2) samples of `Posterior.base()`: the base encoder N(b, c^2) of a GP encoder, mostly q(z|x) itself."""
    gaussians: tuple[GaussianShape, ...]
    """The (marginalised) encoder and, if known, the best Gaussians."""
    mapa_points: Array
    """(M, 2) codes of the training instances with the largest MAPA probability."""
    mapa_weights: Array
    """(M,) probability q(i|n) of each."""
    modes: Array
    """(J, 2) local maxima of the posterior, highest first; on a slice only the highest one."""
    base_name: str = "q(z|x)"
    """What the density of `base_samples` is called."""


@dataclass(frozen=True)
class CoordinateTrace(PosteriorTrace):
    """Trace along one coordinate; its line is the profile over the other coordinate (d = 2) or a slice (d > 2)."""

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
    """One sentence on the line: profile or slice."""
    kl_uniform: float
    """KL(empiricalized || uniform) = log N - H(empiricalized), in nats, for comparison with `kl_mapa`."""


@dataclass(frozen=True)
class MapView(LabelledMap):
    """View 4: the map of the latents of the test set."""

    uncertainty: Array | None
    """(M,) Tr V[f] + Tr V[h]; None if the encoder reports no uncertainty."""
    gap: Array | None
    """(M,) inference gap in nats, NaN where not computed; None before any is computed."""
    sample_note: str
    """Description of the sample: 'all 360 test images' or 'a seeded sample of 5,000 of 10,000 test images'."""
    note: str = ""
    """How the place of a point is to be read."""
    x_label: str = ""
    """Name of the latent coordinate along the horizontal axis, at d = 1; empty where the axes have no meaning."""


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
    """View 5: reconstructions of the input, and decoded samples of the posterior."""

    image: Array
    items: tuple[Reconstruction, ...]
    samples: Array
    """(S, C, H, W) decoded samples of the true posterior; at d > 2 by importance resampling."""
    samples_note: str


@dataclass(frozen=True)
class GapView:
    """View 6: gaps of one instance under one run, in nats."""

    run: str
    log_px: float
    log_px_truth: str
    """'line' or 'grid' (quadrature), 'ais' or 'iwae' (then a lower bound)."""
    best_full_elbo: float | None
    best_diagonal_elbo: float | None
    """Both ELBOs are None until the best Gaussians are optimized."""
    encoder_elbo: float
    negentropy: float | None
    modes: int | None
    log_px_se: float | None = None
    """Standard error of log_px, nats; None for quadrature, or while it is unknown."""

    @property
    def exact(self) -> bool:
        """Whether log_px is by quadrature; otherwise it is a lower bound, and so are the gaps."""
        return self.log_px_truth in ("line", "grid")

    @property
    def full_is_diagonal(self) -> bool:
        """Whether d = 1, where the best Gaussian with full covariance is the best diagonal one."""
        return self.log_px_truth == "line"

    @property
    def provisional(self) -> bool:
        """Whether log_px is a quick bound, which a tighter one replaces once the best Gaussians are optimized."""
        return not self.exact and self.best_diagonal_elbo is None


@dataclass(frozen=True)
class SampleRange:
    """log p(x) and inference gaps of M test images of a run, with which those of one image are compared; (M,) nats."""

    log_px: Array
    gap: Array
