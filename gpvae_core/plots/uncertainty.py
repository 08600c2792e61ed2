"""View 2: the GP encoder's uncertainty of one instance, compared with the test set, the gaps and non-Gaussianity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.uncertainty_views import UncertaintyCorrelation, UncertaintyView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.marks import Mark, bar, figure_of, scatter
from gpvae_core.plots.theme import Theme, axis, frame, heading, translucent

WIDTH, HEIGHT = 440, 260
BINS = 30
OUTLINES = {
    "circle": "M 4 0 C 4 2.2 2.2 4 0 4 C -2.2 4 -4 2.2 -4 0 C -4 -2.2 -2.2 -4 0 -4 C 2.2 -4 4 -2.2 4 0 Z",
    "diamond-open": "M -6 0 L 0 6 L 6 0 L 0 -6 Z",
    "line-ew-open": "M -8 0 L 8 0",
}
"""SVG paths of the symbols, in pixels around the value. NOTE: plotly.js distorts its own circle shape in pixels on a
logarithmic axis."""
UNITS = {"number of modes": "modes"}
"""Units of the compared quantities that are not in nats."""


def on_log_scale(values: Array) -> bool:
    """Return whether values are shown on a logarithmic scale: all are positive and they span a factor of ten.

    With that span the axis contains a power of ten, and therefore a labelled tick.
    """
    low, high = _range(values)
    return 0.0 < 10.0 * low <= high


def _range(values: Array) -> tuple[float, float]:
    return (float(np.nanmin(values)), float(np.nanmax(values))) if np.isfinite(values).any() else (0.0, 0.0)


def _binned(values: Array) -> tuple[Array, Array, Array]:
    """Return centres, counts and widths of the bins, which are equal in the logarithm on a logarithmic scale."""
    finite = values[np.isfinite(values)]
    if on_log_scale(finite):
        edges = np.geomspace(0.999 * finite.min(), 1.001 * finite.max(), BINS + 1)
        counts, _ = np.histogram(finite, edges)
    else:
        counts, edges = np.histogram(finite, bins=BINS)
    return (edges[:-1] + edges[1:]) / 2, counts, np.diff(edges)


Limits = tuple[float, float]


def _limits(values: Array, *more: float) -> Limits:
    """Return the range of an axis that contains `values` and `more`; in log10 on a logarithmic scale."""
    low, high = _range(np.append(values, [v for v in more if np.isfinite(v)]))
    if on_log_scale(values) and low > 0:
        low, high = np.log10(low), np.log10(high)
    margin = 0.05 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def _scale(values: Array, limits: Limits) -> dict[str, Any]:
    """Return the type and ticks of an axis of these values; over few decades 2 and 5 are labelled too."""
    if not on_log_scale(values):
        return {"nticks": 5, "exponentformat": "power", "range": limits}
    low, high = _range(values)
    dtick = 1 if high >= 100.0 * low else "D2"
    return {"type": "log", "dtick": dtick, "exponentformat": "power", "range": limits}


def _histogram(values: Array, theme: Theme, name: str, axes: dict[str, str]) -> Mark:
    """Return the histogram of all test instances."""
    centres, counts, widths = _binned(values)
    return bar(
        x=centres,
        y=counts,
        width=widths.tolist(),
        marker={"color": theme.bar, "line": {"width": 0}},
        hovertemplate=f"{name} near %{{x:.3g}}: %{{y}} images<extra></extra>",
        name=f"{name}, test set",
        showlegend=False,
        **axes,
    )


def _kinds(view: UncertaintyView, theme: Theme) -> tuple[tuple[str, Array, str, str], ...]:
    """Return (name, values (D,), colour, symbol) of V[f], V[h] and the variance v of q(z|x), their scale.

    They differ by orders of magnitude, and are therefore shown as symbols on a logarithmic scale, not as bars.
    """
    return (
        ("V[f]", view.per_dimension_f, theme.gaussians[0].colour, "circle"),
        ("V[h]", view.per_dimension_h, theme.bar_other, "diamond-open"),
        ("v", view.per_dimension_v, theme.text, "line-ew-open"),
    )


def _legend(view: UncertaintyView, theme: Theme) -> list[Mark]:
    """Return empty traces for the legend and the axis of dimensions; the symbols themselves are shapes."""
    dimension = [f"z{j + 1}" for j in range(len(view.per_dimension_f))]
    return [
        scatter(
            x=dimension,
            y=np.full(len(dimension), np.nan),
            name=name,
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 9, "line": {"width": 2, "color": colour}},
            showlegend=True,
            xaxis="x3",
            yaxis="y3",
        )
        for name, _, colour, symbol in _kinds(view, theme)
    ]


def _symbols(view: UncertaintyView, theme: Theme) -> list[dict[str, Any]]:
    """Return this instance's variances by dimension: filled circles V[f], open diamonds V[h], bars v."""
    place = {"type": "path", "xsizemode": "pixel", "ysizemode": "pixel", "xref": "x3", "yref": "y3"}
    shapes = []
    for name, values, colour, symbol in _kinds(view, theme):
        for j, value in enumerate(values):
            if not value > 0:
                continue
            line = {"color": colour, "width": 2}
            shape = place | {"name": f"{name}, z{j + 1}", "xanchor": j, "yanchor": float(value), "line": line}
            fill = "rgba(0,0,0,0)" if symbol.endswith("open") else colour
            shapes.append(shape | {"path": OUTLINES[symbol], "fillcolor": fill})
    return shapes


def _line(value: float, number: str, theme: Theme) -> dict[str, Any]:
    """Return a vertical line at this instance's value on an axis of uncertainties."""
    return {
        "type": "line", "name": "this image", "xref": f"x{number}", "yref": f"y{number} domain",
        "x0": value, "x1": value, "y0": 0.0, "y1": 1.0, "line": {"color": theme.base, "width": 2.5},
    }  # fmt: skip


def _caption(text: str, y: float, theme: Theme) -> dict[str, Any]:
    """Return a heading over the left column at height y, as the label of an invisible line."""
    label = {
        "text": text,
        "textposition": "start",
        "textangle": 0,
        "xanchor": "left",
        "yanchor": "bottom",
        "padding": 0,
    }
    return {
        "type": "line", "name": "heading", "xref": "paper", "yref": "paper", "x0": 0.0, "x1": 0.43, "y0": y, "y1": y,
        "line": {"width": 0}, "label": label | {"font": {"size": 11, "color": theme.text}},
    }  # fmt: skip


def _cloud(view: UncertaintyView, theme: Theme, against: str) -> Mark:
    return scatter(
        x=view.scatter_uncertainty,
        y=view.scatter[against],
        mode="markers",
        marker={"color": translucent(theme.muted, 0.6), "size": 4},
        customdata=view.scatter_index,
        hovertemplate="test image %{customdata}: %{x:.3g}, %{y:.3g}<extra></extra>",
        name=against,
        showlegend=False,
        xaxis="x4",
        yaxis="y4",
    )


def correlation_text(correlation: UncertaintyCorrelation) -> str:
    """Return Spearman's rho with its interval as text."""
    interval = f"[{correlation.low:.2f}, {correlation.high:.2f}]"
    return f"ρ = {correlation.rho:.2f} {interval}".replace("-", "−")


def _scatter_heading(view: UncertaintyView, against: str) -> str:
    if against not in view.scatter:
        return f"{against}: not known for this run" if view.scatter else "gaps are still being computed"
    correlation = next((c for c in view.correlations if c.against == against), None)
    return f"{against}: {correlation_text(correlation)}" if correlation else f"{against}: correlation not yet known"


def limits(view: UncertaintyView) -> tuple[Limits, Limits, Limits, Limits]:
    """Return the limits of Tr V[f], Tr V[h], their sum and a dimension's variance; most instances share them."""
    lowest, highest = view.per_dimension_range
    dimensions = np.concatenate([view.per_dimension_f, view.per_dimension_h, view.per_dimension_v])
    shown = np.append(dimensions[dimensions > 0], [v for v in (lowest, highest) if v > 0])
    decades = (
        (math.floor(np.log10(shown.min())) - 0.2, math.ceil(np.log10(shown.max())) + 0.2) if len(shown) else (-1.0, 1.0)
    )
    return (
        _limits(view.all_trace_f, view.trace_f),
        _limits(view.all_trace_h, view.trace_h),
        _limits(view.scatter_uncertainty, view.trace_f + view.trace_h),
        decades,
    )


def moving(view: UncertaintyView, theme: Theme, against: str) -> dict[str, Any]:
    """Return the part of the layout that shows this instance."""
    # NOTE: it consists of shapes alone, because plotly.js redraws the whole figure for a new annotation.
    lines = [_line(view.trace_f, "", theme), _line(view.trace_h, "2", theme)]
    if against in view.scatter:
        lines.append(_line(view.trace_f + view.trace_h, "4", theme))
    headings = [
        _caption(f"Tr V[f] = {view.trace_f:.3g}", 1.0, theme),
        _caption(f"Tr V[h] = {view.trace_h:.3g}", 0.35, theme),
    ]
    return {"shapes": [*lines, *_symbols(view, theme), *headings]}


def figure(view: UncertaintyView, theme: Theme, against: str) -> go.Figure:
    """Return histograms of Tr V[f] and Tr V[h] (left), and variances per dimension and the scatter (right)."""
    layout = frame(theme, WIDTH, HEIGHT, (38, 8, 20, 36), bargap=0.0, showlegend=True)
    known = against in view.scatter
    shown = view.scatter[against] if known else np.empty(0)
    along_f, along_h, along_sum, decades = limits(view)
    count = {"nticks": 4, "rangemode": "tozero"}
    layout |= {
        "xaxis": axis(
            theme, "Tr V[f]", domain=[0.0, 0.43], anchor="y", showgrid=False, **_scale(view.all_trace_f, along_f)
        ),
        "yaxis": axis(theme, "images", domain=[0.67, 1.0], anchor="x", **count),
        "xaxis2": axis(
            theme, "Tr V[h]", domain=[0.0, 0.43], anchor="y2", showgrid=False, **_scale(view.all_trace_h, along_h)
        ),
        "yaxis2": axis(theme, "images", domain=[0.0, 0.35], anchor="x2", **count),
        "xaxis3": axis(
            theme, "", domain=[0.58, 1.0], anchor="y3", showgrid=False, range=[-0.5, len(view.per_dimension_f) - 0.5]
        ),
        "yaxis3": axis(
            theme,
            "variances",
            domain=[0.67, 1.0],
            anchor="x3",
            type="log",
            nticks=4,
            exponentformat="power",
            range=decades,
        ),
        "xaxis4": axis(
            theme, "Tr V[f] + Tr V[h]", domain=[0.58, 1.0], anchor="y4", **_scale(view.scatter_uncertainty, along_sum)
        ),
        "yaxis4": axis(
            theme, UNITS.get(against, "nats"), domain=[0.0, 0.35], anchor="x4", **_scale(shown, _limits(shown))
        ),
    }
    layout["annotations"] = [
        heading(theme, _scatter_heading(view, against), 0.50, 0.35),
    ]
    layout["legend"] = {
        "orientation": "h", "x": 1.0, "y": 1.0, "xanchor": "right", "yanchor": "bottom", "itemwidth": 30,
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    traces = [
        _histogram(view.all_trace_f, theme, "Tr V[f]", {"xaxis": "x", "yaxis": "y"}),
        _histogram(view.all_trace_h, theme, "Tr V[h]", {"xaxis": "x2", "yaxis": "y2"}),
        *_legend(view, theme),
        *([_cloud(view, theme, against)] if known else []),
    ]
    return figure_of(traces, layout | moving(view, theme, against))
