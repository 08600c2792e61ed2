"""Data of the size and columns of rotated MNIST with drawn pixels, as the time of training does not depend on them."""

from __future__ import annotations

import numpy as np

from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.base import Dataset
from gpvae_core.data.split import Split, fingerprint
from gpvae_core.types import EventShape

SHAPE: EventShape = (1, 28, 28)
ANGLES, IDENTITIES, IMAGES = 16, 400, 4050
HELD_OUT = 100
VECTOR = 8


def views(digits: int) -> Dataset:
    """Return 4,050 training images for each digit, at angles and of objects as in rotated MNIST."""
    objects = tuple(f"{digit}-{number}" for digit in range(digits) for number in range(IDENTITIES))
    columns = (
        Column("angle", "number", period=2.0 * np.pi, unit="rad"),
        Column("object", "category", names=objects),
        Column("pca", "vector", size=VECTOR),
    )
    rng = np.random.default_rng(0)
    pca = rng.standard_normal((len(objects), VECTOR))

    def split(count: int) -> Split:
        of = rng.integers(len(objects), size=count)
        angle = 2.0 * np.pi / ANGLES * rng.integers(ANGLES, size=count)
        auxiliary = Auxiliary(columns, {"angle": angle, "object": of, "pca": pca[of]})
        return Split(rng.random((count, *SHAPE), dtype=np.float32), np.zeros(count, np.int64), 1, auxiliary)

    parts = split(digits * IMAGES), split(HELD_OUT), split(HELD_OUT)
    return Dataset("views", *parts, ("all",), SHAPE, fingerprint(*parts))
