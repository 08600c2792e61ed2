"""The numbers of each pane of the GP-Prior Lab as CSV text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.prior_lab.training_curves import TERMS
from gpvae_core.inspection.prior_lab.views import (
    BehindView,
    GridView,
    InstanceMeasure,
    PriorMap,
    RunScore,
    SeriesView,
    TrainingCurve,
    TurnView,
)
from gpvae_core.plots.point_paths import PointPathsView


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


def turn(views: Sequence[TurnView]) -> str:
    """Return one row for each run and pixel of the prediction."""
    rows = []
    for view in views:
        true = np.full_like(view.mean, np.nan) if view.truth is None else view.truth.image
        for place, value in np.ndenumerate(view.mean):
            rows.append([view.run, view.thing, view.at, *place, value, view.spread[place[1:]], true[place]])
    return csv_text(["run", "object", views[0].axis, "channel", "row", "column", "mean", "sd", "true"], rows)


def behind(view: BehindView) -> str:
    """Return one row for each training view shown."""

    def place(cell: object) -> list[object]:
        return [cell] if view.axis else []

    header = ["run", "object", *place(view.axis), "training_image", "its_object", *place(f"its_{view.axis}"), "share"]
    rows = (
        [view.run, view.thing, *place(view.at), shown.index, shown.thing, *place(shown.at), shown.share]
        for shown in view.views
    )
    return csv_text([str(name) for name in header], rows)


def shares(views: Sequence[SeriesView]) -> str:
    """Return one row for each pair of a frame and a frame that was given."""
    rows = []
    for view in views:
        given = np.flatnonzero(view.seen)
        for (k, s), share in np.ndenumerate(view.shares if view.shares is not None else np.zeros((0, 0))):
            rows.append([view.run, view.series, k, view.times[k], int(given[s]), view.times[given[s]], share])
    axis = views[0].axis
    return csv_text(["run", "series", "frame", axis, "given_frame", f"its_{axis}", "share"], rows)


def turn_latents(views: Sequence[TurnView]) -> str:
    """Return one row for each value of the number: posterior mean and standard deviation of each channel."""
    view = views[0]
    header = ["run", "object", view.axis, *(f"{name}_{part}" for name in view.coordinates for part in ("mean", "sd"))]
    pairs = np.stack([view.curves.mean, view.curves.deviation], 2).reshape(len(view.curves.at), -1)
    rows = ([view.run, view.thing, at, *pair] for at, pair in zip(view.curves.at, pairs, strict=True))
    return csv_text(header, rows)


def latents(view: PriorMap) -> str:
    """Return one row for each image of the map."""
    numbers = list(view.numbers)
    header = ["image", "x", "y", *numbers, *view.categories]
    rows = (
        [int(index), *view.xy[k], *(view.numbers[name][k] for name in numbers)]
        + [names[int(codes[k])] for codes, names in view.categories.values()]
        for k, index in enumerate(view.index)
    )
    return csv_text(header, rows)


def point_paths(view: PointPathsView | None) -> str:
    """Return one row for each run, kept epoch and inducing point."""
    runs = () if view is None else view.runs
    rows = (
        [run.name, epoch, point + 1, run.positions[e, point]]
        for run in runs
        for e, epoch in enumerate(run.epochs)
        for point in range(run.positions.shape[1])
    )
    return csv_text(["run", "epoch", "point", "position" if view is None else view.column], rows)


def instances(found: Sequence[InstanceMeasure]) -> str:
    """Return one row for each series or image that was measured."""
    header = [
        "run",
        "what",
        "gap",
        "gap_error",
        "own",
        "kl",
        "kl_sd",
        "bias",
        "bias_by_chance",
        "batches",
        "batch_size",
    ]
    rows = (
        [m.run, m.what, m.gap, m.gap_error, m.own, m.kl, m.kl_spread, m.bias, m.bias_by_chance, m.batches, m.batch_size]
        for m in found
    )
    return csv_text(header, rows)


def scores(found: Sequence[RunScore]) -> str:
    """Return one row for each run."""
    header = ["run", "method", "mse", "path_rmse", "epochs", "seconds", "inducing_points", "length_scale"]
    rows = ([s.run, s.method, s.mse, s.path_rmse, s.epochs, s.seconds, s.points, s.length_scale] for s in found)
    return csv_text(header, rows)


def grid(view: GridView) -> str:
    """Return one row for each pair."""
    rows = (
        [view.run, row, new, column, None if cell.truth is None else cell.kind, cell.mse]
        for row, new, cells in zip(view.rows, view.new, view.cells, strict=True)
        for column, cell in zip(view.columns, cells, strict=True)
    )
    return csv_text(["run", view.row_name, "is_new", view.column_name, "image", "mse"], rows)
