"""GP-Prior Lab: what amortization loses on series or images, and how far their posteriors move with mini-batches."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from gpvae_core.inspection.prior_lab.views import InstanceMeasure
from gpvae_core.plots.marks import Mark, figure_of
from gpvae_core.plots.theme import Theme, axis, frame, nth, plain, shortened, translucent

WIDTH, ROW, AROUND = 440, 26, 62
"""Width of the figure, height of a row, and of what is above and below all rows, in pixels."""
LEFT, GAP = 128, 0.08
INNER = "<br>inner bar: its own part"
TITLES = {"gap": "gap (nats)", "kl": "KL(q_b || q) (nats)"}


def figure(measures: Sequence[InstanceMeasure], theme: Theme) -> go.Figure:
    """Return a bar for each series or image with its error, the first one, which is picked, in full colour.

    Within the bar of an image's gap a narrow one is the image's own part of it.
    """
    values = {"gap": [m.gap for m in measures], "kl": [None if m.whole else m.kl for m in measures]}
    shown = [name for name in TITLES if any(value is not None for value in values[name])]
    own = [measure.own for measure in measures]
    inner = any(part is not None for part in own)
    below = 42 + 14 * inner
    layout = frame(theme, WIDTH, AROUND + 14 * inner + ROW * len(measures), (LEFT, 12, 8, below), barmode="overlay")
    wide = (1 - GAP * (len(shown) - 1)) / len(shown)
    rows, marks = list(range(len(measures))), list[Mark]()
    names = {"tickvals": rows, "ticktext": [shortened(measure.what, 20) for measure in measures]}
    for k, name in enumerate(shown):
        left = k * (wide + GAP)
        title = f"{TITLES[name]}{INNER if inner and name == 'gap' else ''}"
        layout[f"xaxis{nth(k)}"] = axis(
            theme, title, domain=[left, min(1.0, left + wide)], anchor="y", rangemode="tozero", nticks=5
        )
        errors = [getattr(m, "gap_error" if name == "gap" else "kl_spread") or 0.0 for m in measures]
        names_of = [m.what for m in measures]
        marks.append(_bars(values[name], errors, rows, f"x{nth(k)}", names_of, theme))
        if inner and name == "gap":
            marks.append(_inner_bars(own, rows, f"x{nth(k)}", names_of, theme))
    layout["yaxis"] = axis(theme, "", autorange="reversed", showgrid=False, **names)
    return figure_of(marks, layout)


def _bars(
    values: Sequence[float | None], errors: Sequence[float], rows: list[int], x: str, names: list[str], theme: Theme
) -> Mark:
    colour = theme.gaussians[0].colour
    return {
        "type": "bar", "orientation": "h", "x": list(values), "y": rows, "xaxis": x, "yaxis": "y", "width": 0.6,
        "marker": {
            "color": [colour if k == 0 else translucent(colour, 0.35) for k in rows],
            "line": {"color": colour, "width": 1.2},
        },
        "error_x": {"type": "data", "array": list(errors), "color": theme.text, "thickness": 1.2, "width": 3},
        "customdata": [[plain(name), error] for name, error in zip(names, errors, strict=True)],
        "hovertemplate": "%{customdata[0]}: %{x:.4g} ± %{customdata[1]:.2g} nats<extra></extra>", "showlegend": False,
    }  # fmt: skip


def _inner_bars(values: Sequence[float | None], rows: list[int], x: str, names: list[str], theme: Theme) -> Mark:
    return {
        "type": "bar", "orientation": "h", "x": list(values), "y": rows, "xaxis": x, "yaxis": "y", "width": 0.2,
        "marker": {"color": theme.text, "line": {"color": theme.paper, "width": 1}},
        "customdata": [[plain(name)] for name in names], "showlegend": False,
        "hovertemplate": "%{customdata[0]}: %{x:.4g} nats are its own part<extra></extra>",
    }  # fmt: skip
