"""Tables 1-5 and 9-11 of Kim & Pavlovic 2021 as data, read from kim_pavlovic_2021.json in this package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from gpvae_core.errors import UserError
from gpvae_core.sweep.scores import LOG_LIKELIHOOD, SCORES, Score

NATS, MILLISECONDS = LOG_LIKELIHOOD.unit, "ms"


class PaperColumn(NamedTuple):
    """Data set, d and decoder (conv or fc) of a column."""

    dataset: str
    latent_dim: int
    decoder: str


class PaperValue(NamedTuple):
    """A printed cell: the mean, and its superscript, the standard deviation over runs, if there is one."""

    mean: float
    sd: float | None


@dataclass(frozen=True)
class PaperRow:
    """A method by the paper's name and ours, with its cells; None where the paper has none."""

    name: str
    method: str
    cells: tuple[PaperValue | None, ...]


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper, of log-likelihoods in nats or of times in ms; or one of ours, of any score."""

    number: int
    title: str
    quantity: str
    unit: str
    source: str
    runs: int
    """Number of train/validation splits over which a cell is a mean."""
    restarts: int
    """Number of trainings of each split, of which the best by validation counts."""
    columns: tuple[PaperColumn, ...]
    rows: tuple[PaperRow, ...]

    @property
    def score(self) -> Score | None:
        """The score of its cells; None for a table of times."""
        return SCORES.get(self.unit)

    @property
    def decoders(self) -> tuple[str, ...]:
        """The kinds of decoder, in the order of the columns."""
        return tuple(dict.fromkeys(column.decoder for column in self.columns))


@cache
def printed(paper: str) -> dict[str, Any]:
    """Return the printed values of a paper, from its file in this package."""
    return json.loads((files("gpvae_core.tables") / f"{paper}.json").read_text(encoding="utf-8"))


def _content() -> dict[str, Any]:
    return printed("kim_pavlovic_2021")


def table_numbers() -> tuple[int, ...]:
    """Return the numbers of the available tables."""
    return tuple(int(number) for number in _content()["tables"])


def notes() -> tuple[str, ...]:
    """Return remarks for readers of these tables."""
    return tuple(_content()["notes"])


def paper_table(number: int) -> PaperTable:
    """Return the table with this number. Raises UserError if there is none."""
    content = _content()
    if str(number) not in content["tables"]:
        known = ", ".join(content["tables"])
        raise UserError(f"wanted a table of results of Kim & Pavlovic 2021 ({known}), got {number}")
    raw = content["tables"][str(number)]
    return PaperTable(
        number=number,
        title=raw["title"],
        quantity=raw["quantity"],
        unit=raw["unit"],
        source=f"{content['source'].partition(', Tables')[0]}, Table {number}",
        runs=content["runs"],
        restarts=content["restarts"],
        columns=tuple(PaperColumn(**column) for column in raw["columns"]),
        rows=tuple(_row(row) for row in raw["rows"]),
    )


def _row(raw: dict[str, Any]) -> PaperRow:
    cells = tuple(None if cell is None else PaperValue(*cell) for cell in raw["cells"])
    return PaperRow(raw["name"], raw["method"], cells)
