"""The numbers of each pane of the Gap Lab as CSV text."""

from __future__ import annotations

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.gap_lab.views import ContoursView, CurveView, StacksView, SviView, TimesView
from gpvae_core.inspection.views import Value


def _pair(value: Value) -> tuple[float, float | None]:
    return value.mean, value.se


def stacks(view: StacksView) -> str:
    """Return one row per method, in nats."""
    header = ["what", "method", "log_px", "log_px_se", "exact", "inference", "inference_se", "approximation"]
    header += ["approximation_se", "amortization", "amortization_se", "best_full_gap", "best_full_gap_se"]
    return csv_text(
        header,
        (
            [
                view.what, stack.method, *_pair(view.log_px), view.exact, *_pair(stack.inference),
                *_pair(view.approximation), *_pair(stack.amortization), *_pair(view.full),
            ]
            for stack in view.stacks
        ),
    )  # fmt: skip


def contours(view: ContoursView) -> str:
    """Return one row per point of an outline, in prior standard deviations; rows without numbers separate pieces."""
    labels = view.truth.plane.x_label, view.truth.plane.y_label
    rows = (
        (outline.name, *(None if p != p else p for p in point))  # p != p: NaN between two pieces
        for outline in view.outlines
        for point in outline.line
    )
    return csv_text(["method", *labels], rows)


def svi(view: SviView) -> str:
    """Return one row per step: the centre on the plane, and the ELBO in nats."""
    rows = ((k, *outline.centre, elbo) for k, (outline, elbo) in enumerate(zip(view.outlines, view.elbo, strict=True)))
    return csv_text(["step", "centre_x", "centre_y", "elbo"], rows)


def times(view: TimesView) -> str:
    """Return one row per method: milliseconds per batch, and ELBO and gap in nats."""
    header = ["method", "ms", "ms_low", "ms_high", "batch", "elbo", "elbo_se", "inference", "inference_se"]
    return csv_text(
        header,
        (
            [p.method, p.milliseconds, p.low, p.high, view.batch, *_pair(p.elbo), *_pair(p.inference)]
            for p in view.points
        ),
    )


def curve(view: CurveView) -> str:
    """Return one row per point of the curve, in nats."""
    header = [view.x_label, "label", "inference", "inference_se", "approximation", "approximation_se"]
    header += ["amortization", "amortization_se"]
    parts = zip(view.x, view.labels, view.inference, view.approximation, view.amortization, strict=True)
    return csv_text(header, ([x, label, *_pair(i), *_pair(a), *_pair(m)] for x, label, i, a, m in parts))
