"""`gpvae figure NAME RUN...`: draw a figure of a paper from runs on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpvae_core.cli.options import given_path
from gpvae_core.cli.output import say
from gpvae_core.errors import UserError
from gpvae_core.progress import terminal_progress

HELP = """Draw a figure from runs on disk, and write it as a self-contained HTML page, or its numbers as CSV.

Figures of Jazbec et al. 2021: rmse-points (Fig. 1), length-scale (Fig. 3), inducing-points (Fig. 4), mse-time and
mse-total-time (Fig. 6, 7), mse-points and mse-batch-size (C.3), batch-bias (C.4); `gpvae list figures` says what each
is. A RUN is a run's folder, a folder of runs, or that of a sweep, whose runs are all drawn. Runs that share all
settings but the seed are one mark or curve: their mean, with their standard deviation. Runs that lack what a figure
needs are left out, with a line that says so. Nothing is trained.

Examples:

  gpvae figure rmse-points sweeps/moving-ball --out rmse-points.html

  gpvae figure length-scale runs/ball-m5 runs/ball-m15 --out length-scale.html

  gpvae figure mse-time sweeps/rotated-mnist --out mse-time.html --theme dark

  gpvae figure rmse-points sweeps/moving-ball --out rmse-points.csv
"""


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the figure: see `gpvae list figures`.")],
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", parser=given_path, help="Runs, or folders of runs or sweeps.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", parser=given_path, help="HTML file of the figure; .csv: its numbers."),
    ],
    theme: Annotated[str | None, typer.Option(help="Colours of the page: light or dark.  [default: light]")] = None,
) -> None:
    from gpvae_core.figures.base import TABLE, write_figure

    is_table = out.suffix.lower() == TABLE
    if is_table and theme is not None:
        raise UserError(f"--theme has no effect on '{out}': the numbers of a figure have no colours")
    with terminal_progress() as progress:
        drawn = write_figure(name, runs, out, theme or "light", progress)
    for run in drawn.runs:
        if run.partial:
            say(f"{run.path}: {run.partial}", err=True)
    for why in drawn.left_out.values():
        say(f"left out: {why}", err=True)
    what = "numbers of figure" if is_table else "figure"
    say(f"{out}: {what} '{name}' of {len(drawn.runs)} run{'s' if len(drawn.runs) != 1 else ''}")
