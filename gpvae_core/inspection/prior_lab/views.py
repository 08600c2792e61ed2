"""The views of the GP-Prior Lab as plain numpy data. Columns are in their own units, pixels in those of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpvae_core.inspection.views import Array, Indices, LabelledMap

Layout: TypeAlias = Literal["series", "turn", "grid", ""]
"""How instances are looked at: series of frames, one object at any value of a number, a grid of two categories, or
not at all where predictions depend on none of these."""
Rests: TypeAlias = Literal["weights", "identity", "free", "nothing"]
"""What the latents that are predicted rest on: training images by the weights of the kernel smoother, those of the same
identity alike, a posterior with parameters of its own, or nothing, where they have the prior."""


@dataclass(frozen=True)
class Curves:
    """E coordinates of the latents over a number: their posterior means and standard deviations."""

    at: Array
    """(P,) ascending values of the number."""
    mean: Array
    """(P, E)."""
    deviation: Array
    """(P, E)."""


@dataclass(frozen=True)
class SeriesView:
    """One series of frames, some of which may be hidden from the model, and what it says of all and between them."""

    run: str
    series: str
    """Name of the series, such as 'test 12'."""
    axis: str
    """Name and unit of the number, such as 'time (frames)'."""
    coordinates: tuple[str, ...]
    """Names of the E coordinates: those of the known path, else of latent channels."""
    unit: str
    """Of the coordinates: 'path' after the affine fit, 'latent' without."""
    curves: Curves
    times: Array
    """(T,) ascending numbers of the frames."""
    seen: NDArray[np.bool_]
    """(T,) whether the model was given each frame."""
    missing: NDArray[np.bool_]
    """(T,) whether each frame is missing in the data."""
    frames: Array
    """(T, C, H, W)."""
    at_frames: Indices
    """(T,) place of each frame among the P values of the curves."""
    decoded: Array
    """(P, C, H, W) decoded mean of the latents."""
    spread: Array
    """(P, H, W) standard deviation of a pixel over samples of the latents, the root mean square over its channels."""
    path: Array | None
    """(T, E) the known path; None without one."""
    mse: Array
    """(T,) mean square error of a frame's observed pixels; NaN of a missing frame."""
    nearest: Array | None
    """(T,) the same of the nearest frame given in place of a hidden one; None where none is hidden."""
    shares: Array | None
    """(T, S) share of each of the S frames given in the prediction of each frame, sum_l |w^l| over channels, of the sum
    over the frames given; None where the method has no weights."""

    @property
    def rmse(self) -> float | None:
        """Root mean square error of the coordinates at the frames that count, in the units of the path."""
        counted = self.counted
        if self.path is None or not counted.any():
            return None
        return float(np.sqrt(np.square(self.curves.mean[self.at_frames] - self.path)[counted].mean()))

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(T,) The frames on which errors are taken: those that were hidden, or all that there are where none was."""
        hidden = ~self.seen & ~self.missing
        return hidden if hidden.any() else ~self.missing

    @property
    def inside(self) -> tuple[int, int]:
        """Of how many coordinates of the counted frames the path is within two standard deviations, and of how many."""
        if self.path is None:
            return 0, 0
        off = np.abs(self.curves.mean[self.at_frames] - self.path)[self.counted]
        within = off <= 2 * self.curves.deviation[self.at_frames][self.counted]
        return int(within.sum()), within.size


@dataclass(frozen=True)
class ShownImage:
    """An image with its place on the number's axis, and what is said of it."""

    image: Array
    """(C, H, W)."""
    at: float | None
    """None where images are not looked at along a number."""
    split: str
    index: int
    thing: str = ""
    share: float | None = None
    """Of a training view: its share in the weights of the prediction, see `evaluation.views`; None without weights."""


@dataclass(frozen=True)
class BehindView:
    """The training views on which a prediction rests."""

    run: str
    thing: str
    """What is predicted: an object, or a pair of two categories."""
    at: float | None
    """The value of the number at which it is predicted; None without one."""
    axis: str
    """Name of the number with its unit; '' without one."""
    period: float | None
    views: tuple[ShownImage, ...]
    """Those of the largest share first; without weights the object's own, nearest first."""
    effective: float | None
    """Effective number of training views behind the prediction; None without weights."""
    rests: Rests
    given: int
    """Number of training views."""


@dataclass(frozen=True)
class TurnView:
    """One object at a value of a number, such as an angle: the prediction, and the object's views that are known."""

    run: str
    thing: str
    axis: str
    period: float | None
    at: float
    mean: Array
    """(C, H, W) decoded mean of the latents."""
    spread: Array
    """(H, W) standard deviation of a pixel over samples of the latents."""
    truth: ShownImage | None
    """The object's view at this very value, if there is one in the data."""
    mse: float | None
    """Mean square error of the prediction's pixels, if there is such a view."""
    behind: BehindView
    has_process: bool
    """Whether the latents are a function of the number; else they are the same at all its values."""
    strip: Array
    """(S, C, H, W) decoded means at `strip_at`."""
    strip_at: Array
    """(S,)."""
    curves: Curves
    """Of the latent channels that vary most, for this object."""
    coordinates: tuple[str, ...]
    trained_at: Array
    """(M,) values of the object's training views."""


CellKind: TypeAlias = Literal["generated", "given", "trained"]
"""Whether the model saw the image of a pair: not at all, as one of the first of a new category, or in training."""


@dataclass(frozen=True)
class GridCell:
    """A cell of a grid of two categories."""

    predicted: Array
    """(C, H, W)."""
    truth: Array | None
    """(C, H, W); None where there is no such image."""
    kind: CellKind
    mse: float | None


@dataclass(frozen=True)
class GridView:
    """Predictions at some values of two categories (Fig. 8)."""

    run: str
    row_name: str
    column_name: str
    rows: tuple[str, ...]
    new: tuple[bool, ...]
    """Whether each row's category has no training image."""
    columns: tuple[str, ...]
    cells: tuple[tuple[GridCell, ...], ...]

    @property
    def errors(self) -> dict[CellKind, float]:
        """Mean square error of a pixel over the pairs of each kind whose true image is known."""
        found: dict[CellKind, list[float]] = {}
        for cell in (cell for row in self.cells for cell in row):
            if cell.mse is not None and np.isfinite(cell.mse):
                found.setdefault(cell.kind, []).append(cell.mse)
        return {kind: float(np.mean(values)) for kind, values in found.items()}


@dataclass(frozen=True)
class PriorMap(LabelledMap):
    """The latents of images in the plane, with the columns that they can be coloured by."""

    categories: Mapping[str, tuple[Indices, tuple[str, ...]]]
    """Codes of each category, and their names."""
    numbers: Mapping[str, Array]
    """Values of each number, by the label of its axis."""
    periods: Mapping[str, float | None]
    note: str
    """What a place on the map means."""
    labels: tuple[str, str]
    """Names of the axes; '' for axes without a meaning."""
    split: str
    whole: int
    """Number of images of the split, of which these are some."""

    @property
    def colours(self) -> tuple[str, ...]:
        """What the map can be coloured by."""
        return (*self.numbers, *self.categories)


@dataclass(frozen=True)
class TrainingCurve:
    """The terms of a run's bound over its epochs."""

    run: str
    epochs: Array
    terms: Mapping[str, Array]
    """By name: reconstruction and KL in nats an image, mse, constraint and multiplier; NaN where there is none."""
    seconds: float


@dataclass(frozen=True)
class InstanceMeasure:
    """What amortization and mini-batches do to one series or image, all in nats unless said otherwise."""

    run: str
    what: str
    """Name of the series, or of the object with its place."""
    gap: float | None = None
    """Growth of the bound where its pseudo-observations are the best ones; None where the method has no such gap."""
    gap_error: float | None = None
    """Monte Carlo standard error of the gap."""
    own: float | None = None
    """Of an image, the part of the gap that is the growth of its own E log p(y|z)."""
    kl: float | None = None
    """Mean over mini-batches of KL(q_b(z) || q(z)); None where the method takes no mini-batches of one function."""
    kl_spread: float | None = None
    """Standard deviation of that KL over batches."""
    bias: float | None = None
    """Distance of the mean over batches from the posterior given all images, in posterior standard deviations."""
    bias_by_chance: float | None = None
    """What that distance would be without bias, as the batches are few."""
    batches: int = 0
    batch_size: int = 0
    images: int = 0
    """Training images of which batches are drawn."""

    @property
    def whole(self) -> bool:
        """Return whether a mini-batch holds all training images: what is left of `kl` is rounding."""
        return self.kl is not None and self.batch_size >= self.images


ERRORS = {"mse": "MSE", "path": "path RMSE"}
TIMES = {"total": "in all", "epoch": "an epoch"}
"""Errors and times by which runs are compared."""


@dataclass(frozen=True)
class RunScore:
    """What a run with a GP prior reaches, and what it takes."""

    run: str
    method: str
    images: int
    """Number of test images on which errors are taken."""
    mse: float
    """Mean square error of a test image's pixels, decoding the mean of the latents."""
    path_rmse: float | None
    """After one affine fit, in the units of the known path."""
    epochs: int
    seconds: float
    """Of training, in all."""
    points: int | None
    """Number of inducing points, m."""
    length_scale: float | None
    """Of the kernel's number; None for a kernel without one or with several."""
    learned: bool
    """Whether the length scale was learned."""

    def error(self, quantity: str) -> float | None:
        """Return an error by its key in ERRORS, None where the run has none."""
        return self.mse if quantity == "mse" else self.path_rmse
