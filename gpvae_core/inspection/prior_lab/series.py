"""One series of frames under a GP prior: its latents given some of its frames, at these, at the others and between."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gpvae_core.errors import UserError
from gpvae_core.evaluation.group_images import group_images
from gpvae_core.evaluation.hidden_frames import hidden_frames, in_order
from gpvae_core.evaluation.known_path import AffineFit, path_column
from gpvae_core.evaluation.yardsticks import nearest_errors
from gpvae_core.inference.gp_prior.model import Predictor
from gpvae_core.inspection.prior_lab.lab import ConditionalLab, axis_label, liveliest
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.inspection.prior_lab.views import Curves, SeriesView
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.progress import checkpoint

MOST_PLACES, FINEST = 121, 4
"""Most places at which latents are decoded, beside the frames themselves, and the most places from frame to frame."""
FITTED = 50
"""Series of which the affine fit to the known path is made, the first of the split."""


class SeriesLab:
    """The series of a run's test split."""

    def __init__(self, lab: ConditionalLab, split: str = "test") -> None:
        if not isinstance(lab, PriorLab) or lab.layout != "series" or lab.number is None:
            raise UserError(f"run '{lab.name}' has no series of frames: its prior has no group with a number")
        self.lab, self.split, self.number = lab, split, lab.number
        found = group_images(lab.run, lab.engine, lab.splits[split])
        self._given = found.given
        if not found.given.all():
            # Frames of a series that is trained on lie in other splits too.
            self.split = f"series of {split}"
            lab.add(self.split, found.images)
        self._auxiliary = lab.auxiliary(self.split)
        self._codes = np.unique(self._auxiliary[lab.group])

    def __len__(self) -> int:
        return len(self._codes)

    def name(self, position: int) -> str:
        """Return the name of a series."""
        return self._auxiliary.column(self.lab.group).names[int(self._codes[position])]

    def code(self, position: int) -> int:
        """Return the code of a series."""
        return int(self._codes[position])

    def frames_of(self, position: int) -> Indices:
        """Return the images of a series, in the order of the number."""
        return in_order(self._auxiliary, self.lab.group, self.number.name, self.code(position))

    def view(self, position: int, hide: str) -> SeriesView:
        """Return a series of which the frames of `hide` (see HIDDEN) are hidden from the model."""
        lab, index = self.lab, self.frames_of(position)
        times, there = self._auxiliary[self.number.name][index], lab.is_seen(self.split, index)
        seen = there & self._given[index] & ~hidden_frames(hide, len(index))
        if not seen.any():
            raise UserError(f"of {self.name(position)} no frame is left to give the model: hide fewer")
        given = lab.given(self.split, index[seen])
        at, at_frames = _places(times)
        columns = self._columns_at(index, times, at)
        mean, variance = lab.predicted_by(given, columns)
        checkpoint()
        curves, coordinates, unit = self._curves(at, mean, variance)
        frames = lab.splits[self.split].pixels(index).double().numpy()
        decoded = lab.decoded(mean, columns)
        column = path_column(self._auxiliary)
        return SeriesView(
            run=lab.name,
            series=self.name(position),
            axis=axis_label(self.number),
            coordinates=coordinates,
            unit=unit,
            curves=curves,
            times=times,
            seen=seen,
            missing=~there,
            frames=frames,
            at_frames=at_frames,
            decoded=decoded,
            spread=lab.spread(mean, variance, columns),
            path=None if column is None else self._auxiliary[column.name][index],
            mse=lab.errors(self.split, index, decoded[at_frames]),
            nearest=None if seen.all() else self._nearest(index, seen),
            shares=self._shares(given, self._columns_at(index, times, times)),
        )

    def _nearest(self, index: Indices, seen: NDArray[np.bool_]) -> Array:
        """Return the mean square error (T,) of each frame's nearest one among those that are seen."""
        images, at = self.lab.splits[self.split], np.asarray(index, np.int64)
        return nearest_errors(images.take(at), images.take(at[seen]), self.number.name)["nearest_view"]

    def _shares(self, given: Predictor, values: Mapping[str, np.ndarray]) -> Array | None:
        """Return the share of each frame given in the prediction of each frame, (T, S)."""
        weights = self.lab.weights_by(given, values)
        if weights is None:
            return None
        size = weights.abs().sum(0).cpu().numpy()
        return size / np.maximum(size.sum(1, keepdims=True), np.finfo(size.dtype).tiny)

    def _columns_at(self, index: Indices, times: Array, at: Array) -> dict[str, np.ndarray]:
        """Return the kernel's columns at these values of the number; the others are those of the nearest frame."""
        nearest = index[np.abs(at[:, None] - times).argmin(1)]
        values = {column.name: self._auxiliary[column.name][nearest] for column in self.lab.columns}
        return {**values, self.number.name: at}

    def _curves(self, at: Array, mean: Array, variance: Array) -> tuple[Curves, tuple[str, ...], str]:
        """Return the path after the affine fit or, without a known one, the channels that vary most."""
        column = path_column(self._auxiliary)
        if column is None:
            rows = liveliest(mean)
            return Curves(at, mean[:, rows], np.sqrt(variance[:, rows])), tuple(f"z{k + 1}" for k in rows), "latent"
        fit = self.fit()
        names = ("x", "y", "z")[: column.size] if column.size <= 3 else [str(k + 1) for k in range(column.size)]
        labels = tuple(f"{column.name} {name}" for name in names)
        return Curves(at, fit.path(mean), fit.deviation(variance)), labels, "path"

    def fit(self) -> AffineFit:
        """Return the affine fit to the known path of the latents of the first FITTED series, all frames given."""
        return self.lab.results.get(("fit", self.split), self._fit)

    def _fit(self) -> AffineFit:
        column = path_column(self._auxiliary)
        assert column is not None
        index, means = self.first_latents()
        return AffineFit.of(means, self._auxiliary[column.name][index])

    def first_latents(self) -> tuple[Indices, Array]:
        """Return the frames of the first FITTED series and their posterior means (M, D), all frames given."""
        return self.lab.results.get(("first latents", self.split), self._first_latents)

    def _first_latents(self) -> tuple[Indices, Array]:
        frames, means = [], []
        for position in range(min(FITTED, len(self))):
            checkpoint()
            index = self.frames_of(position)
            times = self._auxiliary[self.number.name][index]
            given = self.lab.given(self.split, index[self._given[index]])
            means.append(self.lab.predicted_by(given, self._columns_at(index, times, times))[0])
            frames.append(index)
        return np.concatenate(frames), np.concatenate(means)


def _places(times: Array) -> tuple[Array, Indices]:
    """Return the values of the number at which latents are computed, ascending, and the place of each frame in them.

    From frame to frame there are as many more as make about MOST_PLACES in all, at equal distances.
    """
    parts = min(FINEST, max(1, (MOST_PLACES - 1) // max(1, len(times) - 1)))
    between = [times[:-1] + np.diff(times) * k / parts for k in range(parts)]
    at = np.append(np.stack(between, 1).reshape(-1), times[-1])
    return at, np.arange(len(times)) * parts
