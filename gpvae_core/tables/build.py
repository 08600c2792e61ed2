"""The sweeps that fill a table of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpvae_core.errors import UserError, unknown
from gpvae_core.tables.paper import NATS, PaperRow, PaperTable

if TYPE_CHECKING:
    from gpvae_core.sweep.config import SweepConfig

PRESET = "kim2021"
DECODER_SETTINGS: dict[str, dict[str, Any]] = {"conv": {}, "fc": {"net.kind": "fc_equal"}}
"""The paper's decoders as settings; the convolutional one is the default for the paper's image sizes."""
DECODER_KINDS = {"conv": "conv", "fc": "fc_equal"}
"""Kind of network that a run's decoder has."""


def with_methods(table: PaperTable, methods: Sequence[str]) -> PaperTable:
    """Return the table with a row for each of `methods` that the paper does not have; its cells of the paper are empty.

    Raises:
        UserError: a name that is no method, or a method that a comparison of decoders cannot have.
    """
    known = {row.method for row in table.rows}
    new = [method for method in dict.fromkeys(methods) if method not in known]
    if not new:
        return table
    from gpvae_core.methods import get_method  # torch, which a page that shows the paper's rows does without

    for method in new:
        if get_method(method).instead_of_conv and len(table.decoders) > 1:
            raise UserError(f"Table {table.number} compares decoders, and method '{method}' takes no convolutional one")
    empty = (None,) * len(table.columns)
    return replace(table, rows=(*table.rows, *(PaperRow(method, method, empty) for method in new)))


def added(row: PaperRow) -> bool:
    """True for a row that the paper does not have."""
    return not any(row.cells)


def choose(table: PaperTable, dims: Sequence[int], methods: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the chosen dimensions and methods of the table, in its order; all of them where none is chosen.

    Raises:
        UserError: the table has no such dimension or method.
    """
    known_dims = sorted({column.latent_dim for column in table.columns})
    known_methods = [row.method for row in table.rows]
    for d in dims:
        if d not in known_dims:
            raise UserError(f"wanted --dims of Table {table.number} ({', '.join(map(str, known_dims))}), got {d}")
    for method in methods:
        if method not in known_methods:
            raise unknown(f"method of Table {table.number}", method, known_methods)
    return (
        [d for d in known_dims if not dims or d in dims],
        [method for method in known_methods if not methods or method in methods],
    )


def table_sweeps(
    table: PaperTable,
    dims: Sequence[int] = (),
    methods: Sequence[str] = (),
    epochs: int | None = None,
    runs: int | None = None,
    restarts: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[SweepConfig]:
    """Return one sweep for each kind of decoder; by default the whole table as the paper trained it.

    Raises:
        UserError: a table of times, which no sweep fills; a dimension that the table does not have; no such method.
    """
    from gpvae_core.sweep.config import parse_sweep

    if table.unit != NATS:
        raise UserError(f"Table {table.number} is of times: measure them by gpvae bench inference")
    table = with_methods(table, methods)
    chosen_dims, chosen_methods = choose(table, dims, methods)
    sweeps = []
    for decoder in table.decoders:
        columns = [i for i, column in enumerate(table.columns) if column.decoder == decoder]
        there = [row.method for row in table.rows if added(row) or any(row.cells[i] is not None for i in columns)]
        wanted = [method for method in chosen_methods if method in there]
        if wanted:
            raw = {
                "name": f"table {table.number}",
                "datasets": list(dict.fromkeys(table.columns[i].dataset for i in columns)),
                "methods": wanted,
                "latent_dims": chosen_dims,
                "splits": list(range(runs or table.runs)),
                "restarts": list(range(restarts or table.restarts)),
                "epochs": epochs,
                "preset": PRESET,
                "set": {**(settings or {}), **DECODER_SETTINGS[decoder]},
            }
            sweeps.append(parse_sweep(raw))
    return sweeps


def table_setups(table: PaperTable, content: Mapping[str, Any]) -> list[str]:
    """Keys of the setups that fill the table together, given the content of the one with convolutional decoders."""
    from gpvae_core.sweep.config import digest

    return [
        digest({**content, "set": {**content["set"], **DECODER_SETTINGS[decoder]}})[:12] for decoder in table.decoders
    ]
