"""The error of paths against the number of inducing points (Jazbec et al. 2021, Fig. 1)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.figures.base import FIGURES, RunFigure
from gpvae_core.figures.runs import RunOnDisk, grouped, spread
from gpvae_core.plots.spread_curves import Caption, Level, SpreadCurve, figure
from gpvae_core.plots.theme import Theme
from gpvae_core.progress import Progress
from gpvae_core.runs import load_run


@FIGURES.register("rmse-points")
class RmseAgainstPoints(RunFigure):
    """RMSE of latent paths on new videos against the number of inducing points m; exact models as lines (Fig. 1)."""

    def draw(self, runs: Sequence[RunOnDisk], theme: Theme, progress: Progress) -> go.Figure:
        if all(run.points is None for run in runs):
            raise UserError("no run has inducing points: wanted at least one such as of method svgp:15")
        rmse = {}
        for done, run in enumerate(runs, 1):
            rmse[run.path] = _path_rmse(run)
            progress(done, len(runs), "evaluating runs")
        with_points = [run for run in runs if run.points is not None]
        curves = []
        for group in grouped(with_points, but=("inference.points",)):
            by_m = {m: [run for run in group.runs if run.points == m] for m in {run.points or 0 for run in group.runs}}
            means = [spread([rmse[run.path] for run in members]) for _, members in sorted(by_m.items())]
            curves.append(
                SpreadCurve(
                    name=group.name,
                    x=sorted(by_m),
                    y=[mean.mean for mean in means],
                    sd=[mean.sd for mean in means],
                    runs=[mean.runs for mean in means],
                )
            )
        levels = []
        for group in grouped([run for run in runs if run.points is None]):
            mean = spread([rmse[run.path] for run in group.runs])
            levels.append(Level(f"{group.name} ({mean.runs} runs)", mean.mean, mean.sd))
        caption = Caption(
            "latents after one affine fit to the known paths of test videos; mean ± standard deviation over seeds",
            "number of inducing points m",
            "RMSE of the path (its units)",
            "",
            x_ticks=sorted({run.points for run in with_points if run.points is not None}),
        )
        return figure(curves, levels, caption, theme)


def _path_rmse(run: RunOnDisk) -> float:
    """Return the RMSE of a run. Raises UserError if it has no known path."""
    rmse = evaluate_conditional(load_run(run.path), k=1).path_rmse
    if rmse is None:
        raise UserError(
            f"run '{run.name}' has no known path: wanted a vector column and groups, as of moving-ball (prior.group)"
        )
    return rmse
