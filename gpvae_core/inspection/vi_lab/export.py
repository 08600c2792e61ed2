"""The numbers of each pane of the VI Lab as CSV text; the name of a column ends with its unit."""

from __future__ import annotations

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.vi_lab.views import NoiseView, PathView, SampledBoundsView, StepsView, unit


def path(view: PathView) -> str:
    """Return one row for each step: the mean of q(z), its bound and its divergences, or for each of its particles."""
    p = view.path
    divergences = list(p.divergences)
    header = ["settings", "step", "particle", "z1", "z2", "bound_nats", *map(_column, divergences)]
    rows = []
    for step, bound in enumerate(p.bound):
        values = [bound, *(p.divergences[name][step] for name in divergences)]
        places = [o.centre for o in p.outlines[step : step + 1]] or list(p.particles[step])
        single = bool(p.outlines)
        rows += [[p.settings, step, None if single else k, *place, *values] for k, place in enumerate(places)]
    return csv_text(header, rows)


def steps(view: StepsView) -> str:
    """Return one row for each inference and step: log p(x), the bounds and the divergence that is drawn."""
    header = ["inference", "settings", "step", "log_px_nats", "elbo_nats", "cubo_nats", _column(view.divergence)]
    rows = [
        [name, p.settings, step, view.log_px, *(y[step] for y in (p.elbo, p.cubo, p.divergences[view.divergence]))]
        for name, p in view.paths.items()
        for step in range(len(p.bound))
    ]
    return csv_text(header, rows)


def sampled_bounds(view: SampledBoundsView) -> str:
    """Return one row for each inference and number of samples: the mean of the bound, and log p(x)."""
    rows = [
        [name, k, bound.mean, bound.se, view.log_px]
        for name, bounds in view.bounds.items()
        for k, bound in zip(view.sizes, bounds, strict=True)
    ]
    return csv_text(["inference", "samples", "iwae_nats", "iwae_se_nats", "log_px_nats"], rows)


def noise(view: NoiseView) -> str:
    """Return one row for each estimator and size: the total variance of the gradient over the parameters."""
    counted = "samples" if view.what.startswith("samples") else "batch"
    rows = [
        [view.settings, view.step, estimator, size, variance, view.repeats]
        for estimator, values in view.variances.items()
        for size, variance in zip(view.sizes, values, strict=True)
    ]
    return csv_text(["settings", "step", "estimator", counted, "total_variance_nats2", "repeats"], rows)


def _column(divergence: str) -> str:
    return "_".join(filter(None, (divergence, unit(divergence))))
