"""Synthetic points as data sets: 1,000 for training, validation and test, and the model that made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from gpvae_core.data.base import DATASETS, DataConfig, RawData, Source, Split
from gpvae_core.data.known_truth import KnownTruth
from gpvae_core.data.synthetic import examples
from gpvae_core.data.synthetic.examples import Draw, Example, draw
from gpvae_core.data.synthetic.surrogate import ARCHITECTURE, EVENT_SHAPE
from gpvae_core.errors import UserError
from gpvae_core.types import EventShape

COUNT = 1000
"""Points of each part."""
NOTE = "synthetic points of known origin, drawn by split_seed, not images"


def settings_of(example: Example) -> dict[str, Any]:
    """What a run on these points has by default: the truth's latents, architecture and noise, and C.2's training."""
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
    """Points (x_1, x_2), kept as images of one row and two columns; `split_seed` decides the draw."""

    shape: EventShape | None = EVENT_SHAPE
    bounded: ClassVar[bool] = False
    example: ClassVar[Example]

    @classmethod
    def present(cls) -> bool | str | None:
        return "built in"

    def read(self) -> RawData:
        _check_fraction(self.config)
        parts = [draw(self.example.name, COUNT, self.config.split_seed, part) for part in range(3)]
        train, validation, test = map(_split, parts)
        latents = (one.latents for one in parts)
        truth = KnownTruth(self.example.decoder(), self.example.sigma, 1, *latents)
        return RawData(train, test, self.example.class_names, validation, NOTE, truth)


def _split(one: Draw) -> Split:
    return Split(one.points, one.labels, levels=1)


def _check_fraction(config: DataConfig) -> None:
    """Validation points are drawn by themselves; a share that would be ignored is refused."""
    default = DataConfig.model_fields["validation_fraction"].default
    if config.validation_fraction != default:
        raise UserError(
            f"'{config.name}' has {COUNT} validation points of its own: leave out validation_fraction="
            f"{config.validation_fraction:g}"
        )


@DATASETS.register("figure-8")
class Figure8(Points):
    """Figure-8, points on a lemniscate that crosses itself (synthetic, Yacoby et al. 2024)."""

    example = examples.FIGURE_8
    wants: ClassVar[Mapping[str, Any]] = settings_of(example)


@DATASETS.register("circle")
class Circle(Points):
    """Circle, points on a closed curve with a cut (synthetic, Yacoby et al. 2024)."""

    example = examples.CIRCLE
    wants: ClassVar[Mapping[str, Any]] = settings_of(example)


@DATASETS.register("circle-fold")
class CircleFold(Points):
    """The points of circle, made by a second decoder that goes round twice (synthetic)."""

    example = examples.CIRCLE_FOLD
    wants: ClassVar[Mapping[str, Any]] = settings_of(example)


@DATASETS.register("absolute-value")
class AbsoluteValue(Points):
    """Absolute-Value, points on a line segment (synthetic, Yacoby et al. 2024)."""

    example = examples.ABSOLUTE_VALUE
    wants: ClassVar[Mapping[str, Any]] = settings_of(example)


@DATASETS.register("absolute-value-fold")
class AbsoluteValueFold(Points):
    """The points of absolute-value, made by a second decoder that goes there and back (synthetic)."""

    example = examples.ABSOLUTE_VALUE_FOLD
    wants: ClassVar[Mapping[str, Any]] = settings_of(example)


@DATASETS.register("clusters")
class Clusters(Points):
    """Clusters, four on a circle with steep ways between (synthetic, Yacoby et al. 2024)."""

    example = examples.CLUSTERS
    wants: ClassVar[Mapping[str, Any]] = settings_of(example)


@DATASETS.register("spiral-dots")
class SpiralDots(Points):
    """Spiral-Dots, seven dots along a spiral with steep ways between (synthetic, Yacoby et al. 2024)."""

    example = examples.SPIRAL_DOTS
    wants: ClassVar[Mapping[str, Any]] = settings_of(example)


@DATASETS.register("linear-gaussian")
class LinearGaussian(Points):
    """Points of a linear decoder, whose posterior and p(x) are known in closed form (synthetic)."""

    example = examples.LINEAR_GAUSSIAN
    wants: ClassVar[Mapping[str, Any]] = settings_of(example)
