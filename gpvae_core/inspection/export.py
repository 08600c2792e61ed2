"""The numbers of the Explorer's views as CSV files, each of them one table with one header and one kind of row.

The name of a column ends with its unit: `nats`, `prior_sd` (standard deviations of the prior), `prior_var` (their
squares), `px` (the range of pixels is 1). Columns `x_axis` and `y_axis` name what x and y are measured along: latent
coordinates, or directions of a slice through the posterior's mode, from which x and y then count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.line_views import Array, LineView
from gpvae_core.inspection.uncertainty_views import FigureOneItem, UncertaintyView
from gpvae_core.inspection.views import GapView, MapView, PosteriorView, ReconstructionView, TracesView

Files = Mapping[str, Callable[[Any], str]]
"""What a view's CSV files hold -> function that writes one; the name of the only file of a view is empty."""
Posteriors = Mapping[str, PosteriorView | LineView]
"""The name of a run -> its posterior, on a plane or, at d = 1, along the line, where y is empty."""


def _axes(views: Posteriors) -> Iterator[tuple[tuple[str, str, str | None], PosteriorView | LineView]]:
    """Yield the first columns of each run's rows, the run and its axes, with its view."""
    for run, view in views.items():
        if isinstance(view, LineView):
            yield (run, view.label, None), view
        else:
            yield (run, view.plane.x_label, view.plane.y_label), view


def _places(points: Array) -> Iterable[tuple[object, object]]:
    """Return x and y of points on a plane (N, 2) or along a line (N,)."""
    return ((z, None) if np.ndim(z) == 0 else tuple(z) for z in points)


def _grid(view: PosteriorView | LineView) -> Iterator[tuple[object, object, object]]:
    """Yield x, y and log density of each point at which the density is drawn."""
    if isinstance(view, LineView):
        yield from ((z, None, value) for z, value in zip(view.z, view.log_density, strict=True))
        return
    for y, row in zip(view.y, view.log_density, strict=True):
        yield from ((x, y, value) for x, value in zip(view.x, row, strict=True))


def _moments(view: PosteriorView | LineView) -> Iterator[tuple[object, ...]]:
    """Yield name, mean and covariance of each approximate posterior."""
    if isinstance(view, LineView):
        yield from ((s.name, s.mean, None, s.variance, None, None) for s in view.gaussians)
        return
    for s in view.gaussians:
        yield s.name, *s.mean, s.covariance[0, 0], s.covariance[0, 1], s.covariance[1, 1]


def _densities(views: Posteriors) -> str:
    rows = ((*first, *point) for first, view in _axes(views) for point in _grid(view))
    return csv_text(("run", "x_axis", "y_axis", "x_prior_sd", "y_prior_sd", "log_density_nats"), rows)


def _regions(views: Posteriors) -> str:
    rows = ((run, mass, threshold) for run, view in views.items() for mass, threshold in view.hpd_levels)
    return csv_text(("run", "mass", "least_log_density_nats"), rows)


def _gaussians(views: Posteriors) -> str:
    rows = ((*first, *moments) for first, view in _axes(views) for moments in _moments(view))
    moments = ("mean_x_prior_sd", "mean_y_prior_sd", "cov_xx_prior_var", "cov_xy_prior_var", "cov_yy_prior_var")
    return csv_text(("run", "x_axis", "y_axis", "gaussian", *moments), rows)


def _points(views: Posteriors) -> str:
    rows = (
        (*first, kind, *z, probability)
        for first, view in _axes(views)
        for kind, z, probability in (
            *((f"sample of {view.base_name}", z, None) for z in _places(view.base_samples)),
            *(("MAPA point", z, q) for z, q in zip(_places(view.mapa_points), view.mapa_weights, strict=True)),
            *(("mode", z, None) for z in _places(view.modes)),
        )
    )
    return csv_text(("run", "x_axis", "y_axis", "point", "x_prior_sd", "y_prior_sd", "mapa_probability"), rows)


POSTERIOR: Files = {"densities": _densities, "regions": _regions, "Gaussians": _gaussians, "points": _points}


def _this_image(view: UncertaintyView | None) -> str:
    pairs = () if view is None else zip(view.per_dimension_f, view.per_dimension_h, strict=True)
    rows = ((f"z{j + 1}", f, h) for j, (f, h) in enumerate(pairs))
    return csv_text(("dimension", "v_f_prior_var", "v_h_prior_var"), rows)


def _test_images(view: UncertaintyView | None) -> str:
    """Return the traces of all test images, and the gaps of those whose gaps are known."""
    header = ["test_image", "trace_v_f_prior_var", "trace_v_h_prior_var"]
    if view is None:
        return csv_text(header, ())
    header += [_with_unit(name) for name in view.scatter]
    gaps = np.full((len(view.all_trace_f), len(view.scatter)), np.nan)
    for column, values in enumerate(view.scatter.values()):
        gaps[view.scatter_index, column] = values
    rows = zip(view.all_trace_f, view.all_trace_h, gaps, strict=True)
    return csv_text(header, ((i, f, h, *known) for i, (f, h, known) in enumerate(rows)))


def _with_unit(quantity: str) -> str:
    name = quantity.replace(" ", "_")
    return name if name == "number_of_modes" else f"{name}_nats"


def _correlations(view: UncertaintyView | None) -> str:
    rows = () if view is None else ((c.against, c.rho, c.low, c.high, c.n) for c in view.correlations)
    return csv_text(("against", "spearman_rho", "low_95", "high_95", "images"), rows)


UNCERTAINTY: Files = {"this image": _this_image, "test images": _test_images, "correlations": _correlations}


def _log_densities(view: TracesView) -> str:
    rows = (
        (t.coordinate, series, z, value)
        for t in view.traces
        for series, zs, values in (
            ("true", t.line_z, t.line), ("empiricalized", t.z, t.empirical), ("MAPA", t.z, t.mapa),
        )
        for z, value in zip(zs, values, strict=True)
    )  # fmt: skip
    return csv_text(("coordinate", "series", "z_prior_sd", "log_density_nats"), rows)


def _kernel(view: TracesView) -> str:
    header = ("kernel_width_px", "width_from", "kl_empiricalized_mapa_nats")
    return csv_text(header, [(view.bandwidth, view.bandwidth_source, view.kl_mapa)])


TRACES: Files = {"log densities": _log_densities, "kernel": _kernel}


def _map(view: MapView) -> str:
    names = [view.class_name(c) for c in view.class_index]
    unknown = [None] * len(names)
    uncertainty, gap = (unknown if values is None else values for values in (view.uncertainty, view.gap))
    rows = zip(view.index, view.xy[:, 0], view.xy[:, 1], names, uncertainty, gap, strict=True)
    x, y = (f"{view.x_label}_prior_sd", "height") if view.x_label else ("x", "y")
    return csv_text(("test_image", x, y, "class", "trace_v_f_and_v_h_prior_var", "inference_gap_nats"), rows)


MAP: Files = {"": _map}


def _errors(view: ReconstructionView) -> str:
    return csv_text(("image", "rmse_px"), ((item.name, item.rmse) for item in view.items))


def _pixels(view: ReconstructionView) -> str:
    named = [("input", view.image), *((item.name, item.image) for item in view.items)]
    named += [(f"posterior sample {k + 1}", image) for k, image in enumerate(view.samples)]
    rows = ((name, *place, value) for name, image in named for place, value in np.ndenumerate(image))
    return csv_text(("image", "channel", "row", "column", "value_px"), rows)


RECONSTRUCTIONS: Files = {"errors": _errors, "pixels": _pixels}


def _gaps(views: Mapping[str, GapView]) -> str:
    """Return one row per run: its bounds, and its gaps, which are None until the best Gaussians are known."""
    bounds = ("log_px", "log_px_se", "encoder_elbo", "best_diagonal_elbo", "best_full_elbo")
    gaps = ("inference_gap", "approximation_gap", "amortization_gap", "gap_of_best_full_gaussian", "negentropy")
    header = ["run", *(f"{name}_nats" for name in (*bounds, *gaps)), "modes", "truth", "log_px_is_lower_bound"]
    return csv_text(header, (_gap_row(run, view) for run, view in views.items()))


def _gap_row(run: str, view: GapView) -> Iterable[object]:
    diagonal, full = view.best_diagonal_elbo, view.best_full_elbo
    bounds = (view.log_px, view.log_px_se, view.encoder_elbo, diagonal, full)
    split = (None, None) if diagonal is None else (view.log_px - diagonal, diagonal - view.encoder_elbo)
    beyond = None if full is None else view.log_px - full
    gaps = (view.log_px - view.encoder_elbo, *split, beyond, view.negentropy)
    return run, *bounds, *gaps, view.modes, view.log_px_truth, not view.exact


GAPS: Files = {"": _gaps}


def _six_images(items: Sequence[FigureOneItem]) -> str:
    header = ("test_image", "trace_v_f_and_v_h_prior_var")
    return csv_text(header, ((item.index, item.uncertainty) for item in items))


def _six_densities(items: Sequence[FigureOneItem]) -> str:
    header, *rows = _densities({str(item.index): item.posterior for item in items}).splitlines(keepends=True)
    return "".join([header.replace("run", "test_image", 1), *rows])


FIGURE_ONE: Files = {"densities": _six_densities, "images": _six_images}
