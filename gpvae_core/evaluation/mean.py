"""Base class of the parts of an evaluation, frozen and convertible to JSON; a mean with its standard error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Self, TypeVar

from numpy.typing import ArrayLike
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from gpvae_core.part import parse_model
from gpvae_core.stats import mean_se

T = TypeVar("T")


def _finite(value: T) -> T | None:
    """Return None for NaN and infinities, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A finite number, or None if it is undefined."""


class EvaluationPart(BaseModel):
    """Base class of the parts of an evaluation, each of which converts to JSON and back.

    >>> import gpvae_core as gpvae
    >>> gpvae.Mean.from_json({"mean": 2.0, "se": 0.5, "n": 3}).to_json()
    {'mean': 2.0, 'se': 0.5, 'n': 3}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    omitted: ClassVar[frozenset[str]] = frozenset()
    """Fields that the JSON omits if they are None, because they do not apply."""

    @model_serializer(mode="wrap")
    def _without_omitted(self, handler: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        return {k: v for k, v in handler(self).items() if v is not None or k not in self.omitted}

    def to_json(self) -> dict[str, JsonValue]:
        """Return this part as plain data for JSON; `from_json` reads it back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, JsonValue]) -> Self:
        """Return the part that `to_json` wrote. Raises UserError if `data` do not fit this class."""
        return parse_model(cls, data)


class Mean(EvaluationPart):
    """A mean over `n` instances with its standard error; either is None if there are too few instances.

    >>> import gpvae_core as gpvae
    >>> gpvae.Mean.over([1.0, 2.0, 3.0]).to_json()
    {'mean': 2.0, 'se': 0.5773502691896258, 'n': 3}
    """

    mean: Number
    se: Number
    n: int

    @classmethod
    def over(cls, values: ArrayLike, groups: ArrayLike | None = None, **more: JsonValue) -> Self:
        """Return the mean of the finite `values`; `more` sets the other fields of this class.

        Args:
            groups: (N,) the group of each value if only values of different groups are independent (`mean_se`).
        """
        return cls.model_validate({**mean_se(values, groups), **more})


class LargestMean(Mean):
    """A mean, and the largest value.

    >>> import gpvae_core as gpvae
    >>> gpvae.LargestMean.over([1.0, 1.02], max=1.02).max
    1.02
    """

    max: Number


class SmallestMean(Mean):
    """A mean, and the smallest value.

    >>> import gpvae_core as gpvae
    >>> gpvae.SmallestMean.over([400.0, 900.0], min=400.0).min
    400.0
    """

    min: Number
