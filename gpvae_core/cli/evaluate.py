"""`gpvae evaluate RUN`: bounds, truth and gaps on the test set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from gpvae_core.errors import UserError
from gpvae_core.progress import terminal_progress


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    split: Annotated[str, typer.Option(help="test or validation.")] = "test",
    k: Annotated[int, typer.Option(min=1, help="Importance samples of the IWAE bound.")] = 100,
    instances: Annotated[
        int | None,
        typer.Option(
            min=2, help="Size of the seeded sample for truth and gaps.  [default: all of at most 500, else 200]"
        ),
    ] = None,
    truths: Annotated[
        int | None,
        typer.Option(
            min=2, help="Size of the sample for the true posterior alone (d = 2), if larger.  [default: 1000]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the sample and the noise.")] = 0,
    bandwidth: Annotated[
        str, typer.Option(help="Width of MAPA's kernel: sigma_x, or validation (the best on validation images).")
    ] = "sigma_x",
    refiner: Annotated[
        str | None,
        typer.Option(
            help="Refine the encoder's answers, as svi:8 or svi:8,step_size=0.05 (none: not at all); see "
            "`gpvae list refiners`.  [default: as the run was trained]"
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps.  [default: the best there is]")] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Bounds on log p(x), the true log p(x), the best Gaussian and the gaps, in nats, with standard errors.

    With 2 latent dimensions log_px is by quadrature (log_px.truth is 'grid'). With any other number it is a lower bound
    by importance sampling: log_px.truth is 'iwae', log_px.k the number of samples, and the inference and the
    approximation gap are lower bounds as well.

    Example: gpvae evaluate runs/digits-gp-d2-s0 --json
    """
    from gpvae_core.evaluate import GRID_SAMPLE, evaluate
    from gpvae_core.runs import load_run

    if split not in ("test", "validation"):
        raise UserError(f"wanted --split test or validation, got '{split}'")
    loaded = load_run(run, device=device, refiner=refiner)
    with terminal_progress() as progress:
        result = evaluate(
            loaded,
            split=split,
            max_instances=instances,
            k=k,
            seed=seed,
            progress=progress,
            max_truths=truths or GRID_SAMPLE,
            bandwidth=bandwidth,
        )
    if json_:
        typer.echo(json.dumps(result, indent=1))
    else:
        _print(result)


def _rows(result: dict[str, Any], prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every entry that has a mean, with its dotted name."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name, value in result.items():
        if isinstance(value, dict):
            found += [(f"{prefix}{name}", value)] if "mean" in value else _rows(value, f"{prefix}{name}.")
    return found


def _unit(name: str) -> str:
    """All is in nats but counts and the uncertainties, which are in squared latent units."""
    return {"n_modes": "count", "uncertainty": "latent²"}.get(name.split(".")[0], "nats")


def _how(log_px: dict[str, Any]) -> str:
    if log_px["truth"] == "grid":
        return "quadrature on a grid"
    return f"importance sampling ({log_px['truth']}, k = {log_px['k']}), a lower bound"


def _print(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['run']} on {result['dataset']} ({result['split']})")
    for column in ("quantity", "mean", "standard error", "n", "unit"):
        table.add_column(column, justify="left" if column in ("quantity", "unit") else "right")
    for name, entry in _rows(result):
        if entry["mean"] is not None:
            table.add_row(name, f"{entry['mean']:.3f}", f"{entry['se']:.3f}", str(entry["n"]), _unit(name))
    Console().print(table)
    for name, entry in result.get("correlations", {}).items():
        typer.echo(f"{name}: {json.dumps(entry)}")
    typer.echo(f"log p(x) by {_how(result['log_px'])}")
