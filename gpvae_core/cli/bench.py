"""`gpvae bench NAME`: time alternatives side by side and print their ratios."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from gpvae_core.cli.options import given_path
from gpvae_core.cli.output import JsonFile, check_files, put_json
from gpvae_core.cli.table import show
from gpvae_core.part import MOST_COUNT
from gpvae_core.progress import terminal_progress


def command(
    name: Annotated[str, typer.Argument(help="Name of the measurement: see `gpvae list benches`.")],
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_COUNT,
            help="Number of measured rounds.  [default: 20, fewer where a round is long]",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Compute on cpu, cuda or mps.  [default: the fastest available]")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, help="Write the figure of the result to this HTML file (growth).", show_default=False
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    out: JsonFile = None,
) -> None:
    """Measure a part of the program and its alternatives side by side, in one run.

    Example: gpvae bench inference --json
    """
    from gpvae_core.bench.base import run_bench

    check_files(out)
    with terminal_progress() as progress:
        result = run_bench(name, device, repeats, progress, figure)
    if not put_json(result, json_, out):
        _print(result)


def _print(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['bench']} on {result['machine']['device']}, {result['machine']['threads']} threads")
    for column in ("case", "metric", "median", "lowest - highest", "ratio"):
        table.add_column(column)
    for row in result["rows"]:
        spread = "" if row["low"] is None else f"{row['low']:.4g} - {row['high']:.4g}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f} x {row['ratio_to']}"
        table.add_row(row["case"], row["metric"], f"{row['value']:.4g} {row['unit']}", spread, ratio)
    show(table)
