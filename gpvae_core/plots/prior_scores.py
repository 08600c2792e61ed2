"""GP-Prior Lab: runs on the same data compared: error against time, and against the number of inducing points."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any

import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import RunScore
from gpvae_core.plots.marks import Mark, figure_of, scatter, texts
from gpvae_core.plots.prior_curves import axes_below
from gpvae_core.plots.theme import CLASS_SYMBOLS, Theme, axis, frame, nth, plain, shortened

WIDTH, HEIGHT = 440, 330
ERRORS = {"mse": "MSE of a pixel (pixel²)", "path": "path RMSE (units of the path)"}
TIMES = {"total": "seconds of training", "epoch": "seconds an epoch"}


def error_of(score: RunScore, quantity: str) -> float | None:
    """Return the error of a run that is drawn: 'mse', or 'path'."""
    return score.mse if quantity == "mse" else score.path_rmse


def time_of(score: RunScore, against: str) -> float:
    """Return the time of a run that is drawn: 'total', or 'epoch'."""
    return score.seconds if against == "total" else score.seconds_per_epoch


def against_time(scores: Sequence[RunScore], quantity: str, against: str, shown: str, theme: Theme) -> go.Figure:
    """Return the error of each run against its time; the run that is shown has a ring."""
    methods = list(dict.fromkeys(score.method.partition(":")[0] for score in scores))
    marks: list[Mark] = []
    for k, method in enumerate(methods):
        rows = [score for score in scores if score.method.partition(":")[0] == method]
        marks.append(
            scatter(
                x=[time_of(score, against) for score in rows], y=[error_of(score, quantity) for score in rows],
                mode="markers", name=plain(method), text=[plain(score.run) for score in rows],
                marker={
                    "symbol": CLASS_SYMBOLS[k % len(CLASS_SYMBOLS)], "color": theme.classes[k % len(theme.classes)],
                    "size": [13 if score.run == shown else 9 for score in rows],
                    "line": {"width": [2.5 if score.run == shown else 0.6 for score in rows], "color": theme.text},
                },
                hovertemplate=f"%{{text}}: %{{y:.4f}}, %{{x:.3g}} {TIMES[against]}<extra></extra>",
            )
        )  # fmt: skip
    layout = frame(theme, WIDTH, HEIGHT, (58, 12, 30, 40), showlegend=True)
    layout["xaxis"] = axis(theme, TIMES[against], type="log", **_decades([time_of(s, against) for s in scores]))
    layout["yaxis"] = axis(theme, ERRORS[quantity], rangemode="tozero")
    layout["legend"] = {
        "orientation": "h", "x": 0.0, "y": 1.01, "xanchor": "left", "yanchor": "bottom",
        "font": {"size": 10, "color": theme.text}, "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return figure_of([*marks, texts(_labels(scores, quantity, against, theme))], layout)


def _decades(values: Sequence[float]) -> dict[str, Any]:
    """Return the range of a logarithmic axis and few round ticks, with room for labels."""
    low, high = min(values) / 1.6, max(values) * 2.2
    ticks = [m * 10.0**k for k in range(-4, 8) for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    while len(ticks) > 7:
        ticks = ticks[::2]
    return {"range": [log10(low), log10(high)], "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _labels(scores: Sequence[RunScore], quantity: str, against: str, theme: Theme) -> list[dict[str, Any]]:
    """Return the name of each run beside its point, as long as there are few."""
    if len(scores) > 8:
        return []
    return [
        {
            "text": f" {shortened(score.run, 22)}", "x": time_of(score, against), "y": error_of(score, quantity),
            "xanchor": "left", "yanchor": "bottom", "font": {"size": 10, "color": theme.muted},
        }
        for score in scores
    ]  # fmt: skip


def against_points(scores: Sequence[RunScore], true_length_scale: float | None, shown: str, theme: Theme) -> go.Figure:
    """Return error, length scale and time against the number of inducing points, in panels below one another."""
    x = [score.points for score in scores]
    by_path = all(score.path_rmse is not None for score in scores)
    panels = [("path RMSE" if by_path else "MSE (pixel²)", [error_of(s, "path" if by_path else "mse") for s in scores])]
    if all(score.length_scale is not None for score in scores):
        panels.append(("length scale", [score.length_scale for score in scores]))
    panels.append(("s an epoch", [score.seconds_per_epoch for score in scores]))
    marks: list[Mark] = []
    for k, (title, y) in enumerate(panels):
        place = {"xaxis": "x", "yaxis": f"y{nth(k)}"}
        marks.append(
            scatter(
                x=x, y=y, mode="lines+markers", text=[plain(score.run) for score in scores], name=title,
                line={"color": theme.gaussians[0].colour, "width": 2},
                marker={
                    "size": [11 if score.run == shown else 7 for score in scores],
                    "line": {"width": [2.5 if score.run == shown else 0 for score in scores], "color": theme.text},
                },
                hovertemplate=f"%{{text}}, m = %{{x}}: {title} %{{y:.4g}}<extra></extra>", **place,
            )
        )  # fmt: skip
        if title == "length scale" and true_length_scale is not None:
            line = {"color": theme.text, "dash": "dot", "width": 1.4}
            ends = {"x": [min(x), max(x)], "y": [true_length_scale] * 2}  # pyright: ignore[reportArgumentType]
            marks.append(scatter(**ends, mode="lines", name="true length scale", line=line, hoverinfo="name", **place))
    layout = frame(theme, WIDTH, HEIGHT, (58, 12, 8, 38))
    layout |= axes_below([title for title, _ in panels], "number of inducing points m", theme)
    for k in range(len(panels)):
        layout[f"yaxis{nth(k)}"] |= {"rangemode": "tozero", "nticks": 4}
    return figure_of(marks, layout)
