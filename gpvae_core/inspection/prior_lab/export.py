"""The numbers of each pane of the GP-Prior Lab as CSV text."""

from __future__ import annotations

from collections.abc import Sequence

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.prior_lab.training_curves import TERMS
from gpvae_core.inspection.prior_lab.views import SeriesView, TrainingCurve


def series(views: Sequence[SeriesView]) -> str:
    """Return one row for each run and instant: posterior mean and standard deviation of each coordinate."""
    names = views[0].coordinates
    header = ["run", "series", views[0].axis, "frame", "given", "mse"]
    header += [column for name in names for column in (f"{name}_mean", f"{name}_sd", f"{name}_true")]
    rows = []
    for view in views:
        frame_at = {int(place): k for k, place in enumerate(view.at_frames)}
        for place, at in enumerate(view.curves.at):
            k = frame_at.get(place)
            known = [None, None, None] if k is None else [k, bool(view.seen[k]), view.mse[k]]
            row = [view.run, view.series, at, *known]
            for e in range(min(len(names), len(view.coordinates))):
                true = None if view.path is None or k is None else view.path[k, e]
                row += [view.curves.mean[place, e], view.curves.deviation[place, e], true]
            rows.append(row)
    return csv_text(header, rows)


def training(curves: Sequence[TrainingCurve]) -> str:
    """Return one row for each run and epoch."""
    rows = (
        [curve.run, int(epoch), *(curve.terms[name][k] for name in TERMS)]
        for curve in curves
        for k, epoch in enumerate(curve.epochs)
    )
    return csv_text(["run", "epoch", *TERMS], rows)
