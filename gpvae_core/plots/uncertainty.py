"""View 2: how unsure the GP encoder is about this instance, against the data set, the gaps and non-Gaussianity."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.explore.views import Array, Correlation, UncertaintyView
from gpvae_core.plots.marks import Mark, bar, scatter
from gpvae_core.plots.theme import Theme, axis, frame, heading

WIDTH, HEIGHT = 440, 260
BINS = 30
UNITS = {"number of modes": "modes"}
"""Of what the uncertainty is compared with, where it is not in nats."""


def on_log_scale(values: Array) -> bool:
    """Uncertainties spread over orders of magnitude; zeros and negative values have no logarithm.

    From a factor of ten on, there is a power of ten among the values, so that the axis has a labelled tick.
    """
    low, high = _range(values)
    return 0.0 < 10.0 * low <= high


def _range(values: Array) -> tuple[float, float]:
    return (float(np.nanmin(values)), float(np.nanmax(values))) if np.isfinite(values).any() else (0.0, 0.0)


def _binned(values: Array) -> tuple[Array, Array, Array]:
    """Centres, counts and widths of the bins, equal in the logarithm where there is one."""
    finite = values[np.isfinite(values)]
    if on_log_scale(finite):
        edges = np.geomspace(0.999 * finite.min(), 1.001 * finite.max(), BINS + 1)
        counts, _ = np.histogram(finite, edges)
    else:
        counts, edges = np.histogram(finite, bins=BINS)
    return (edges[:-1] + edges[1:]) / 2, counts, np.diff(edges)


def _scale(values: Array) -> dict[str, Any]:
    """How an axis of such values is scaled; over few decades 2 and 5 are labelled as well."""
    if not on_log_scale(values):
        return {"nticks": 5, "exponentformat": "power"}
    low, high = _range(values)
    return {"type": "log", "dtick": 1 if high >= 100.0 * low else "D2", "exponentformat": "power"}


def _histogram(values: Array, here: float, theme: Theme, name: str, axes: dict[str, str]) -> list[Mark]:
    """All test instances as bars and this one as a triangle on a line."""
    centres, counts, widths = _binned(values)
    top = float(counts.max()) if counts.size else 1.0
    bars = bar(
        x=centres,
        y=counts,
        width=widths.tolist(),
        marker={"color": theme.bar, "line": {"width": 0}},
        hovertemplate=f"{name} near %{{x:.3g}}: %{{y}} images<extra></extra>",
        name=f"{name}, test set",
        showlegend=False,
        **axes,
    )
    marker = scatter(
        x=[here, here],
        y=[0.0, top],
        mode="lines+markers",
        line={"color": theme.base, "width": 2},
        marker={"symbol": "triangle-down", "size": [0, 10], "color": theme.base},
        hovertemplate=f"{name} of this image: %{{x:.4g}}<extra></extra>",
        name=f"{name}, this image",
        showlegend=False,
        **axes,
    )
    return [bars, marker]


def _per_dimension(view: UncertaintyView, theme: Theme) -> list[Mark]:
    """V[f_j] and V[h_j] differ by orders of magnitude: symbols on a logarithmic scale, not bars."""
    dimension = [f"z{j + 1}" for j in range(len(view.per_dimension_f))]
    kinds = (
        ("V[f]", view.per_dimension_f, theme.gaussians[0].colour, "circle"),
        ("V[h]", view.per_dimension_h, theme.bar_other, "diamond-open"),
    )
    return [
        scatter(
            x=dimension,
            y=values,
            name=name,
            mode="markers",
            marker={
                "color": colour,
                "symbol": symbol,
                "size": 9,
                "line": {"width": 2, "color": colour},
            },
            showlegend=True,
            hovertemplate=f"{name} of %{{x}}: %{{y:.3g}}<extra></extra>",
            xaxis="x3",
            yaxis="y3",
        )
        for name, values, colour, symbol in kinds
    ]


def _scatter(view: UncertaintyView, theme: Theme, against: str) -> list[Mark]:
    here = view.trace_f + view.trace_h
    points = scatter(
        x=view.scatter_uncertainty,
        y=view.scatter[against],
        mode="markers",
        marker={"color": theme.muted, "size": 4, "opacity": 0.6},
        customdata=view.scatter_index,
        hovertemplate="test image %{customdata}: %{x:.3g}, %{y:.3g}<extra></extra>",
        name=against,
        showlegend=False,
        xaxis="x4",
        yaxis="y4",
    )
    line = scatter(
        x=[here, here],
        y=[
            float(np.nanmin(view.scatter[against])),
            float(np.nanmax(view.scatter[against])),
        ],
        mode="lines",
        line={"color": theme.base, "width": 2},
        hoverinfo="skip",
        name="this image",
        showlegend=False,
        xaxis="x4",
        yaxis="y4",
    )
    return [points, line]


def correlation_text(correlation: Correlation) -> str:
    """Spearman's rho with its interval."""
    interval = f"[{correlation.low:.2f}, {correlation.high:.2f}]"
    return f"ρ = {correlation.rho:.2f} {interval}".replace("-", "−")


def _scatter_heading(view: UncertaintyView, against: str) -> str:
    if against not in view.scatter:
        return f"{against}: not known for this run" if view.scatter else "gaps are still being computed"
    found = [c for c in view.correlations if c.against == against]
    return f"{against}: {correlation_text(found[0])}" if found else f"{against}: correlation not yet known"


def figure(view: UncertaintyView, theme: Theme, against: str) -> go.Figure:
    """Histograms of Tr V[f] and Tr V[h] (left), variances per latent dimension and the scatter against `against`."""
    layout = frame(theme, WIDTH, HEIGHT, (38, 8, 20, 36), bargap=0.0, showlegend=True)
    known = against in view.scatter
    shown = view.scatter[against] if known else np.empty(0)
    layout["annotations"] = [
        heading(theme, f"Tr V[f] = {view.trace_f:.3g}", 0.0, 1.0),
        heading(theme, f"Tr V[h] = {view.trace_h:.3g}", 0.0, 0.35),
        heading(theme, "per dimension", 0.50, 1.0),
        heading(theme, _scatter_heading(view, against), 0.50, 0.35),
    ]
    layout |= {
        "xaxis": axis(theme, "Tr V[f]", domain=[0.0, 0.43], anchor="y", showgrid=False, **_scale(view.all_trace_f)),
        "yaxis": axis(theme, "images", domain=[0.67, 1.0], anchor="x", nticks=4),
        "xaxis2": axis(theme, "Tr V[h]", domain=[0.0, 0.43], anchor="y2", showgrid=False, **_scale(view.all_trace_h)),
        "yaxis2": axis(theme, "images", domain=[0.0, 0.35], anchor="x2", nticks=4),
        "xaxis3": axis(theme, "", domain=[0.58, 1.0], anchor="y3", showgrid=False),
        "yaxis3": axis(
            theme,
            "variance",
            domain=[0.67, 1.0],
            anchor="x3",
            type="log",
            nticks=4,
            exponentformat="power",
        ),
        "xaxis4": axis(theme, "Tr V[f] + Tr V[h]", domain=[0.58, 1.0], anchor="y4", **_scale(view.scatter_uncertainty)),
        "yaxis4": axis(theme, UNITS.get(against, "nats"), domain=[0.0, 0.35], anchor="x4", **_scale(shown)),
    }
    layout["legend"] = {
        "orientation": "h", "x": 1.0, "y": 1.0, "xanchor": "right", "yanchor": "bottom", "itemwidth": 30,
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    traces = [
        *_histogram(
            view.all_trace_f,
            view.trace_f,
            theme,
            "Tr V[f]",
            {"xaxis": "x", "yaxis": "y"},
        ),
        *_histogram(
            view.all_trace_h,
            view.trace_h,
            theme,
            "Tr V[h]",
            {"xaxis": "x2", "yaxis": "y2"},
        ),
        *_per_dimension(view, theme),
        *(_scatter(view, theme, against) if known else []),
    ]
    return go.Figure(traces, layout)
