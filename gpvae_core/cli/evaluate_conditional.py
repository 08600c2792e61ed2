"""`gpvae evaluate RUN` of a run that models images given their columns: images at columns of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from gpvae_core.cli.output import announced, put_json, say
from gpvae_core.cli.table import show
from gpvae_core.formatting import number, rounded
from gpvae_core.progress import terminal_progress
from gpvae_core.terminal import printable

if TYPE_CHECKING:
    from gpvae_core.evaluation.conditional import ConditionalEvaluation
    from gpvae_core.evaluation.settings import SplitName
    from gpvae_core.runs import Run


def evaluate_at_columns(
    run: Run, split: SplitName, k: int, seed: int, remarks: Sequence[str], json_: bool, out: Path | None
) -> None:
    """Evaluate a run that models images given their columns, and print the result as a table or as JSON."""
    from gpvae_core.evaluation.conditional import evaluate_conditional

    with terminal_progress() as progress:
        result = evaluate_conditional(run, split, k, seed, announced(progress, list(remarks)))
    if not put_json(result.to_json(), json_, out):
        _print(result)


def _print(result: ConditionalEvaluation) -> None:
    table = Table(title=escape(printable(f"{result.run} on {result.dataset} ({result.split})")))
    for column in ("quantity", "mean", "standard error", "n", "unit"):
        table.add_column(column, justify="left" if column in ("quantity", "unit") else "right")
    rows = {
        "mse, mean decoded": (result.mse, "pixel²"),
        "mse, sample decoded": (result.mse_sample, "pixel²"),
        f"nlpd, {result.k} samples": (result.nlpd, "nats"),
        f"coverage of 95 % intervals, {result.k} samples": (result.coverage, ""),
        "mse of the mean training image": (result.yardsticks.mean_image, "pixel²"),
        "mse of the nearest training view": (result.yardsticks.nearest_view, "pixel²"),
        "mse of that view, rotated": (result.yardsticks.nearest_view_rotated, "pixel²"),
    }
    for name, (mean, unit) in rows.items():
        if mean is not None:
            table.add_row(name, rounded(mean.mean, 4), number(mean.se), str(mean.n), unit)
    show(table)
    say(f"images of the {result.split} split at their columns, given {result.given}")
    if result.unscored is not None:
        say(f"{result.unscored} missing frames are predicted, but have no pixel to be scored (gpvae impute shows them)")
    if result.path_rmse is not None:
        say(f"latents after one affine fit to the known path: RMSE {number(result.path_rmse)} in its units")
    if result.yardsticks.nearest_view_rotated is not None:
        say("the rotated view knows that the column is an angle of the picture, which no model is told")
