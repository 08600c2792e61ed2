"""Images predicted at pairs of two categories, such as characters in poses (Jazbec et al. 2021, Fig. 8)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from gpvae_core.errors import UserError
from gpvae_core.inspection.prior_lab.lab import ConditionalLab
from gpvae_core.inspection.prior_lab.views import BehindView, CellKind, GridCell, GridView
from gpvae_core.inspection.views import Array, Indices

ROWS, COLUMNS = 5, 8
NEW_ROWS, GIVEN_COLUMNS = 3, 3
"""Of these, rows of new categories where there are any, and columns of images that a prediction is given of them."""
Pair: TypeAlias = tuple[int, int]
"""Codes of a row and a column."""
SPLITS = ("test", "validation", "train")
"""The splits in which the true image of a pair is looked for, in this order."""


class GridLab:
    """The pairs of the two categories on which predictions depend, with what the model has seen of each.

    Rows are those of the category of which some have no training image, if there is one, such as new characters.
    """

    def __init__(self, lab: ConditionalLab) -> None:
        if lab.layout != "grid":
            raise UserError(
                f"run '{lab.name}' has no grid: wanted one that depends on two categories, and on no number or series"
            )
        self.lab = lab
        self.row, self.column = lab.categories
        if len(self._new(self.column.name)) and not len(self._new(self.row.name)):
            self.row, self.column = self.column, self.row
        self._trained, self._new_rows = np.unique(lab.auxiliary("train")[self.row.name]), self._new(self.row.name)
        self._columns = np.unique(lab.auxiliary("train")[self.column.name])
        self._found: dict[Pair, tuple[str, int, CellKind]] = {}
        for split in reversed(SPLITS):  # those of the first split stay
            pairs = zip(lab.auxiliary(split)[self.row.name], lab.auxiliary(split)[self.column.name], strict=True)
            seen, kinds = lab.is_seen(split, np.arange(len(lab.splits[split]))), self._kinds(split)
            self._found.update({(int(r), int(c)): (split, k, kinds[k]) for k, (r, c) in enumerate(pairs) if seen[k]})

    def _new(self, name: str) -> Indices:
        """Return the categories of a column that are in the other splits, but not among the training images."""
        others = np.concatenate([self.lab.auxiliary(split)[name] for split in SPLITS[:2]])
        return np.setdiff1d(others, self.lab.auxiliary("train")[name])

    def _kinds(self, split: str) -> list[CellKind]:
        """Return what the model has seen of each image of a split."""
        if split == "train":
            return ["trained"] * len(self.lab.splits[split])
        return ["given" if given else "generated" for given in self.lab.is_given(split)]

    def __len__(self) -> int:
        return max(len(self._trained), len(self._new_rows))

    def pairs(self, position: int) -> tuple[Pair, ...]:
        """Return the pairs that `view` shows, row by row."""
        rows, columns = self._shown(position)
        return tuple((row, column) for row in rows.tolist() for column in columns.tolist())

    def name(self, pair: Pair) -> str:
        """Return the name of a pair."""
        row, column = pair
        return f"{self.row.name} {self.row.names[row]}, {self.column.name} {self.column.names[column]}"

    def short_name(self, pair: Pair) -> str:
        """Return the name of a pair without those of its columns."""
        return f"{self.row.names[pair[0]]}, {self.column.names[pair[1]]}"

    def first_generated(self, position: int) -> int:
        """Return the place of the first pair shown of which the model saw no image, or of the first pair."""
        places = enumerate(self._found.get(pair) for pair in self.pairs(position))
        return next((k for k, place in places if place is not None and place[2] == "generated"), 0)

    def behind(self, pair: Pair) -> BehindView:
        """Return the training views on which the prediction at a pair rests; without weights, those of its row."""
        values = {self.row.name: np.array(pair[:1]), self.column.name: np.array(pair[1:])}
        own = np.flatnonzero(self.lab.auxiliary("train")[self.row.name] == pair[0])
        return self.lab.behind(self.name(pair), values, own[self.lab.is_seen("train", own)])

    def training_view(self, pair: Pair) -> int | None:
        """Return the index of the pair's training image; None where there is none that was trained on."""
        place = self._found.get(pair)
        return place[1] if place is not None and place[2] == "trained" else None

    def _shown(self, position: int) -> tuple[Indices, Indices]:
        """Return ROWS rows from the one at `position` on, new ones first where there are any, and their columns."""
        new = _from(self._new_rows, position, min(NEW_ROWS, len(self._new_rows)))
        rows = np.concatenate([new, _from(self._trained, position, min(ROWS - len(new), len(self._trained)))])
        return rows, self._columns_for(rows)

    def view(self, position: int) -> GridView:
        """Return ROWS rows from the one at `position` on: of new categories, where there are any, then trained ones."""
        rows, columns = self._shown(position)
        r, c = (part.reshape(-1) for part in np.meshgrid(rows, columns, indexing="ij"))
        pairs = {self.row.name: r, self.column.name: c}
        images = self.lab.decoded(self.lab.predicted(pairs)[0], pairs).reshape(
            len(rows), len(columns), *self.lab.run.model.event_shape
        )
        return GridView(
            run=self.lab.name,
            row_name=self.row.name,
            column_name=self.column.name,
            rows=tuple(self.row.names[int(code)] for code in rows),
            new=tuple(bool(new) for new in np.isin(rows, self._new_rows)),
            columns=tuple(self.column.names[int(code)] for code in columns),
            cells=tuple(
                tuple(self._cell(int(row), int(column), images[i, j]) for j, column in enumerate(columns))
                for i, row in enumerate(rows)
            ),
        )

    def _columns_for(self, rows: Indices) -> Indices:
        """Return at most COLUMNS columns in ascending order: some given, then those with most to be generated."""

        def count(column: int, kind: CellKind) -> int:
            found = [self._found.get((int(row), column)) for row in rows]
            return sum(place is not None and place[2] == kind for place in found)

        columns = self._columns.tolist()
        given = sorted(filter(lambda column: count(column, "given"), columns), key=lambda c: -count(c, "given"))
        order = sorted(columns, key=lambda column: -count(column, "generated"))
        chosen = [*given[:GIVEN_COLUMNS], *(column for column in order if column not in given[:GIVEN_COLUMNS])]
        return np.sort(chosen[:COLUMNS])

    def _cell(self, row: int, column: int, predicted: Array) -> GridCell:
        place = self._found.get((row, column))
        if place is None:
            return GridCell(predicted, None, "generated", mse=None)
        split, index, kind = place
        truth = self.lab.splits[split].pixels([index])[0].double().numpy()
        error = self.lab.errors(split, np.array([index]), predicted[None])[0]
        return GridCell(predicted, truth, kind, float(error))


def _from(codes: Indices, position: int, count: int) -> Indices:
    """Return `count` of the codes from the one at `position` on; after the last comes the first."""
    return np.take(codes, np.arange(position, position + count), mode="wrap") if count else codes[:0]
