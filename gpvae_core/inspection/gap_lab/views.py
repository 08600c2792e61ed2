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
class GapStack:
    """One method's gaps: inference = approximation + amortization, the first of which all methods share."""

    method: str
    inference: Value
    """log p(x) - ELBO."""
    amortization: Value
    """ELBO of the best diagonal Gaussian - ELBO; negative for an answer that is better than any such Gaussian."""


@dataclass(frozen=True)
class StacksView:
    """Gaps of one image, or their means over a sample, under one decoder."""

    what: str
    log_px: Value
    approximation: Value
    """log p(x) - ELBO of the best diagonal Gaussian."""
    full: Value
    """log p(x) - ELBO of the best Gaussian with full covariance."""
    stacks: tuple[GapStack, ...]
    exact: bool
    """log p(x) by quadrature; otherwise a lower bound, and so are the gaps."""
    truth: str
    """One sentence: the estimator of log p(x) and its error."""


@dataclass(frozen=True)
class Outline:
    """The region of most of one answer on the plane: its boundary (P, 2), NaN between pieces, and its centre (2,)."""

    name: str
    line: Array
    centre: Array


@dataclass(frozen=True)
class ContoursView:
    """The true posterior with the outline of each method's answer."""

    truth: PosteriorView
    outlines: tuple[Outline, ...]
    mass: float
    """Share of an answer inside its outline."""


@dataclass(frozen=True)
class SviView:
    """An encoder's answer refined step by step, S steps: frame 0 is the encoder's own answer."""

    start: str
    settings: str
    elbo: Array
    """(S + 1,)."""
    outlines: tuple[Outline, ...]
    """S + 1 of them."""
    log_px: float
    best_diagonal_elbo: float
    best_full_elbo: float
    exact: bool


@dataclass(frozen=True)
class TimedMethod:
    """One method: how long a batch takes, and how good its answers are."""

    method: str
    milliseconds: float
    """Median."""
    low: float
    high: float
    """Quartiles."""
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
    """The name of each point, for whoever hovers over it."""
    inference: tuple[Value, ...]
    approximation: tuple[Value, ...]
    amortization: tuple[Value, ...]
    logarithmic: bool
    sample: int
    exact: bool
    title: str
