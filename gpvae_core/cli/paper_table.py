"""`gpvae table N`: reproduce a table of Kim & Pavlovic 2021 or Jazbec et al. 2021 beside the printed values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpvae_core.cli.options import given_path, refuse
from gpvae_core.cli.output import check_files, put_json, say
from gpvae_core.cli.prediction_table import show_predictions, table_number
from gpvae_core.cli.sweep import (
    Device,
    DryRun,
    Json,
    Scheduler,
    Workers,
    cluster_settings,
    cost_sentence,
    known_or_measured,
    report_failures,
    run_with_bar,
    show_plan,
    worker_count,
)
from gpvae_core.cli.table import print_table
from gpvae_core.errors import UserError, clipped
from gpvae_core.parsing import whole_number
from gpvae_core.part import MOST_COUNT
from gpvae_core.progress import duration, terminal_progress

if TYPE_CHECKING:
    from gpvae_core.sweep.cluster import ClusterSettings
    from gpvae_core.sweep.config import SweepConfig
    from gpvae_core.sweep.plan import Job
    from gpvae_core.sweep.run import Outcome
    from gpvae_core.tables.compare import Cell
    from gpvae_core.tables.paper import PaperTable

DEFAULT_OUT = Path("sweeps/kim2021")
MARKS = {"best": "best", "close": "p > 0.01", "behind": "", None: ""}
HELP = """Reproduce a table of Kim & Pavlovic 2021, or of Jazbec et al. 2021, and print it beside the printed values.

Tables: 1 MNIST, 2 OMNIGLOT, 3 SVHN, 4 CelebA, 9 CIFAR10, 10 fully connected and convolutional decoders compared (all
test log-likelihoods, IWAE with 100 samples, nats); 5 and 11 are inference times. Without options the command runs the
paper's whole experiment: 2000 epochs, 10 splits, 3 restarts, d = 10, 20, 50, every method. Check its cost with
--dry-run first. All tables share one folder of results; the same command continues a table that was stopped.

Table jazbec-1 is Table 1 of Jazbec et al. 2021, the test errors of cvae, gppvae, svgp:32 and deep-svigp:32 on rotated
MNIST: it shows the results of a sweep (docs/rotated-mnist.toml, in --out), and trains nothing.

The mark is 'best' for the method with the highest mean, and 'p > 0.01' for one that a two-sided t-test (Welch's) does
not distinguish from it.

Examples:

  gpvae table 1 --dims 10 --methods vae,gp,iaf:4 --epochs 50 --runs 3 --dry-run

  gpvae table 1 --dims 10 --methods vae,gp,iaf:4 --epochs 50 --runs 3 --csv table1.csv --latex table1.tex

  gpvae table jazbec-1 --out sweeps/rotated-mnist --csv table1.csv
"""


def command(
    name: Annotated[str, typer.Argument(metavar="N", help="Number of the table, 1-5 or 9-11, or jazbec-1.")],
    dims: Annotated[str | None, typer.Option(help="Latent dimensions, as 10,50.  [default: the table's]")] = None,
    methods: Annotated[str | None, typer.Option(help="Methods, as vae,gp,iaf:4.  [default: the table's]")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=MOST_COUNT, help="Epochs of each training.  [default: 2000]")
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, max=MOST_COUNT, help="Number of train/validation splits.  [default: 10]")
    ] = None,
    restarts: Annotated[
        int | None, typer.Option(min=1, max=MOST_COUNT, help="Number of random restarts of each split.  [default: 3]")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting of all runs, key=value; repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option(parser=given_path, help="Folder of runs and results.")] = DEFAULT_OUT,
    scheduler: Scheduler = None,
    workers: Workers = None,
    device: Device = None,
    dry_run: DryRun = False,
    no_run: Annotated[bool, typer.Option("--no-run", help="Train nothing; show the results so far.")] = False,
    csv: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, help="Also write the table to a CSV file (tables 5 and 11: the printed times)."
        ),
    ] = None,
    latex: Annotated[Path | None, typer.Option(parser=given_path, help="Also write the table to a LaTeX file.")] = None,
    bench: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, help="Output of `gpvae bench inference --json`, the measured times for tables 5 and 11."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    from gpvae_core.tables.paper import NATS, paper_table
    from gpvae_core.tables.predictions import prediction_tables

    worker_options = {"--scheduler": scheduler, "--workers": workers, "--device": device}
    training_options = {
        "--epochs": epochs,
        "--runs": runs,
        "--restarts": restarts,
        "--set": set_,
        "--out": None if out == DEFAULT_OUT else out,
        **worker_options,
        "--dry-run": dry_run or None,
        "--no-run": no_run or None,
    }
    own_out = training_options.pop("--out")
    if name in prediction_tables():
        own = {"--dims": dims, "--methods": methods, "--latex": latex, "--bench": bench, **training_options}
        show_predictions(name, own_out, csv, json_, own)
        return
    number, training_options["--out"] = table_number(name), own_out
    table = paper_table(number)
    selection = _whole_numbers(dims), _names("--methods", methods, "vae,gp,iaf:4")
    check_files(csv, latex)
    if table.unit != NATS:
        refuse(
            training_options,
            f"Table {number} is of times, which `gpvae bench inference` measures, and nothing is trained",
        )
        _show_times(table, *selection, bench, csv, latex, json_)
        return
    if bench is not None:
        raise UserError(f"--bench belongs to the tables of times, 5 and 11: Table {number} is of log-likelihoods")
    if dry_run:
        files = {"--csv": csv, "--latex": latex, "--no-run": no_run or None}
        refuse(files, "--dry-run shows the plan and its cost, and makes no table")
    if no_run:
        refuse(worker_options, "--no-run trains nothing")
    from gpvae_core.files import check_file, real_path
    from gpvae_core.settings import parse_settings
    from gpvae_core.sweep.results import FILE
    from gpvae_core.tables.build import table_sweeps

    sweeps = table_sweeps(table, *selection, epochs, runs, restarts, parse_settings(set_ or []))
    cluster = cluster_settings(scheduler, workers, device)
    real_path(out)
    if not (dry_run or no_run):
        check_file(out / FILE, makes_folders=True)
    if dry_run:
        show_plan(_planned(sweeps), out, cluster, json_)
        return
    outcomes = [] if no_run else _run(_planned(sweeps), out, cluster, f"gpvae table {number}")
    _show(table, _compare(table, sweeps, out, runs, restarts, *selection), csv, latex, json_)
    for outcome in outcomes:
        report_failures(outcome)


def _planned(sweeps: Sequence[SweepConfig]) -> list[tuple[SweepConfig, list[Job]]]:
    from gpvae_core.sweep.plan import plan

    with terminal_progress() as progress:
        return [(sweep, plan(sweep, progress)) for sweep in sweeps]


def _show(table: PaperTable, cells: Sequence[Cell], csv: Path | None, latex: Path | None, json_: bool) -> None:
    """Write the requested files, and print the table."""
    from gpvae_core.tables.export import to_csv, to_latex

    _write(csv, to_csv(cells), latex, to_latex(table, cells))
    content = {"table": table.number, "source": table.source, "cells": [asdict(cell) for cell in cells]}
    if not put_json(content, json_):
        _print(table, cells)


def _names(option: str, text: str | None, example: str) -> list[str]:
    """Return the names between commas; an empty list if the option is not given."""
    names = [part.strip() for part in (text or "").split(",") if part.strip()]
    if text is not None and not names:
        raise UserError(f"wanted {option} with commas, as {example}, got '{text}'; leave it out for the table's")
    return names


def _whole_numbers(text: str | None) -> list[int]:
    numbers = [whole_number(name) for name in _names("--dims", text, "10,50")]
    if None in numbers:
        raise UserError(f"wanted whole numbers with commas for --dims, as 10,50, got '{clipped(text or '')}'")
    return [number for number in numbers if number is not None]


def _run(
    sweeps: Sequence[tuple[SweepConfig, list[Job]]], out: Path, cluster: ClusterSettings, again: str
) -> list[Outcome]:
    """Print the estimated cost, then run the sweeps."""
    from gpvae_core.sweep.cost import cell_costs
    from gpvae_core.sweep.run import check_cluster

    jobs = [job for _, part in sweeps for job in part]
    check_cluster(cluster, jobs, out)  # before the cost is measured
    statuses, costs = known_or_measured(jobs, out, cluster)
    rows = [row for _, part in sweeps for row in cell_costs(part, statuses, costs)]
    say(cost_sentence(rows, worker_count(cluster)), err=True)
    return [
        run_with_bar(sweep, part, out, cluster, f"the same command, {again} ... --out {out}", costs)
        for sweep, part in sweeps
    ]


def _compare(
    table: PaperTable,
    sweeps: Sequence[SweepConfig],
    out: Path,
    runs: int | None,
    restarts: int | None,
    dims: Sequence[int],
    methods: Sequence[str],
) -> list[Cell]:
    """Return the selected cells with the results in the folder; without results only the printed values."""
    from gpvae_core.sweep.results import FILE, open_results
    from gpvae_core.sweep.schema import has_content
    from gpvae_core.tables.compare import compare

    if not has_content(out / FILE):
        return compare(table, [], {}, runs, restarts, dims, methods)
    results = open_results(out)
    rows = [row for sweep in sweeps for row in results.rows(sweep.setup_key())]
    return compare(table, rows, results.costs(), runs, restarts, dims, methods)


def _write(csv: Path | None, csv_text: str, latex: Path | None, latex_text: str) -> None:
    from gpvae_core.files import write_text

    for path, text in ((csv, csv_text), (latex, latex_text)):
        if path is not None:
            write_text(path, text)


def _print(table: PaperTable, cells: Sequence[Cell]) -> None:
    from gpvae_core.tables.paper import notes

    say(f"{table.title}, {table.unit} ({table.source})")
    several = len(table.decoders) > 1  # Table 10, which has several data sets too
    print_table([_row(cell, several) for cell in cells])
    missing = [cell for cell in cells if cell.missing]
    if missing:
        times = [cell.missing_seconds for cell in missing]
        seconds = None if None in times else math.fsum(time for time in times if time is not None)
        say(f"missing: {sum(cell.missing for cell in missing)} runs, {duration(seconds)} one after the other")
    for note in dict.fromkeys(f"{cell.dataset}: {cell.note}" for cell in cells if cell.note):
        say(note)
    if several:
        say(notes()[0])


def _row(cell: Cell, several: bool) -> dict[str, Any]:
    return {
        **({"data": cell.dataset, "decoder": cell.decoder} if several else {}),
        "d": cell.latent_dim,
        "method": cell.method,
        "paper": _value(cell.paper_mean, cell.paper_sd),
        "ours": _value(cell.mean, cell.sd),
        "runs": f"{cell.runs}/{cell.wanted}",
        "p": "" if cell.p is None else f"{cell.p:.2g}",
        "mark": MARKS[cell.mark],
        "to do": duration(cell.missing_seconds) if cell.missing else "",
    }


def _value(mean: float | None, sd: float | None) -> str:
    return "" if mean is None else f"{mean:.1f}" if sd is None else f"{mean:.1f}±{sd:.1f}"


def _show_times(
    table: PaperTable,
    dims: Sequence[int],
    methods: Sequence[str],
    bench: Path | None,
    csv: Path | None,
    latex: Path | None,
    json_: bool,
) -> None:
    """Print the paper's times and the measured ones; the files contain the paper's."""
    from gpvae_core.tables.export import times_to_csv, times_to_latex
    from gpvae_core.tables.times import bench_rows, time_rows

    rows = time_rows(table, dims, methods)
    measured = [] if bench is None else bench_rows(bench)
    _write(csv, times_to_csv(table, dims, methods), latex, times_to_latex(table, rows))
    if put_json({"table": table.number, "source": table.source, "cells": rows, "bench": measured}, json_):
        return
    say(f"{table.title}, {table.unit} ({table.source})")
    print_table([{name: "" if value is None else value for name, value in row.items()} for row in rows])
    if measured:
        print_table(measured)
    else:
        say("ours: gpvae bench inference --json > bench.json, then --bench bench.json")
