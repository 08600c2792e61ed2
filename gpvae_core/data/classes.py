"""The classes of the user's own images as people see them: in natural order, without one of unlabelled images."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.split import Split


@dataclass(frozen=True)
class ShownClasses:
    """Which of the classes that people see each class that was read is.

    Images are split by the classes as they were read, and the fingerprint of a data set is that of the labels as they
    were read: both stay when the classes are shown in another order.
    """

    names: tuple[str, ...]
    """Names of the classes that people see."""
    index: NDArray[np.int64]
    """Index in `names` of each class that was read; -1 if its images have no label."""

    def label(self, split: Split) -> Split:
        """Return the split with the labels that people see; -1 stays."""
        # An index of -1 takes the last entry.
        return replace(split, labels=np.append(self.index, -1)[split.labels])


def shown_classes(names: Sequence[str], unlabelled: Collection[str] = ()) -> ShownClasses:
    """Return the classes in natural order, without those whose images have no label."""
    ordered = tuple(sorted((name for name in names if name not in unlabelled), key=_natural))
    place = {name: i for i, name in enumerate(ordered)}
    return ShownClasses(ordered, np.array([place.get(name, -1) for name in names], np.int64))


def _natural(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a sort key by which the numbers within names count as numbers: 2 stands before 10."""
    pieces: list[str | tuple[int, str]] = []
    # Texts and numbers alternate. A number is compared by its length first, as `int` refuses one of many digits.
    for text, digits in re.findall("([^0-9]*)([0-9]*)", name):
        number = digits.lstrip("0")
        pieces += [text, (len(number), number)]
    return pieces, name
