"""The numbers of each view as CSV text: one or more tables with a header each, separated by blank lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.uncertainty_views import FigureOneItem, UncertaintyView
from gpvae_core.inspection.views import Array, GapView, MapView, PosteriorView, ReconstructionView, TracesView

Table = tuple[Sequence[str], Iterable[Sequence[object]]]


def csv_tables(*tables: Table) -> str:
    """Return tables as CSV text, separated by blank lines; numbers keep the digits that restore their float64."""
    return "\n".join(csv_text(heading, (map(_plain, row) for row in rows)) for heading, rows in tables)


def _plain(value: object) -> object:
    """Return a number as a Python scalar; an empty text for NaN and None."""
    if isinstance(value, np.generic):
        value = value.item()
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else value


def _columns(**columns: Array | np.ndarray) -> Table:
    return tuple(columns), zip(*columns.values(), strict=True)


def posterior(view: PosteriorView) -> str:
    """Return the grid in long form, the density levels, the Gaussians and the points."""
    x, y = np.meshgrid(view.x, view.y)
    grid = _columns(x=x.ravel(), y=y.ravel(), log_density=view.log_density.ravel())
    shapes = [(s.name, *s.mean, s.covariance[0, 0], s.covariance[0, 1], s.covariance[1, 1]) for s in view.gaussians]
    points = [
        *(("base sample", *z, None) for z in view.base_samples),
        *(("MAPA point", *z, w) for z, w in zip(view.mapa_points, view.mapa_weights, strict=True)),
        *(("mode", *z, None) for z in view.modes),
    ]
    return csv_tables(
        grid,
        (("mass", "log_density_threshold"), view.hpd_levels),
        (("gaussian", "mean_x", "mean_y", "cov_xx", "cov_xy", "cov_yy"), shapes),
        (("point", "x", "y", "weight"), points),
    )


def uncertainty(view: UncertaintyView | None) -> str:
    """Return tables of this instance, all instances, the scatter and the correlations.

    For an encoder that reports no uncertainty it is the header alone.
    """
    header = (
        "quantity",
        "trace",
        *(f"dimension_{j + 1}" for j in range(0 if view is None else len(view.per_dimension_f))),
    )
    if view is None:
        return csv_tables((header, ()))
    rows = [("V[f]", view.trace_f, *view.per_dimension_f), ("V[h]", view.trace_h, *view.per_dimension_h)]
    everyone = _columns(index=np.arange(len(view.all_trace_f)), trace_f=view.all_trace_f, trace_h=view.all_trace_h)
    scatter = _columns(index=view.scatter_index, uncertainty=view.scatter_uncertainty, **view.scatter)
    correlations = [(c.against, c.rho, c.low, c.high, c.n) for c in view.correlations]
    return csv_tables(
        (header, rows), everyone, scatter, (("against", "spearman_rho", "low_95", "high_95", "n"), correlations)
    )


def traces(view: TracesView) -> str:
    """Return the lines and points of every coordinate in long form, and the kernel's bandwidth."""
    rows: list[Sequence[object]] = []
    for t in view.traces:
        rows += [(t.coordinate, "true", z, v) for z, v in zip(t.line_z, t.line, strict=True)]
        rows += [(t.coordinate, "empiricalized", z, v) for z, v in zip(t.z, t.empirical, strict=True)]
        rows += [(t.coordinate, "MAPA", z, v) for z, v in zip(t.z, t.mapa, strict=True)]
    settings = (("bandwidth", "bandwidth_source", "kl_mapa"), [(view.bandwidth, view.bandwidth_source, view.kl_mapa)])
    return csv_tables((("coordinate", "series", "z", "log_density"), rows), settings)


def tsne_map(view: MapView) -> str:
    """Return one row per point."""
    n = len(view.index)
    names = [view.class_names[c] if 0 <= c < len(view.class_names) else "" for c in view.class_index]
    empty = np.full(n, np.nan)
    uncertainty, gap = (empty if v is None else v for v in (view.uncertainty, view.gap))
    rows = zip(view.index, view.xy[:, 0], view.xy[:, 1], names, uncertainty, gap, strict=True)
    return csv_tables((("index", "x", "y", "class", "uncertainty", "inference_gap"), rows))


def reconstructions(view: ReconstructionView) -> str:
    """Return the errors, and every pixel of the input, the reconstructions and the samples."""
    named = [("input", view.image), *((item.name, item.image) for item in view.items)]
    named += [(f"posterior sample {k + 1}", image) for k, image in enumerate(view.samples)]
    rows = [(name, *place, value) for name, image in named for place, value in np.ndenumerate(image)]
    pixels = (
        ("image", "channel", "row", "column", "value"),
        [(name, c, i, j, value) for name, c, i, j, value in rows],
    )
    return csv_tables((("image", "rmse"), [(item.name, item.rmse) for item in view.items]), pixels)


def gaps(view: GapView) -> str:
    """Return one row with the fields of the view."""
    values = asdict(view)
    return csv_tables((tuple(values), [tuple(values.values())]))


def figure_one(items: Sequence[FigureOneItem]) -> str:
    """Return the six instances with their uncertainty, and their posteriors in long form."""
    rows: list[Sequence[object]] = []
    for item in items:
        x, y = np.meshgrid(item.posterior.x, item.posterior.y)
        rows += zip(np.full(x.size, item.index), x.ravel(), y.ravel(), item.posterior.log_density.ravel(), strict=True)
    listed = [(item.index, item.uncertainty) for item in items]
    return csv_tables((("index", "uncertainty"), listed), (("index", "x", "y", "log_density"), rows))
