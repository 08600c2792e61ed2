"""View 1: the true posterior over the latent plane, with the encoder's and the best Gaussian posteriors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.level_lines import level_lines
from gpvae_core.inspection.line_views import LineView
from gpvae_core.inspection.views import Array, GaussianShape, PosteriorView
from gpvae_core.plots.ellipse import ellipse
from gpvae_core.plots.marks import Mark, figure_of, heatmap, scatter
from gpvae_core.plots.plane_panel import PlanePanel, arrow, hidden_words, inside, panel
from gpvae_core.plots.posterior_line import SEVERAL, line_axes, line_marks, on_line, samples_name
from gpvae_core.plots.theme import Theme, frame, heading, plain, shortened, translucent, with_unit, wrapped

WIDTH, HEIGHT = 440, 260
ELLIPSE_MASS = 0.9
NATS_SHOWN = 10.0
"""Range of the shaded log density below its maximum, nats; a Gaussian fades out before the border of the grid."""
NAME_LENGTH = 22
"""Largest length of a run's name above its panel."""
DOTS_LENGTH = 23
"""Largest length of the name of the dots that fits into one line of the legend."""
BESIDE = 0.66
"""Left end of the legend beside a single panel, in paper coordinates."""
CONTOUR_WIDTHS = (2.2, 1.6, 1.0)
MAPA_SMALLEST, MAPA_GROWTH = 4.0, 12.0
"""A MAPA point of probability q has a diameter of MAPA_SMALLEST + MAPA_GROWTH sqrt(q) pixels."""


def density_traces(view: PosteriorView, theme: Theme, axes: dict[str, str], legend: bool = True) -> list[Mark]:
    """Return the shaded log density, and a contour at each HPD threshold."""
    z = view.log_density.astype(np.float32)
    peak = float(np.nanmax(z))
    shade = heatmap(
        x=view.x,
        y=view.y,
        z=z,
        zmin=peak - NATS_SHOWN,
        zmax=peak,
        colorscale=theme.density_scale,
        showscale=False,
        hovertemplate="(%{x:.2f}, %{y:.2f}): log p(z|x) = %{z:.2f} nats<extra></extra>",
        name="log density",
        **axes,
    )
    lines = []
    for k, (mass, threshold) in enumerate(view.hpd_levels):
        line = level_lines(view.x, view.y, view.log_density, threshold)
        lines.append(
            scatter(
                x=line[:, 0],
                y=line[:, 1],
                mode="lines",
                line={"color": theme.contour, "width": CONTOUR_WIDTHS[min(k, 2)]},
                hoverinfo="skip",
                name=f"true posterior, {100 * mass:g} %",
                showlegend=legend,
                **axes,
            )
        )
    return [shade, *lines]


def dots_name(view: PosteriorView) -> str:
    """Return what the legend calls the samples that are drawn as dots."""
    name = samples_name(view)
    return name if len(name) <= DOTS_LENGTH else view.base_name.removeprefix("the ")


def base_dots(
    view: PosteriorView,
    theme: Theme,
    axes: dict[str, str],
    size: float,
    legend: bool = True,
) -> Mark:
    """Return the samples of the base encoder or of what the view names instead, red with an edge."""
    return scatter(
        x=view.base_samples[:, 0],
        y=view.base_samples[:, 1],
        mode="markers",
        marker={
            "color": theme.base,
            "size": size,
            "line": {"color": theme.edge, "width": 0.6},
        },
        name=dots_name(view),
        showlegend=legend,
        hoverinfo="skip",
        **axes,
    )


def _outline(shape: GaussianShape) -> Array:
    """Return the boundary (P, 2) of the region of mass ELLIPSE_MASS, with NaN between separate pieces."""
    return ellipse(shape.mean, shape.covariance, ELLIPSE_MASS) if shape.outline is None else shape.outline


def _ellipses(view: PosteriorView, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    traces = []
    for shape, style in zip(view.gaussians, theme.gaussians, strict=False):
        outline = _outline(shape)
        traces.append(
            scatter(
                x=outline[:, 0],
                y=outline[:, 1],
                mode="lines",
                line={"color": style.colour, "dash": style.dash, "width": style.width},
                name=wrapped(f"{shape.name}, {100 * ELLIPSE_MASS:g} %", 22),
                showlegend=legend,
                legendgroup=shape.name,
                hoverinfo="name",
                **axes,
            )
        )
    return traces


def _markers(points: Array, marker: dict[str, Any], **more: Any) -> Mark:
    return scatter(x=points[:, 0], y=points[:, 1], mode="markers", marker=marker, **more)


def _points(view: PosteriorView, theme: Theme, axes: dict[str, str], legend: bool) -> list[Mark]:
    weights = np.asarray(view.mapa_weights, dtype=float)
    mapa = _markers(
        view.mapa_points,
        {
            "color": theme.mapa,
            "symbol": "diamond",
            "size": (MAPA_SMALLEST + MAPA_GROWTH * np.sqrt(np.clip(weights, 0.0, 1.0))).tolist(),
            "line": {"color": theme.highlight, "width": 0.8},
        },
        customdata=weights,
        cliponaxis=False,
        hovertemplate="MAPA q(i|n) = %{customdata:.3f}<extra></extra>",
        name="MAPA points",
        showlegend=legend,
        **axes,
    )
    modes = _markers(
        view.modes,
        {
            "color": theme.highlight,
            "symbol": "cross-thin",
            "size": 11,
            "line": {"color": theme.highlight, "width": 2},
        },
        hovertemplate="mode (%{x:.3f}, %{y:.3f})<extra></extra>",
        name="modes",
        showlegend=legend,
        **axes,
    )
    return [mapa, modes]


def _marks(view: PosteriorView, theme: Theme, axes: dict[str, str], legend: bool, lines: bool) -> list[Mark]:
    """Return all traces of a panel; `lines` says whether the legend includes the contours."""
    return [
        *density_traces(view, theme, axes, lines),
        base_dots(view, theme, axes, 4.5, legend),
        *_points(view, theme, axes, legend),
        *_ellipses(view, theme, axes, legend),
    ]


def note_style(theme: Theme) -> dict[str, Any]:
    """Return the font of a note inside a panel, and a ground on which it can be read over dots and lines."""
    return {"font": {"size": 10, "color": theme.muted}, "bgcolor": translucent(theme.paper, 0.85), "borderpad": 1}


def _outside(view: PosteriorView, place: PlanePanel, theme: Theme) -> list[dict[str, Any]]:
    """Return notes on what is out of view: the encoder with its distance from the highest mode, and MAPA points."""
    arrows, lines, side = [], [], "top"
    for shape in view.gaussians[:1]:
        if not inside(shape.mean[None], place)[0]:
            distance = float(np.linalg.norm(shape.mean - view.modes[0]))
            lines.append(f"encoder is outside,<br>{distance:.2g} prior sd away")
            arrows.append(arrow(shape.mean, place, theme))
            side = "bottom" if arrows[0]["y"] > sum(place.y_range) / 2 else "top"
        elif not inside(_outline(shape), place).any():
            lines.append("the encoder's region<br>is larger than this")
    if samples := hidden_words(inside(view.base_samples, place), "sample"):
        lines.append(samples)
    hidden = int((~inside(view.mapa_points, place)).sum())
    if hidden:
        lines.append(f"{hidden} MAPA point{'s' * (hidden != 1)} outside")
    if not lines:
        return []
    text = heading(
        theme, "<br>".join(lines), place.x[1], place.y[side == "top"], xanchor="right", yanchor=side, align="right",
        **note_style(theme),
    )  # fmt: skip
    return [*arrows, text]


def _outside_line(view: LineView, right: float, theme: Theme) -> list[dict[str, Any]]:
    """Return a note on the samples and MAPA points that are out of view, in a panel that ends at `right`."""
    sets = ((view.base_samples, "sample"), (view.mapa_points, "MAPA point"))
    lines = [words for points, what in sets if (words := hidden_words(on_line(points, view), what))]
    place = {"xanchor": "right", "yanchor": "top", "align": "right", **note_style(theme)}
    return [heading(theme, "<br>".join(lines), right, 1.0, **place)] if lines else []


def figure(views: Sequence[PosteriorView | LineView], names: Sequence[str], theme: Theme) -> go.Figure:
    """Return one panel for each of one or two runs: a plane, or the latent line of a run with d = 1.

    The legend is beside a single panel, and below two; there it omits the contours, for lack of room.
    """
    return _single(views[0], theme) if len(views) == 1 else _pair(views, names, theme)


def _legend(theme: Theme, **place: Any) -> dict[str, Any]:
    return {
        "font": {"size": 10, "color": theme.text},
        "bgcolor": "rgba(0,0,0,0)",
        "itemwidth": 30,
        "tracegroupgap": 0,
        **place,
    }


@dataclass(frozen=True)
class Part:
    """One panel of the figure: its traces, axes and notes."""

    marks: list[Mark]
    axes: dict[str, Any]
    notes: list[dict[str, Any]]


def _part(
    view: PosteriorView | LineView,
    number: str,
    x: tuple[float, float],
    size: tuple[float, float],
    theme: Theme,
    legend: bool,
    lines: bool,
) -> Part:
    """Return the panel of a view between the left and right end `x`, in a plotting area of `size` pixels."""
    if isinstance(view, LineView):
        marks = line_marks(view, theme, {"xaxis": f"x{number}", "yaxis": f"y{number}"}, legend, lines)
        return Part(marks, line_axes(view, theme, number, x), _outside_line(view, x[1], theme))
    place = panel(view, number, x, (0.0, 1.0), size)
    axes = place.layout(theme, with_unit(view.plane.x_label), with_unit(view.plane.y_label), 6)
    return Part(_marks(view, theme, place.axes, legend, lines), axes, _outside(view, place, theme))


def _single(view: PosteriorView | LineView, theme: Theme) -> go.Figure:
    left, right, top, bottom = margin = (50, 4, 8, 38)
    part = _part(view, "", (0.0, 0.64), (WIDTH - left - right, HEIGHT - top - bottom), theme, True, True)
    # A note on what is outside stands below the legend, from the lower edge on, where it hides nothing.
    edge = -bottom / (HEIGHT - top - bottom)
    aside = {"x": BESIDE, "xanchor": "left", "y": edge, "yanchor": "bottom", "align": "left"}
    notes = [note if note["showarrow"] else note | aside for note in part.notes]
    layout = frame(theme, WIDTH, HEIGHT, margin, showlegend=True, annotations=notes) | part.axes
    layout["legend"] = _legend(theme, x=BESIDE, y=1.0, xanchor="left", yanchor="top")
    return figure_of(part.marks, layout)


def _with_encoder_name(view: Any, name: str) -> Any:
    first, *others = view.gaussians
    return replace(view, gaussians=(replace(first, name=name), *others))


def _pair(views: Sequence[PosteriorView | LineView], names: Sequence[str], theme: Theme) -> go.Figure:
    left, right, top, bottom = margin = (48, 4, 20, 78)
    size = (WIDTH - left - right, HEIGHT - top - bottom)
    ends = ((0.0, 0.43), (0.57, 1.0))
    notes = [
        heading(theme, f"<b>{shortened(name, NAME_LENGTH)}</b>", x[0], 1.0, yshift=3, hovertext=plain(name))
        for name, x in zip(names, ends, strict=True)
    ]
    if len({view.gaussians[0].name for view in views if view.gaussians}) > 1:  # one legend entry for both
        views = [_with_encoder_name(view, "encoder") for view in views]
    if len({view.base_name for view in views}) > 1:
        views = [replace(view, base_name=SEVERAL) for view in views]
    # The legend shows the marks of the panel that has most of them; a line and a plane have marks of their own.
    fullest = max(range(2), key=lambda k: len(views[k].gaussians))
    shown = [k == fullest or type(views[k]) is not type(views[fullest]) for k in range(2)]
    parts = [
        _part(view, number, x, size, theme, legend, False)
        for view, number, x, legend in zip(views, ("", "2"), ends, shown, strict=True)
    ]
    layout = frame(theme, WIDTH, HEIGHT, margin, showlegend=True)
    layout |= {"annotations": notes + [note for part in parts for note in part.notes]}
    for part in parts:
        layout |= part.axes
    layout["legend"] = _legend(theme, x=0.0, y=-0.2, xanchor="left", yanchor="top", orientation="h")
    marks = [mark for part in parts for mark in part.marks]
    return figure_of(_once_each(marks), layout)


def _once_each(marks: Sequence[Mark]) -> list[Mark]:
    """Return the traces with one entry in the legend for each name."""
    known: set[str] = set()
    out = []
    for mark in marks:
        shown = bool(mark.get("showlegend")) and mark["name"] not in known
        known |= {mark["name"]} if shown else set()
        out.append(mark | {"showlegend": shown})
    return out
