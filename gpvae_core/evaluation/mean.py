"""Base class of the parts of an evaluation, frozen and convertible to JSON; a mean with its standard error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from numpy.typing import ArrayLike
from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from gpvae_core.part import parse_model
from gpvae_core.stats import mean_se


def _finite(value: Any) -> Any:
    """Return None for NaN and infinities, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A finite number, or None if it is undefined."""


class EvaluationPart(BaseModel):
    """Base class of the parts of an evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    omitted: ClassVar[frozenset[str]] = frozenset()
    """Fields that the JSON omits if they are None, because they do not apply."""

    @model_serializer(mode="wrap")
    def _without_omitted(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if v is not None or k not in self.omitted}

    def to_json(self) -> dict[str, Any]:
        """Return this part as plain data for JSON; `from_json` reads it back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the part that `to_json` wrote. Raises UserError if `data` do not fit this class."""
        return parse_model(cls, data)


class Mean(EvaluationPart):
    """A mean over `n` instances with its standard error; either is None if there are too few instances.

    >>> from gpvae_core.evaluation.mean import Mean
    >>> Mean.over([1.0, 2.0, 3.0]).to_json()
    {'mean': 2.0, 'se': 0.5773502691896258, 'n': 3}
    """

    mean: Number
    se: Number
    n: int

    @classmethod
    def over(cls, values: ArrayLike, **more: Any) -> Self:
        """Return the mean of the finite `values`; `more` sets the other fields of this class."""
        return cls(**mean_se(values), **more)
