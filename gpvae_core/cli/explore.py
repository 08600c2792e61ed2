"""`gpvae explore`: open the Posterior Explorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpvae_core.pages import explore


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Runs to explore, or folders of runs.  [default: runs/, or the default pair, trained first]"
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5006,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Open the Posterior Explorer in the browser; it is served to this machine alone.

    With nothing trained yet it trains a VAE and a GP encoder on the digits first, and shows that.

    Example: gpvae explore runs/digits-vae runs/digits-gp --port 5010 --no-open
    """
    explore(*(runs or []), port=port, open_browser=not no_open)
