"""The small series with holes: frames that are missing, and pixels of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gpvae_core.data.base import Dataset
from gpvae_core.data.split import Split, fingerprint
from tests.inference.gp_prior import series_data, test_families
from tests.inference.gp_prior.series_data import DATA


def holed(split: Split, seed: int) -> Split:
    """The split with every fourth frame missing, and pixels of every third of the others."""
    rng = np.random.default_rng(seed)
    mask = np.ones((len(split), *split.images.shape[2:]), np.bool_)
    mask[::4] = False
    mask[1::3] &= rng.random(mask[1::3].shape) < 0.6
    return replace(split, images=split.images * mask[:, None], observed=mask)


def seen(split: Split) -> NDArray[np.int64]:
    """Indices of the frames that are not missing."""
    assert split.observed is not None
    return np.flatnonzero(split.observed.any((1, 2)))


def dataset(parts: tuple[Split, Split, Split]) -> Dataset:
    return Dataset("series", *parts, ("all",), DATA.event_shape, fingerprint(*parts))


_PARTS = holed(DATA.train, 0), holed(DATA.validation, 1), holed(DATA.test, 2)
HOLED = dataset(_PARTS)
DROPPED = dataset((_PARTS[0].take(seen(_PARTS[0])), _PARTS[1].take(seen(_PARTS[1])), _PARTS[2].take(seen(_PARTS[2]))))
"""The same without the missing frames."""


def without(data: Dataset, series: int) -> Dataset:
    """The data with a mask, by which all frames of one series are missing."""

    def split(part: Split) -> Split:
        assert part.auxiliary is not None
        mask = np.ones((len(part), *part.images.shape[2:]), np.bool_)
        mask[part.auxiliary["series"] == series] = False
        return replace(part, images=part.images * mask[:, None], observed=mask)

    return dataset((split(data.train), split(data.validation), split(data.test)))


@contextmanager
def on(data: Dataset) -> Iterator[None]:
    """Let models and inference of the series be those of other data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_data, "DATA", data)
        patch.setattr(test_families, "DATA", data)
        yield
