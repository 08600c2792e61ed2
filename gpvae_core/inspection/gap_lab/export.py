"""The numbers of each pane as CSV."""

from __future__ import annotations

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.gap_lab.views import ContoursView, CurveView, StacksView, SviView, TimesView
from gpvae_core.inspection.views import Value


def _pair(value: Value) -> tuple[float, float | None]:
    return value.mean, value.se


def stacks(view: StacksView) -> str:
    """Return one row a method, nats."""
    header = ["what", "method", "log_px", "log_px_se", "exact", "inference", "inference_se", "approximation"]
    header += ["approximation_se", "amortization", "amortization_se", "best_full_gap", "best_full_gap_se"]
    return csv_text(
        header,
        (
            [
                view.what, one.method, *_pair(view.log_px), view.exact, *_pair(one.inference),
                *_pair(view.approximation), *_pair(one.amortization), *_pair(view.full),
            ]
            for one in view.stacks
        ),
    )  # fmt: skip


def contours(view: ContoursView) -> str:
    """Return one row a point of an outline, prior standard deviations; an empty row of numbers between two pieces."""
    labels = view.truth.plane.x_label, view.truth.plane.y_label
    rows = ((one.name, *(None if p != p else p for p in point)) for one in view.outlines for point in one.line)
    return csv_text(["method", *labels], rows)


def svi(view: SviView) -> str:
    """Return one row a step: centre on the plane, ELBO in nats."""
    rows = ((k, *one.centre, elbo) for k, (one, elbo) in enumerate(zip(view.outlines, view.elbo, strict=True)))
    return csv_text(["step", "centre_x", "centre_y", "elbo"], rows)


def times(view: TimesView) -> str:
    """Return one row a method: milliseconds for a batch, nats."""
    header = ["method", "ms", "ms_low", "ms_high", "batch", "elbo", "elbo_se", "inference", "inference_se"]
    return csv_text(
        header,
        (
            [p.method, p.milliseconds, p.low, p.high, view.batch, *_pair(p.elbo), *_pair(p.inference)]
            for p in view.points
        ),
    )


def curve(view: CurveView) -> str:
    """Return one row a point, nats."""
    header = [view.x_label, "label", "inference", "inference_se", "approximation", "approximation_se"]
    header += ["amortization", "amortization_se"]
    parts = zip(view.x, view.labels, view.inference, view.approximation, view.amortization, strict=True)
    return csv_text(header, ([x, label, *_pair(i), *_pair(a), *_pair(m)] for x, label, i, a, m in parts))
