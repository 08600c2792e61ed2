"""`gpvae sweep FILE`: run many trainings on Dask and store the results in one SQLite file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gpvae_core.cli.options import given_path
from gpvae_core.cli.output import put_json, say
from gpvae_core.cli.table import print_table
from gpvae_core.errors import UserError
from gpvae_core.part import MOST_COUNT
from gpvae_core.progress import Cancelled, duration, terminal_progress
from gpvae_core.terminal import printable

if TYPE_CHECKING:
    from gpvae_core.sweep.cluster import ClusterSettings
    from gpvae_core.sweep.config import SweepConfig
    from gpvae_core.sweep.cost import CellCost
    from gpvae_core.sweep.plan import Job
    from gpvae_core.sweep.results import Cost
    from gpvae_core.sweep.run import OnChange, Outcome, SweepProgress

HELP = """Train data sets x methods x d x splits x restarts, score each run, store the scores in OUT/results.sqlite.

If a sweep was stopped or killed, the same command continues it. The restart of each split with the best validation
score is reported. The work is done by processes on this machine, one per core or per GPU, or by the workers of a
running Dask scheduler (--scheduler), which must see the folder OUT.

Examples:

  gpvae sweep digits.toml --dry-run

  gpvae sweep digits.toml --out sweeps/digits --scheduler tcp://node1:8786

where digits.toml holds, for instance:

  datasets = ["digits"]

  methods = ["vae", "gp"]

  latent_dims = [2, 5]

  splits = [0, 1, 2]

  restarts = [0, 1]

  epochs = 50

  set = { "net.hidden" = 64 }

  method_settings.gp = { "encoder.expected_kl" = "closed_form" }
"""

Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler, tcp://host:8786.  [default: a cluster on this machine]")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=MOST_COUNT, help="Number of worker processes on this machine.  [default: one per GPU, else per core]"
    ),
]
Device = Annotated[str | None, typer.Option(help="Compute on cpu, cuda or mps.  [default: the fastest on each worker]")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost, estimated from a few steps.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", parser=given_path, help="TOML file of the sweep.")],
    out: Annotated[
        Path | None, typer.Option(parser=given_path, help="Folder of runs and results.  [default: sweeps/NAME]")
    ] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    device: Device = None,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    from gpvae_core.sweep.config import read_sweep
    from gpvae_core.sweep.plan import plan
    from gpvae_core.sweep.results import best_restarts, open_results

    sweep = read_sweep(file)
    try:
        with terminal_progress() as progress:
            jobs = plan(sweep, progress)
    except UserError as error:
        raise UserError(f"'{file}': {error}") from None
    target = out or Path("sweeps") / sweep.name
    cluster = cluster_settings(scheduler, workers, device)
    if dry_run:
        show_plan([(sweep, jobs)], target, cluster, json_)
        return
    outcome = run_with_bar(sweep, jobs, target, cluster, f"gpvae sweep {file} --out {target}")
    rows = open_results(target).rows(sweep.setup_key())
    summary = summarize_cells(best_restarts(rows))
    if not put_json({**asdict(outcome), "out": str(target), "cells": summary}, json_):
        print_summary(summary)
    report_failures(outcome)


def cluster_settings(scheduler: str | None, workers: int | None, device: str | None) -> ClusterSettings:
    """Return the settings of the Dask cluster that runs the jobs.

    Raises:
        UserError: the address is malformed, this machine does not have the device, or both --workers and --scheduler
            are given.
    """
    from gpvae_core.sweep.cluster import ClusterSettings, check_address

    if scheduler is not None:
        check_address(scheduler)
        if workers is not None:
            raise UserError("--workers are of this machine, and --scheduler has its own: leave one of them out")
    cluster = ClusterSettings(scheduler, workers, device)
    cluster.local()
    return cluster


def report_failures(outcome: Outcome) -> None:
    """Print each failed job; exit with code 1 if there is one."""
    for line in outcome.failed:
        say(f"failed: {line}", err=True)
    if outcome.failed:
        raise typer.Exit(1)


def summarize_cells(best: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the mean and standard deviation over splits of the test score, by data set, method and d.

    The mean is called as the score's field of `Result`: test_iwae in nats, test_mse in pixel².
    """
    import statistics

    cells: dict[tuple[str, str, int, str], list[float]] = {}
    for row in best:
        cells.setdefault((row.dataset, row.method, row.latent_dim, row.score.field), []).append(row.test_score)
    return [
        {
            "dataset": dataset,
            "method": method,
            "d": latent_dim,
            field: statistics.fmean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else None,
            "runs": len(values),
        }
        for (dataset, method, latent_dim, field), values in sorted(cells.items())
    ]


def print_summary(summary: Sequence[Mapping[str, Any]]) -> None:
    """Print the cells of `summarize_cells` as one table for each score, with its unit."""
    from gpvae_core.sweep.scores import SCORES

    for score in SCORES.values():
        rows = [row for row in summary if score.field in row]
        if rows:
            print_table([{key: _short(value, score.digits + 1) for key, value in row.items()} for row in rows])
            say(f"{score.field}: {score.quantity}, in {score.unit}; sd over splits")
    if not summary:
        print_table([])


def _short(value: Any, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def run_with_bar(
    sweep: SweepConfig,
    jobs: Sequence[Job],
    out: Path,
    cluster: ClusterSettings,
    again: str,
    costs: Mapping[str, Cost] | None = None,
) -> Outcome:
    """Run a sweep with a bar on standard error; if it is stopped, print the command `again` that continues it."""
    from gpvae_core.sweep.run import run_sweep

    try:
        with _bar(len(jobs)) as on_change:
            return run_sweep(sweep, jobs, out, cluster, on_change, costs)
    except (Cancelled, KeyboardInterrupt):
        say(f"stopped; what is done is kept; go on with: {again}", err=True)
        raise


@contextmanager
def _bar(total: int) -> Iterator[OnChange]:
    """Show a bar over the jobs with the time left, from the first report on; print a line for each finished job."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left {task.fields[left]}"),
    )
    bar = Progress(*columns, console=Console(file=sys.stderr))
    task = bar.add_task("sweep", total=total, left="?")
    with ExitStack() as shown:

        def on_change(now: SweepProgress) -> None:
            if not bar.live.is_started:
                shown.enter_context(bar)
            if now.news:
                bar.console.print(printable(now.news), markup=False, highlight=False, soft_wrap=True)
            bar.update(task, completed=now.done + now.failed, left=duration(now.seconds_left))

        yield on_change


def show_plan(
    sweeps: Sequence[tuple[SweepConfig, Sequence[Job]]], out: Path, cluster: ClusterSettings, json_: bool
) -> None:
    """Print the jobs left to do and their estimated cost, without writing anything."""
    from gpvae_core.sweep.cost import cell_costs, total_seconds

    jobs = [job for _, part in sweeps for job in part]
    statuses, costs = known_or_measured(jobs, out, cluster)
    rows = [row for _, part in sweeps for row in cell_costs(part, statuses, costs)]
    seconds, workers = total_seconds(rows), worker_count(cluster)
    content = {
        "names": [sweep.name for sweep, _ in sweeps],
        "out": str(out),
        "jobs": sum(row.jobs for row in rows),
        "done": sum(row.done for row in rows),
        "to_do": sum(row.to_do for row in rows),
        "seconds": seconds,
        "workers": workers,
        "cells": [asdict(row) for row in rows],
    }
    if not put_json(content, json_):
        print_table([_plan_row(row) for row in rows])
        say(cost_sentence(rows, workers))


def _plan_row(row: CellCost) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "method": row.method,
        "d": row.latent_dim,
        "jobs": row.jobs,
        "done": row.done,
        "to do": row.to_do,
        "a job": duration(row.job_seconds),
        "to do takes": duration(row.seconds),
    }


def cost_sentence(rows: Sequence[CellCost], workers: int | None) -> str:
    """Return a sentence on the jobs left to do and the time they take."""
    from gpvae_core.sweep.cost import total_seconds

    seconds, to_do = total_seconds(rows), sum(row.to_do for row in rows)
    shared = "" if workers is None or seconds is None else f", {duration(seconds / workers)} on {workers} workers"
    return (
        f"{to_do} of {sum(row.jobs for row in rows)} jobs to do: {duration(seconds)} one after the other{shared} "
        "(as measured on this machine)"
    )


def known_or_measured(
    jobs: Sequence[Job], out: Path, cluster: ClusterSettings
) -> tuple[dict[str, str], dict[str, Cost]]:
    """Return the status of each job and the cost of each kind of job, which is measured if no result has it yet."""
    from gpvae_core.sweep.cost import measure_unknown
    from gpvae_core.sweep.results import FILE, open_results
    from gpvae_core.sweep.schema import has_content

    statuses: dict[str, str] = {}
    costs: dict[str, Cost] = {}
    if has_content(out / FILE):
        results = open_results(out)
        statuses, costs = {row.key: row.status for row in results.rows()}, results.costs()
    todo = [job for job in jobs if statuses.get(job.key) != "done"]
    with terminal_progress() as progress:
        return statuses, costs | measure_unknown(todo, costs, cluster.device, progress)


def worker_count(cluster: ClusterSettings) -> int | None:
    """Return the number of local workers; None with a remote scheduler, whose number of workers is unknown."""
    return None if cluster.scheduler else cluster.local()[0]
