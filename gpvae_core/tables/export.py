"""Export of a comparison as CSV and as LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from gpvae_core.csv_text import csv_text
from gpvae_core.sweep.scores import decimals
from gpvae_core.tables.build import choose
from gpvae_core.tables.compare import BEST, CLOSE, Cell
from gpvae_core.tables.paper import PaperTable

DATASETS = {"mnist": "MNIST", "omniglot": "OMNIGLOT", "svhn": "SVHN", "celeba": "CelebA", "cifar10": "CIFAR10"}


def to_csv(cells: Sequence[Cell]) -> str:
    """Return one line per cell with all fields of `Cell`; unknown values are empty."""
    names = [field.name for field in fields(Cell)]
    return csv_text(names, ([getattr(cell, name) for name in names] for cell in cells))


def to_latex(table: PaperTable, cells: Sequence[Cell]) -> str:
    """Return a LaTeX table of our means with standard deviations as superscripts, and the paper's means in brackets.

    The best mean of a column is bold, and means with p > 0.01 compared with it are underlined. The table requires the
    package booktabs.
    """
    columns = list(dict.fromkeys((c.dataset, c.latent_dim, c.decoder) for c in cells))
    names = list(dict.fromkeys(cell.name for cell in cells))
    by_place = {(c.name, c.dataset, c.latent_dim, c.decoder): c for c in cells}
    head = " & ".join(["", *(_head(*column, several=len(table.decoders) > 1) for column in columns)])
    lines = [
        " & ".join([_name(name), *(_entry(by_place.get((name, *column))) for column in columns)]) for name in names
    ]
    note = f"{table.source}; ours: mean over runs, standard deviation, (paper's mean), in {table.unit}"
    return _tabular(note, len(columns), head, lines)


def times_to_csv(table: PaperTable, dims: Sequence[int], methods: Sequence[str]) -> str:
    """Return one line per method, data set, d and decoder: the paper's milliseconds per batch of 128, empty if missing.

    Raises:
        UserError: the table has no such dimension or method.
    """
    chosen_dims, chosen_methods = choose(table, dims, methods)
    rows = (
        (row.method, column.dataset, column.latent_dim, column.decoder, None if cell is None else cell.mean)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if row.method in chosen_methods and column.latent_dim in chosen_dims
    )
    return csv_text(("method", "dataset", "latent_dim", "decoder", "paper_ms_per_batch"), rows)


def times_to_latex(table: PaperTable, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows of `time_rows`, the paper's times, as a LaTeX table that requires the package booktabs."""
    names = {row.method: row.name for row in table.rows}
    heads = [name for name in rows[0] if name != "method"]
    lines = [
        " & ".join([_name(names[row["method"]]), *("" if row[h] is None else f"{row[h]:g}" for h in heads)])
        for row in rows
    ]
    return _tabular(f"{table.source}; in {table.unit}", len(heads), " & ".join(["", *heads]), lines)


def _tabular(note: str, columns: int, head: str, lines: Sequence[str]) -> str:
    return "\n".join(
        [
            f"% {note}",
            f"\\begin{{tabular}}{{l{'r' * columns}}}",
            "\\toprule",
            f"{head} \\\\",
            "\\midrule",
            *(f"{line} \\\\" for line in lines),
            "\\bottomrule",
            "\\end{tabular}",
            "",
        ]
    )


def _head(dataset: str, latent_dim: int, decoder: str, several: bool) -> str:
    return f"{DATASETS.get(dataset, dataset)}, $d={latent_dim}${f', {decoder}' if several else ''}"


def _name(name: str) -> str:
    """Return 'IAF(4)' as 'IAF$^{(4)}$', as the paper prints it."""
    head, bracket, count = name.partition("(")
    return f"{head}$^{{({count}}}$" if bracket else head


def _entry(cell: Cell | None) -> str:
    if cell is None:
        return ""
    digits = decimals(cell.unit)
    paper = "" if cell.paper_mean is None else f" ({cell.paper_mean:.{digits}f})"
    if cell.mean is None:
        return f"--{paper}"
    number = f"{cell.mean:.{digits}f}"
    shown = (
        f"\\mathbf{{{number}}}" if cell.mark == BEST else f"\\underline{{{number}}}" if cell.mark == CLOSE else number
    )
    return f"${shown}{'' if cell.sd is None else f'^{{{cell.sd:.{digits}f}}}'}${paper}"
