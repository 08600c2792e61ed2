"""The numbers of each card of the MAPA Lab as CSV text, with the digits that restore each float64.

The name of a column ends with its unit, `nats`, `prior_sd` or `px` (the range of pixels is 1); points and functions
are in the units of their data.
"""

from __future__ import annotations

from gpvae_core.csv_text import csv_text
from gpvae_core.inspection.mapa_lab.curve_views import BoundView, KlView, PassesView
from gpvae_core.inspection.mapa_lab.image_views import CodesView, NeighboursView
from gpvae_core.inspection.mapa_lab.views import DensityView, PlaneView, ProcessView, TraceView, VariantsView


def traces(view: TraceView) -> str:
    """Return one row per training point."""
    head, drawn = set(view.head.tolist()), set(view.drawn.tolist())
    rows = [
        (i, z, e, m, i in head, i in drawn)
        for i, (z, e, m) in enumerate(zip(view.z, view.empirical, view.mapa, strict=True))
    ]
    return csv_text(("point", "z_prior_sd", "empiricalized_nats", "mapa_nats", "among_k", "drawn"), rows)


def plane(view: PlaneView) -> str:
    """Return one row per training point, in the units of x."""
    rows = [(i, *x, z, q) for i, (x, z, q) in enumerate(zip(view.points, view.z, view.log_q, strict=True))]
    return csv_text(("point", "x1", "x2", "z_prior_sd", "log_q_nats"), rows)


def processes(view: tuple[ProcessView, ...]) -> str:
    """Return one row per drawn point of each process."""
    rows = [
        (process.title, i + 1, z, f, e, x)
        for process in view
        for i, (z, f, e, x) in enumerate(
            zip(process.latents, process.means, process.noise, process.observed, strict=True)
        )
    ]
    return csv_text(("function", "point", "z", "f", "epsilon", "x"), rows)


def variants(view: VariantsView) -> str:
    """Return one row per training point and decoder."""
    rows = [
        (v.name, i, *row)
        for v in view.variants
        for i, row in enumerate(zip(v.trace.z, v.trace.empirical, v.trace.mapa, strict=True))
    ]
    return csv_text(("variant", "point", "z_prior_sd", "empiricalized_nats", "mapa_nats"), rows)


def bound(view: BoundView) -> str:
    """Return one row per curve and S, in nats."""
    rows = [
        (c.method, c.rule, s, k, b.mean, b.se, g.mean, g.se)
        for c in view.curves
        for s, k, b, g in zip(c.draws, c.k, c.bound, c.gap, strict=True)
    ]
    return csv_text(("proposal", "rule", "S", "k", "bound_nats", "bound_se_nats", "gap_nats", "gap_se_nats"), rows)


def test_kl(view: KlView | None) -> str:
    """Return one row per method and S, in nats; methods without S come last."""
    curves = view.curves if view is not None else ()
    flat = view.flat if view is not None else ()
    rows = [(c.method, s, kl.mean, kl.se, n) for c in curves for s, kl, n in zip(c.draws, c.kl, c.n, strict=True)]
    return csv_text(
        ("method", "S", "test_kl_nats", "test_kl_se_nats", "draws"),
        [*rows, *((m, None, v.mean, v.se, None) for m, v in flat)],
    )


def density(view: DensityView) -> str:
    """Return one row per point of the grid."""
    rows = [
        (x, y, view.log_true[j, i], view.log_model[j, i]) for j, y in enumerate(view.y) for i, x in enumerate(view.x)
    ]
    return csv_text(("x1", "x2", "log_p_true_nats", "log_p_model_nats"), rows)


def passes(view: PassesView) -> str:
    """Return one row per method and S: network passes per point of a step."""
    rows = [
        (c.method, s, d.mean, d.se, b.mean, b.se)
        for c in view.curves
        for s, d, b in zip(c.draws, c.decoder, c.both, strict=True)
    ]
    return csv_text(("method", "S", "decoder_passes", "decoder_passes_se", "all_passes", "all_passes_se"), rows)


def neighbours(view: NeighboursView) -> str:
    """Return one row per image of each list."""
    lists = (("mapa", view.mapa), ("empiricalized", view.empirical))
    rows = [
        (name, rank + 1, n.index, n.label, n.probability, n.distance, n.latent_distance, n.shared)
        for name, images in lists
        for rank, n in enumerate(images)
    ]
    return csv_text(
        ("list", "rank", "train_index", "class", "probability", "distance_px", "code_distance_prior_sd", "in_both"),
        rows,
    )


def codes(view: CodesView) -> str:
    """Return one row per code."""
    mapa, empirical = set(view.mapa.tolist()), set(view.empirical.tolist())
    rows = [
        (
            i,
            view.x_label,
            view.y_label,
            *xy,
            view.class_name(c),
            row in mapa,
            row in empirical,
        )
        for row, (i, xy, c) in enumerate(zip(view.index, view.xy, view.class_index, strict=True))
    ]
    return csv_text(
        ("train_index", "x_axis", "y_axis", "x_prior_sd", "y_prior_sd", "class", "near_by_mapa", "near_by_model"), rows
    )
