"""The numbers of each pane of the Gap Lab as CSV text; the name of a column ends with its unit."""

from __future__ import annotations

import numpy as np

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.gap_lab.views import ContoursView, CurveView, StacksView, SviView, TimesView
from gpvae_core.inspection.views import Value


def _pair(value: Value) -> tuple[float, float | None]:
    return value.mean, value.se


def _with_error(*names: str) -> list[str]:
    """Return the columns of these quantities in nats, each with its standard error over the images."""
    return [column for name in names for column in (f"{name}_nats", f"{name}_se_nats")]


def stacks(view: StacksView) -> str:
    """Return one row per method."""
    gaps = ("log_px", "inference_gap", "approximation_gap", "amortization_gap", "gap_of_best_full_gaussian")
    rows = (
        [view.what, s.method]
        + [
            part
            for value in (view.log_px, s.inference, view.approximation, s.amortization, view.full)
            for part in _pair(value)
        ]
        + [not view.exact]
        for s in view.stacks
    )
    return csv_text(["images", "method", *_with_error(*gaps), "log_px_is_lower_bound"], rows)


def contours(view: ContoursView) -> str:
    """Return one row per point of an outline; `piece` counts its separate pieces."""
    plane = view.truth.plane
    rows = (
        (outline.name, piece, plane.x_label, plane.y_label, *point)
        for outline in view.outlines
        for piece, point in zip(_pieces(outline.line), outline.line, strict=True)
        if np.isfinite(point).all()
    )
    return csv_text(["method", "piece", "x_axis", "y_axis", "x_prior_sd", "y_prior_sd"], rows)


def _pieces(line: np.ndarray) -> np.ndarray:
    """Return the number of the piece, from 1, of each point of a line (P, 2) with NaN between its pieces."""
    return 1 + np.cumsum(np.isnan(line[:, 0]))


def svi(view: SviView) -> str:
    """Return one row per step: the centre on the plane, and the ELBO."""
    rows = ((k, *outline.centre, elbo) for k, (outline, elbo) in enumerate(zip(view.outlines, view.elbo, strict=True)))
    return csv_text(["step", "centre_x_prior_sd", "centre_y_prior_sd", "elbo_nats"], rows)


def times(view: TimesView) -> str:
    """Return one row per method: the time for a batch (median and quartiles), ELBO and gap."""
    header = ["method", "median_ms", "lower_quartile_ms", "upper_quartile_ms", "images_in_batch"]
    return csv_text(
        [*header, *_with_error("elbo", "inference_gap")],
        (
            [p.method, p.milliseconds, p.low, p.high, view.batch, *_pair(p.elbo), *_pair(p.inference)]
            for p in view.points
        ),
    )


def curve(view: CurveView) -> str:
    """Return one row per point of the curve."""
    header = ["x_axis", "x", "label", *_with_error("inference_gap", "approximation_gap", "amortization_gap")]
    parts = zip(view.x, view.labels, view.inference, view.approximation, view.amortization, strict=True)
    return csv_text(header, ([view.x_label, x, label, *_pair(i), *_pair(a), *_pair(m)] for x, label, i, a, m in parts))
