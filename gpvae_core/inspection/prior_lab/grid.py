"""Images predicted at pairs of two categories, such as characters in poses (Jazbec et al. 2021, Fig. 8)."""

from __future__ import annotations

import numpy as np

from gpvae_core.errors import UserError
from gpvae_core.inspection.prior_lab.lab import ConditionalLab
from gpvae_core.inspection.prior_lab.views import GridCell, GridView
from gpvae_core.inspection.views import Array, Indices

ROWS, COLUMNS = 5, 8
SPLITS = ("test", "validation", "train")
"""The splits in which the true image of a pair is looked for, in this order."""


class GridLab:
    """The pairs of the two categories on which predictions depend, as far as each was trained on."""

    def __init__(self, lab: ConditionalLab) -> None:
        if lab.layout != "grid":
            raise UserError(f"run '{lab.name}' has no grid: wanted one that depends on two categories, without series")
        self.lab = lab
        self.row, self.column = lab.categories
        train = lab.auxiliary("train")
        self._rows, self._columns = np.unique(train[self.row.name]), np.unique(train[self.column.name])
        self._found: dict[tuple[int, int], tuple[str, int]] = {}
        for split in reversed(SPLITS):  # those of the first split stay
            pairs = zip(lab.auxiliary(split)[self.row.name], lab.auxiliary(split)[self.column.name], strict=True)
            seen = lab.is_seen(split, np.arange(len(lab.splits[split])))
            self._found |= {(int(r), int(c)): (split, k) for k, (r, c) in enumerate(pairs) if seen[k]}

    def __len__(self) -> int:
        return len(self._rows)

    def view(self, position: int) -> GridView:
        """Return ROWS rows from the one at `position` on, with the columns of which most images were not seen."""
        rows = np.take(self._rows, np.arange(position, position + min(ROWS, len(self._rows))), mode="wrap")
        columns = self._columns_for(rows)
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
            columns=tuple(self.column.names[int(code)] for code in columns),
            cells=tuple(
                tuple(self._cell(int(row), int(column), images[i, j]) for j, column in enumerate(columns))
                for i, row in enumerate(rows)
            ),
        )

    def _columns_for(self, rows: Indices) -> Indices:
        """Return at most COLUMNS columns in ascending order, those first of which most images were not trained on."""

        def unseen(column: int) -> int:
            found = [self._found.get((int(row), column)) for row in rows]
            return sum(place is not None and place[0] != "train" for place in found)

        order = sorted(self._columns.tolist(), key=lambda column: -unseen(column))
        return np.sort(order[:COLUMNS])

    def _cell(self, row: int, column: int, predicted: Array) -> GridCell:
        place = self._found.get((row, column))
        if place is None:
            return GridCell(predicted, None, trained=False, mse=None)
        truth = self.lab.splits[place[0]].pixels([place[1]])[0].double().numpy()
        error = self.lab.errors(place[0], np.array([place[1]]), predicted[None])[0]
        return GridCell(predicted, truth, place[0] == "train", float(error))
