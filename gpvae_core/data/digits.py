"""scikit-learn's digits: 1,797 real 8x8 images with 17 grey levels, installed with the library."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpvae_core.data.base import DATASETS, RawData, Source
from gpvae_core.data.split import Split, stratified_test_split
from gpvae_core.types import EventShape


@DATASETS.register("digits")
class Digits(Source):
    """1,797 handwritten digits, 8x8 (scikit-learn); needs no download; a seeded 20 % of each class is the test set."""

    shape: EventShape | None = (1, 8, 8)

    @classmethod
    def present(cls) -> bool | None:
        return True

    def read(self) -> RawData:
        from sklearn.datasets import load_digits  # takes half a second to import, and other data sets do not need it

        bunch: Any = load_digits()
        images = Split(bunch.images.astype(np.uint8)[:, None], bunch.target.astype(np.int64), levels=16)
        train, test = stratified_test_split(images, self.config.split_seed, "'digits'")
        return RawData(train, test, tuple(str(name) for name in bunch.target_names))
