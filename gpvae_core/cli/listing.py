"""`gpvae list` and `gpvae runs`: tables of methods, data sets, settings and runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpvae_core.cli.options import given_path
from gpvae_core.cli.output import JsonFile, check_files, put_json, say
from gpvae_core.cli.stored_lists import stored
from gpvae_core.cli.table import print_table
from gpvae_core.errors import UserError, unknown
from gpvae_core.files import real_path

if TYPE_CHECKING:
    from gpvae_core.run_summaries import RunSummary

DEFAULT_ROOT = Path("runs")

KINDS = (
    "methods",
    "datasets",
    "encoders",
    "refiners",
    "objectives",
    "regularisers",
    "networks",
    "likelihoods",
    "kernels",
    "targets",
    "families",
    "vi-methods",
    "gradients",
    "divergences",
    "settings",
    "vi-settings",
    "presets",
    "benches",
    "figures",
    "devices",
)


def _named(summaries: dict[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "summary": summary} for name, summary in summaries.items()]


def _rows(kind: str) -> list[dict[str, Any]]:
    """Return the rows of the list named `kind`, one of KINDS."""
    from gpvae_core.bench.base import BENCHES
    from gpvae_core.config import PRESETS
    from gpvae_core.covariances.base import COVARIANCES
    from gpvae_core.data.base import DATASETS
    from gpvae_core.device import available_devices
    from gpvae_core.encoders.base import ENCODERS
    from gpvae_core.figures.base import FIGURES
    from gpvae_core.likelihoods import LIKELIHOODS
    from gpvae_core.methods import methods
    from gpvae_core.nets.base import NETS
    from gpvae_core.objectives.base import OBJECTIVES
    from gpvae_core.refiners.base import REFINERS
    from gpvae_core.regularisers.base import REGULARISERS
    from gpvae_core.settings import settings_table
    from gpvae_core.vi.divergences.base import DIVERGENCES
    from gpvae_core.vi.families.base import VI_FAMILIES
    from gpvae_core.vi.gradients.base import GRADIENTS
    from gpvae_core.vi.methods.base import VI_METHODS
    from gpvae_core.vi.settings import vi_settings_table
    from gpvae_core.vi.targets.base import TARGETS

    rows: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "methods": lambda: [method.as_dict() for method in methods().values()],
        "datasets": lambda: _named(DATASETS.summaries()),
        "encoders": lambda: _named(ENCODERS.summaries()),
        "refiners": lambda: _named(REFINERS.summaries()),
        "objectives": lambda: _named(OBJECTIVES.summaries()),
        "regularisers": lambda: _named(REGULARISERS.summaries()),
        "networks": lambda: _named(NETS.summaries()),
        "likelihoods": lambda: _named(LIKELIHOODS.summaries()),
        "kernels": lambda: _named(COVARIANCES.summaries()),
        "targets": lambda: _named(TARGETS.summaries()),
        "families": lambda: _named(VI_FAMILIES.summaries()),
        "vi-methods": lambda: _named(VI_METHODS.summaries()),
        "gradients": lambda: _named(GRADIENTS.summaries()),
        "divergences": lambda: _named(DIVERGENCES.summaries()),
        "settings": settings_table,
        "vi-settings": vi_settings_table,
        "presets": lambda: _named({name: json.dumps(value) for name, value in PRESETS.items()}),
        "benches": lambda: _named(BENCHES.summaries()),
        "figures": lambda: _named(FIGURES.summaries()),
        "devices": lambda: _named(dict.fromkeys(available_devices(), "")),
    }
    return rows[kind]()


def list_command(
    what: Annotated[str, typer.Argument(help=f"One of: {', '.join(KINDS)}.")],
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON list on stdout.")] = False,
    out: JsonFile = None,
) -> None:
    """List the available methods, data sets, parts, settings, presets, benches, figures or devices, one per line.

    Example: gpvae list methods
    """
    if what not in KINDS:
        raise unknown("list", what, KINDS)
    check_files(out)
    # The devices are those of this machine now.
    rows = _rows(what) if what == "devices" else stored(what, partial(_rows, what))
    if put_json(rows, json_, out):
        return
    if what == "methods":
        print_table([{"method": _numbered(row), "what it is": row["summary"]} for row in rows])
        say("Parts in brackets are optional. Names combine, as in gp+iwae; `--json` lists the parts of each.")
    else:
        print_table(rows)


def _numbered(row: dict[str, Any]) -> str:
    """Return the name with its number, such as 'iaf[:FLOWS]', if the method takes one."""
    count = row["number"].rsplit(".", 1)[-1].upper()
    return f"{row['name']}[:{count}]" if count else row["name"]


def runs_command(
    root: Annotated[Path, typer.Argument(parser=given_path, help="Folder of runs, or a run.")] = DEFAULT_ROOT,
    json_: Annotated[bool, typer.Option("--json", help="Print a JSON list on stdout.")] = False,
    out: JsonFile = None,
) -> None:
    """List the runs in a folder, or a run, with their progress.

    Example: gpvae runs runs --json
    """
    from gpvae_core.run_summaries import list_runs

    check_files(out)
    if not root.is_dir() and root != DEFAULT_ROOT:
        raise UserError(f"there is no folder '{root}'")
    runs, damaged = list_runs(root)
    rows = [
        {
            "run": str(run.path),
            "method": run.method,
            "dataset": run.dataset,
            "latent_dim": run.latent_dim,
            "epochs": run.epochs,
            "validation_elbo": run.best_elbo,
            "score": run.score,
            "score_name": run.score_name,
            "finished": run.finished,
        }
        for run in runs
    ]
    for line in damaged:
        say(f"gpvae: {line}", err=True)
    if not put_json(rows, json_, out):
        _print_runs(root, runs)


def _print_runs(root: Path, runs: Sequence[RunSummary]) -> None:
    from gpvae_core.guards import is_being_trained

    if not runs:
        say(f"no runs in '{root}' yet; train one with: gpvae train --method vae --dataset digits")
        return
    print_table([_line(run) for run in runs])
    for run in runs:
        if run.path.is_symlink():
            say(f"{run.path}: a link to '{real_path(run.path)}'")
        if run.best_elbo is None and run.score is not None:
            say(f"{run.path}: best {run.score_name} {run.score:.1f} nats; no finished model yet")
    for run in runs:
        if run.partial and is_being_trained(run.path):
            say(f"{run.path}: {run.partial}: it is being trained now")
        elif run.partial:
            say(f"{run.path}: {run.partial}: training was stopped; go on with: gpvae train --resume {run.path}")


def _line(run: RunSummary) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "method": run.method,
        "dataset": run.dataset,
        "latent_dim": run.latent_dim,
        "epochs": f"{run.epochs} of {run.epochs_wanted}",
        "validation_elbo": None if run.best_elbo is None else f"{run.best_elbo:.1f}",
        "finished": "partial" if run.partial else "yes",
    }
