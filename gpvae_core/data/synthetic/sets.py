"""Synthetic points as data sets: 1,000 points per split, with the model that generated them."""

from __future__ import annotations

from typing import Any, ClassVar

from gpvae_core.data.base import DATASETS, RawData, Source, refuse_validation_fraction
from gpvae_core.data.known_truth import KnownTruth
from gpvae_core.data.split import Split
from gpvae_core.data.synthetic.examples import EXAMPLES, SUMMARIES, Draw, Example, draw
from gpvae_core.data.synthetic.surrogate import ARCHITECTURE, EVENT_SHAPE
from gpvae_core.types import EventShape

COUNT = 1000
"""Number of points in each of the training, validation and test splits."""
NOTE = "synthetic points of known origin, drawn by split_seed, not images"


def settings_of(example: Example) -> dict[str, Any]:
    """Return the default settings of a run on these points: those of the true model, and the training of C.2."""
    return {
        "latent_dim": 1,
        "net.kind": ARCHITECTURE.kind,
        "net.hidden": ARCHITECTURE.hidden,
        "net.depth": ARCHITECTURE.depth,
        "likelihood.kind": "gaussian",
        "likelihood.sigma_x": example.sigma,
        "likelihood.learn_sigma_x": False,
        "train.epochs": 500,
        "train.batch_size": 100,
        "train.lr": 1e-3,
    }


class Points(Source):
    """Base class of the synthetic sets: points (x_1, x_2) as images of one row and two columns, drawn by split_seed."""

    shape: EventShape | None = EVENT_SHAPE
    is_images: ClassVar[bool] = False
    pixel_range: ClassVar[tuple[float, float] | None] = None
    example: ClassVar[Example]

    @classmethod
    def present(cls) -> bool | str | None:
        return "built in"

    def read(self) -> RawData:
        refuse_validation_fraction(self.config, f"{COUNT} validation points")
        parts = [draw(self.example.name, COUNT, self.config.split_seed, part) for part in range(3)]
        train, validation, test = map(_split, parts)
        latents = (part.latents for part in parts)
        truth = KnownTruth(self.example.decoder(), self.example.sigma, 1, *latents)
        return RawData(train, test, self.example.class_names, validation, NOTE, truth)


def _split(points: Draw) -> Split:
    return Split(points.points, points.labels, levels=1)


def source_of(example: Example) -> type[Points]:
    """Return the source of an example, a class with the example's summary as its docstring."""
    settings = {"__doc__": SUMMARIES[example.name], "example": example, "wants": settings_of(example)}
    return type(f"Points[{example.name}]", (Points,), settings)


for _example in EXAMPLES.values():
    DATASETS.register(_example.name)(source_of(_example))
