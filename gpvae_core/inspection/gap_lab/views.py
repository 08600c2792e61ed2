"""The views of the Gap Lab as plain numpy data. Gaps and bounds are in nats, times in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from gpvae_core.inspection.views import Array, PosteriorView, Value


@dataclass(frozen=True)
class ReconstructedImage:
    """An image and its reconstruction by each method, (C, H, W) each, in [0, 1]."""

    title: str
    image: Array
    reconstructions: dict[str, Array]


@dataclass(frozen=True)
class ImageOfTest:
    """A test image by its index, where an index alone is that of a validation image."""

    index: int


LabImage = int | ImageOfTest


@dataclass(frozen=True)
class GapStack:
    """One method's gaps: inference = approximation + amortization, the first of which all methods share."""

    method: str
    inference: Value
    """log p(x) minus the method's ELBO."""
    amortization: Value
    """ELBO of the best diagonal Gaussian minus the method's ELBO; negative if the method exceeds that Gaussian."""
    usual: tuple[float, float] | None = None
    """The 5th and 95th percentile of the inference gap over the sample; None in its mean, and before it is computed."""


@dataclass(frozen=True)
class StacksView:
    """Gaps of one image, or their means over a sample, under one decoder."""

    what: str
    """The image or the sample, in words."""
    log_px: Value
    approximation: Value
    """log p(x) minus the ELBO of the best diagonal Gaussian."""
    full: Value
    """log p(x) minus the ELBO of the best Gaussian with full covariance."""
    stacks: tuple[GapStack, ...]
    exact: bool
    """Whether log p(x) is by quadrature; otherwise it is a lower bound, and so are the gaps."""
    truth: str
    """One sentence on the estimator of log p(x) and its error."""
    full_is_diagonal: bool = False
    """Whether d = 1, where the best Gaussian with full covariance is the best diagonal one."""


@dataclass(frozen=True)
class Outline:
    """Outline of one posterior on the plane: boundary (P, 2) of its region, NaN between pieces, and centre (2,)."""

    name: str
    line: Array
    centre: Array


@dataclass(frozen=True)
class ContoursView:
    """The true posterior with the outline of each method's posterior."""

    truth: PosteriorView
    outlines: tuple[Outline, ...]
    mass: float
    """Mass of a posterior inside its outline."""


@dataclass(frozen=True)
class SviView:
    """An encoder's posterior refined in S steps of SVI; entry 0 is the encoder's own posterior."""

    start: str
    """Name of the run whose encoder gives the start."""
    settings: str
    elbo: Array
    """(S + 1,) ELBO after each step, nats."""
    outlines: tuple[Outline, ...]
    """S + 1 outlines, one after each step."""
    log_px: float
    best_diagonal_elbo: float
    best_full_elbo: float
    exact: bool
    full_is_diagonal: bool = False
    """Whether d = 1, where the best Gaussian with full covariance is the best diagonal one."""


@dataclass(frozen=True)
class TimedMethod:
    """Time and accuracy of one method."""

    method: str
    milliseconds: float
    """Median time for a batch."""
    low: float
    high: float
    """Quartiles of the time."""
    elbo: Value
    inference: Value


@dataclass(frozen=True)
class TimesView:
    """Accuracy against time of several methods, measured side by side."""

    points: tuple[TimedMethod, ...]
    batch: int
    repeats: int
    sample: int
    device: str
    exact: bool


@dataclass(frozen=True)
class CurveView:
    """Mean gaps against training epochs or encoder size."""

    x: Array
    x_label: str
    labels: tuple[str, ...]
    """The name of each point, shown on hovering."""
    inference: tuple[Value, ...]
    approximation: tuple[Value, ...]
    amortization: tuple[Value, ...]
    logarithmic: bool
    sample: int
    exact: bool
    title: str
