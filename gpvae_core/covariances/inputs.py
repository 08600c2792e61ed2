"""The inputs of a kernel, made of auxiliary columns: numbers as they are, and of a category its learned vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gpvae_core.covariances.base import CovarianceFunction, VectorConfig
from gpvae_core.covariances.expression import Expression, Term
from gpvae_core.data.auxiliary import Column
from gpvae_core.errors import UserError, unknown

DIM = 8
"""Default length M of the vector of a category (Casale et al. 2018; Jazbec et al. 2021, Table A.4)."""


class KernelInputs(nn.Module):
    """The map from auxiliary columns to inputs (N, F), in which each column of the kernel has its own features.

    A category of which a kernel takes numbers is a row of a table of vectors, which is learned with the model: the
    GP-LVM of Lawrence 2004 (Jazbec et al. 2021, sec. 3.4). The vectors of a category that is represented are found from
    its images instead (A.3).

    Args:
        represented: name of such a category; '' for none.

    Raises:
        UserError: the kernel does not fit the columns, or takes no vector of the represented category.
    """

    def __init__(self, expression: Expression, columns: Sequence[Column], represented: str = "") -> None:
        super().__init__()
        self.represented = represented
        self.vectors = nn.Buffer(torch.zeros(0, 0, dtype=torch.float64), persistent=False)
        """The vectors of the represented category that were found last, (categories, size)."""
        known = {column.name: column for column in columns}
        self.features: dict[str, slice] = {}
        self.tables = nn.ParameterDict()
        self._columns: dict[str, Column] = {}
        for term in expression.terms():
            if term.config.roles:
                self._add(term, _column(term, known))
        if not self.features:
            raise UserError("wanted a kernel of at least one column: white noise alone correlates no instances")
        self.width = max(features.stop for features in self.features.values())
        if represented and not len(self.vectors):
            if represented not in known:
                raise unknown("category", represented, [column.name for column in columns if column.role == "category"])
            raise UserError(
                f"the kernel takes no vector of a category '{represented}': wanted one, such as linear({represented})"
            )

    def _add(self, term: Term, column: Column) -> None:
        """Give the column of a term its features, unless another term has it already."""
        size = _size(term, column)
        has_table = column.role == "category" and isinstance(term.config, VectorConfig)
        if column.name not in self.features:
            start = max((features.stop for features in self.features.values()), default=0)
            self.features[column.name] = slice(start, start + size)
            self._columns[column.name] = column
            table = torch.zeros(len(column.names), size, dtype=torch.float64)
            if has_table and column.name == self.represented:
                self.vectors = nn.Buffer(table, persistent=False)
            elif has_table:
                self.tables[column.name] = nn.Parameter(table)
        features = self.features[column.name]
        if features.stop - features.start != size or has_table != self._has_vectors(column.name):
            raise UserError(
                f"two kernels take column '{column.name}' in two ways: wanted one length of its vectors, and either "
                "vectors or equality"
            )

    def build(self, term: Term) -> CovarianceFunction:
        """Build the kernel of a term on its column's features."""
        if not term.config.roles:
            return term.config.build(slice(0, 0), None)
        return term.config.build(self.features[term.column], self._columns[term.column].period)

    def learned(self) -> Bool[Tensor, " F"]:
        """Return which features are those of categories' vectors."""
        found = torch.zeros(self.width, dtype=torch.bool)
        for name, features in self.features.items():
            found[features] = self._has_vectors(name)
        return found

    def _has_vectors(self, name: str) -> bool:
        return name in self.tables or (name == self.represented and len(self.vectors) > 0)

    def forward(
        self, values: Mapping[str, Tensor], vectors: Float[Tensor, "N E"] | None = None
    ) -> Float[Tensor, "N F"]:
        """Return the inputs of N instances, of which `values` are the columns: (N,) or (N, size).

        Args:
            vectors: the vectors of the instances' represented category (default: those found last).
        """
        return torch.cat([self._part(name, values[name], vectors) for name in self.features], 1)

    def _part(self, name: str, values: Tensor, vectors: Tensor | None) -> Float[Tensor, "N E"]:
        if name == self.represented:
            return self.vectors[values] if vectors is None else vectors
        if name in self.tables:
            return self.tables[name][values]
        return values.to(torch.float64).reshape(len(values), -1)


def _column(term: Term, known: Mapping[str, Column]) -> Column:
    """Return the column of a term. Raises UserError if there is none, or its role is none that the kernel takes."""
    if term.column not in known:
        raise unknown("column", term.column, known)
    column = known[term.column]
    if column.role not in term.config.roles:
        raise UserError(
            f"kernel '{term.config.kind}' wants a column that is a {' or a '.join(term.config.roles)}, and "
            f"'{column.name}' is a {column.role}"
        )
    return column


def _size(term: Term, column: Column) -> int:
    """Return the number of features of a column under the kernel of a term."""
    if column.role == "category":
        return (term.config.dim or DIM) if isinstance(term.config, VectorConfig) else 1
    if isinstance(term.config, VectorConfig) and term.config.dim is not None:
        raise UserError(f"kernel '{term.config.kind}': dim is for a category, and '{column.name}' is a {column.role}")
    return column.size
