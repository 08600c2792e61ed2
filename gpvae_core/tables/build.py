"""The sweeps that compute a table of the paper."""

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
"""Kind of the decoder's network in a run's config, by the paper's decoders."""


def with_methods(table: PaperTable, methods: Sequence[str]) -> PaperTable:
    """Return the table with an empty row for each of `methods` that the paper does not have.

    Raises:
        UserError: a method is unknown, or cannot use both decoders of a table that compares decoders.
    """
    known = {row.method for row in table.rows}
    new = [method for method in dict.fromkeys(methods) if method not in known]
    if not new:
        return table
    from gpvae_core.methods import get_method  # imports torch, which pages with the paper's rows alone do not need

    for method in new:
        if get_method(method).instead_of_conv and len(table.decoders) > 1:
            raise UserError(f"Table {table.number} compares decoders, and method '{method}' takes no convolutional one")
    empty = (None,) * len(table.columns)
    return replace(table, rows=(*table.rows, *(PaperRow(method, method, empty) for method in new)))


def added(row: PaperRow) -> bool:
    """Return whether the row is not in the paper."""
    return not any(row.cells)


def choose(table: PaperTable, dims: Sequence[int], methods: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the selected dimensions and methods of the table, in its order; by default all.

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
    """Return one sweep per kind of decoder; by default for the whole table, trained as in the paper.

    Raises:
        UserError: the table is of times, does not have a dimension, or a method is unknown.
    """
    from gpvae_core.sweep.config import parse_sweep

    if table.unit != NATS:
        raise UserError(f"Table {table.number} is of times: measure them by gpvae bench inference")
    table = with_methods(table, methods)
    chosen_dims, chosen_methods = choose(table, dims, methods)
    sweeps = []
    for decoder in table.decoders:
        columns = [i for i, column in enumerate(table.columns) if column.decoder == decoder]
        present = [row.method for row in table.rows if added(row) or any(row.cells[i] is not None for i in columns)]
        sweep_methods = [method for method in chosen_methods if method in present]
        if sweep_methods:
            raw = {
                "name": f"table {table.number}",
                "datasets": list(dict.fromkeys(table.columns[i].dataset for i in columns)),
                "methods": sweep_methods,
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
    """Return the keys of the setups of a table, from the settings of the one with convolutional decoders."""
    from gpvae_core.sweep.config import digest

    return [
        digest({**content, "set": {**content["set"], **DECODER_SETTINGS[decoder]}})[:12] for decoder in table.decoders
    ]
