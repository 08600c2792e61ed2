"""`gpvae explore`: open the Posterior Explorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpvae_core.cli.options import given_path
from gpvae_core.pages import explore


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            parser=given_path,
            help="Run folders, or folders that contain runs.  [default: runs/, or a default pair, trained first]",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port on this machine.")] = 5006,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Open the pages in the browser: Posterior Explorer, Gap Lab, MAPA Lab, GP-Prior Lab and Results.

    Other machines cannot connect to them.

    If there are no runs yet, a VAE and a GP encoder are trained on the digits first.

    Example: gpvae explore runs/digits-vae runs/digits-gp --port 5010 --no-open
    """
    explore(*(runs or []), port=port, open_browser=not no_open)
