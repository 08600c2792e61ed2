"""The parts that an evaluation is built of: frozen, JSON both ways; and a mean with its standard error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from numpy.typing import ArrayLike
from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from gpvae_core.part import parse_model
from gpvae_core.stats import mean_se


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: what is not defined is None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A number, or None where it is not defined."""


class EvaluationPart(BaseModel):
    """A part of an evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    omitted: ClassVar[frozenset[str]] = frozenset()
    """Fields that the JSON leaves out where they are None, because they do not apply."""

    @model_serializer(mode="wrap")
    def _without_omitted(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if v is not None or k not in self.omitted}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data that JSON can hold; `from_json` reads it again."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the part that `to_json` wrote. Raises UserError where `data` is something else."""
        return parse_model(cls, data)


class Mean(EvaluationPart):
    """A mean over `n` instances with its standard error; None where there are too few.

    >>> from gpvae_core.evaluation.mean import Mean
    >>> Mean.over([1.0, 2.0, 3.0]).to_json()
    {'mean': 2.0, 'se': 0.5773502691896258, 'n': 3}
    """

    mean: Number
    se: Number
    n: int

    @classmethod
    def over(cls, values: ArrayLike, **more: Any) -> Self:
        """Return the mean of the finite `values`, with the other fields of this class."""
        return cls(**mean_se(values), **more)
