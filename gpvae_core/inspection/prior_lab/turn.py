"""One object, as it is predicted at any value of a number, such as its angle (Jazbec et al. 2021, Fig. 5, C.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpvae_core.errors import UserError
from gpvae_core.inspection.prior_lab.lab import ConditionalLab, Values, axis_label, liveliest
from gpvae_core.inspection.prior_lab.views import Curves, ShownImage, TurnView
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.progress import checkpoint

STRIP, FINE = 9, 73
"""Number of predictions in the strip, and of the places at which latents are drawn."""
SAME = 1e-6
"""Share of the number's range by which two values may differ and still be the same."""


class TurnLab:
    """The objects of a run, each a combination of the categories on which predictions depend."""

    def __init__(self, lab: ConditionalLab) -> None:
        if lab.layout != "turn" or lab.number is None:
            raise UserError(
                f"run '{lab.name}' has no objects to turn: wanted one that depends on a number, without series"
            )
        self.lab, self.number = lab, lab.number
        train = lab.auxiliary("train")
        codes = [train[column.name] for column in lab.categories] or [np.zeros(len(train), np.int64)]
        self._things = np.unique(np.stack(codes, 1), axis=0)
        values = train[self.number.name]
        low, high = float(values.min()), float(values.max())
        self.range = (low, low + self.number.period) if self.number.period else (low, high)
        """Values of the number that can be chosen: one period, or those of the training images."""

    def __len__(self) -> int:
        return len(self._things)

    @property
    def what(self) -> str:
        """What an object is, by the names of its columns."""
        return " and ".join(column.name for column in self.lab.categories) or "instance"

    @property
    def unit(self) -> str:
        return self.number.unit

    def name(self, position: int) -> str:
        """Return the name of an object."""
        codes = zip(self.lab.categories, self._things[position], strict=False)
        return ", ".join(f"{column.name} {column.names[int(code)]}" for column, code in codes) or "all instances"

    def view(self, position: int, at: float) -> TurnView:
        """Return the prediction for an object at a value of the number, given all training images."""
        lab = self.lab
        here = self._columns(position, np.array([at]))
        mean, variance = lab.predicted(here)
        image = lab.decoded(mean, here)[0]
        checkpoint()
        truth = self._truth(position, at)
        error = None if truth is None else lab.errors(truth.split, np.array([truth.index]), image[None])[0]
        strip_at = np.linspace(*self.range, STRIP, endpoint=not self.number.period)
        fine = np.linspace(*self.range, FINE)
        means, variances = lab.predicted(self._columns(position, fine))
        around = self._columns(position, strip_at)
        rows = liveliest(means)
        trained = self._own("train", position)
        return TurnView(
            run=lab.name,
            thing=self.name(position),
            axis=axis_label(self.number),
            period=self.number.period,
            at=at,
            mean=image,
            spread=lab.spread(mean, variance, here)[0],
            truth=truth,
            mse=None if error is None else float(error),
            behind=lab.behind(self.name(position), here, self._nearest(trained, at)),
            has_process=lab.has_process,
            strip=lab.decoded(lab.predicted(around)[0], around),
            strip_at=strip_at,
            curves=Curves(fine, means[:, rows], np.sqrt(variances[:, rows])),
            coordinates=tuple(f"z{k + 1}" for k in rows),
            trained_at=np.sort(lab.auxiliary("train")[self.number.name][trained]),
        )

    def _columns(self, position: int, at: Array) -> Values:
        """Return the columns of an object at values of the number."""
        codes = zip(self.lab.categories, self._things[position], strict=False)
        values = {column.name: np.full(len(at), code, np.int64) for column, code in codes}
        return {**values, self.number.name: at}

    def distance(self, left: Array, right: float) -> Array:
        """Return the distance of values of the number, in its unit; half a period at most where it has one."""
        apart = np.abs(left - right)
        if self.number.period:
            apart = np.minimum(apart % self.number.period, self.number.period - apart % self.number.period)
        return apart

    def _truth(self, position: int, at: float) -> ShownImage | None:
        """Return the object's view at this value in the test, validation or training images, in this order."""
        for split in ("test", "validation", "train"):
            own = self._own(split, position)
            found = own[self._is_at(split, own, at)]
            if found.size:
                return self.lab.shown(split, int(found[0]))
        return None

    def _nearest(self, trained: Indices, at: float) -> Indices:
        """Return the object's training images, nearest first."""
        apart = self.distance(self.lab.auxiliary("train")[self.number.name][trained], at)
        return trained[np.argsort(apart, kind="stable")]

    def _own(self, split: str, position: int) -> Indices:
        """Return the images of an object in a split."""
        auxiliary = self.lab.auxiliary(split)
        own = np.ones(len(auxiliary), np.bool_)
        for column, code in zip(self.lab.categories, self._things[position], strict=False):
            own &= auxiliary[column.name] == code
        found = np.flatnonzero(own)
        return found[self.lab.is_seen(split, found)]

    def training_view(self, position: int, at: float) -> int | None:
        """Return the index of the object's training image at this value, None where there is none."""
        own = self._own("train", position)
        found = own[self._is_at("train", own, at)]
        return int(found[0]) if found.size else None

    def _is_at(self, split: str, index: Indices, at: float) -> NDArray[np.bool_]:
        """Return which images of a split are at this value of the number."""
        tolerance = SAME * (self.range[1] - self.range[0])
        return self.distance(self.lab.auxiliary(split)[self.number.name][index], at) <= tolerance

    def known_places(self, position: int) -> dict[str, Array]:
        """Return the values of the number at which the object has views, by the split."""
        splits = ("test", "validation", "train")
        return {
            split: np.sort(self.lab.auxiliary(split)[self.number.name][self._own(split, position)]) for split in splits
        }

    def first_place(self, position: int) -> float:
        """Return the value at which the object is looked at first: of an image not trained on, else of one that is.

        Of an object without an image it is in the middle.
        """
        known = self.known_places(position)
        unseen, trained = [*known["test"], *known["validation"]], known["train"]
        if unseen:
            return float(unseen[0])
        return float(trained[len(trained) // 2]) if len(trained) else sum(self.range) / 2
