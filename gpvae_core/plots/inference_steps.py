"""Inferences on a target whose posterior is known: q(z) over the contours, bounds and divergences against the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from gpvae_core.inspection.gap_lab.views import ContoursView
from gpvae_core.inspection.vi_lab.views import InferencePath, NoiseView, PathView, SampledBoundsView, StepsView, unit
from gpvae_core.inspection.views import Array
from gpvae_core.plots import curves, film, svi_path
from gpvae_core.plots.curves import Axes, Curve, LevelLine
from gpvae_core.plots.gaps import nats
from gpvae_core.plots.method_styles import method_styles
from gpvae_core.plots.theme import Theme

FARTHEST = 10.0
"""Largest distance from log p(x) that the axis of the bounds reaches, nats."""
SETTLED = 0.2
"""Share of the steps, the first, that does not set the range of that axis."""
SMALLEST = 1e-4
"""Least range of the axis of a divergence, nats."""
THIN = 1.2
"""Width of a line along which the film runs, pixels."""
PARTICLE = 3.0


def colour(side: str, theme: Theme) -> str:
    """Return the colour of inference A or B in every figure."""
    return {"A": theme.base, "B": theme.gaussians[0].colour}[side]


def _dash(side: str) -> str:
    return {"A": "solid", "B": "dash"}[side]


def contours(view: PathView, side: str, theme: Theme) -> go.Figure:
    """Return the contours of the true posterior, over which the film moves q(z) of inference A or B."""
    what = "q(z)" if view.path.outlines else "particles"
    moving = svi_path.Moving(f"{what} of {side}", colour(side, theme), str)
    return svi_path.contours(ContoursView(view.truth, (), 0.9), {}, theme, moving)


def bounds(view: StepsView, theme: Theme) -> go.Figure:
    """Return the ELBO and the upper bound CUBO_2 of each inference against its steps, with log p(x) between them."""
    drawn, near = list[Curve](), [view.log_px]
    for side, path in view.paths.items():
        for name, y, width in (("ELBO", path.elbo, 2.2), ("CUBO", path.cubo, THIN)):
            drawn.append(Curve(f"{name} of {side}", _steps(y), y, colour(side, theme), _dash(side), width))
            late = _settled(y)
            near += [*late[np.abs(late - view.log_px) <= FARTHEST]]
    low, high = min(near), max(near)
    room = 0.06 * max(high - low, 0.1)
    axes = Axes("step", "bound on log p(x) (nats)", _range(view), (low - room, high + room))
    return curves.figure(drawn, [LevelLine("log p(x)", view.log_px)], axes, theme)


def divergences(view: StepsView, theme: Theme) -> go.Figure:
    """Return one divergence of q from the posterior against the step, in the range of the later ones."""
    each = _divergence(view)
    drawn = [Curve(side, _steps(y), y, colour(side, theme), _dash(side), THIN) for side, y in each.items()]
    late = np.concatenate([_settled(y) for y in each.values()])
    top = float(np.max(late[np.isfinite(late)], initial=SMALLEST))
    measured = unit(view.divergence)
    title = f"{view.divergence} ({measured})" if measured else view.divergence
    axes = Axes("step", title, _range(view), (-0.03 * top, 1.08 * top), unit=measured)
    return curves.figure(drawn, (), axes, theme)


def sampled_bounds(view: SampledBoundsView, theme: Theme) -> go.Figure:
    """Return the importance-weighted bound of each inference against the number of samples, below log p(x)."""
    drawn = [
        Curve(name, view.sizes, np.array([b.mean for b in each]), colour(name, theme), _dash(name), 2.0, symbol)
        for (name, each), symbol in zip(view.bounds.items(), ("circle", "square"), strict=False)
    ]
    low = max(min(float(curve.y.min()) for curve in drawn), view.log_px - FARTHEST)
    room = 0.06 * max(view.log_px - low, 0.1)
    span = low - room, max(view.log_px, *(float(curve.y.max()) for curve in drawn)) + room
    axes = Axes("samples, K", "IWAE bound (nats)", y_range=span, log_x=True, hover_x="K =")
    return curves.figure(drawn, [LevelLine("log p(x)", view.log_px)], axes, theme)


def noise(view: NoiseView, theme: Theme) -> go.Figure:
    """Return the variance of each estimator of the gradient against the number of samples or data points."""
    styles = method_styles(tuple(view.variances), "", theme)
    drawn = [
        Curve(name, view.sizes, y, styles[name].colour, styles[name].dash, 1.6, styles[name].symbol)
        for name, y in view.variances.items()
    ]
    axes = Axes(view.what, "total variance (nats²)", log_x=True, log_y=True, unit="nats²", hover_x=view.what)
    return curves.figure(drawn, (), axes, theme)


def frames(view: StepsView, theme: Theme, over: Mapping[str, str], bounds_card: str, other_card: str) -> dict[str, Any]:
    """Return the film of the inferences, which have the same number of steps.

    Args:
        over: A or B -> name of the card with its contours.
        bounds_card, other_card: names of the cards with the bounds, and with the divergence.
    """
    views: dict[str, list[film.Part]] = {bounds_card: [], other_card: []}
    for side, path in view.paths.items():
        own = colour(side, theme)
        views[over[side]] = _moving(path, own)
        for card, y in ((bounds_card, path.elbo), (other_card, _divergence(view)[side])):
            points = np.stack([_steps(y), y], 1)
            views[card] += [film.trail(points, own, film.WIDTH, _dash(side)), film.last_dot(points, own)]
    first = next(iter(view.paths.values()))
    last = len(first.bound) - 1
    words = [_words(view, step, last) for step in range(last + 1)]
    return film.film(views, words, [film.rounded(elbo, 3) for elbo in first.elbo])


def _moving(path: InferencePath, own: str) -> list[film.Part]:
    """Return q(z), or the particles, at each step."""
    if not path.outlines:
        return [film.dots(list(path.particles), own, PARTICLE)]
    centres = np.array([outline.centre for outline in path.outlines])
    lines = [outline.line for outline in path.outlines]
    return [film.trail(centres, own), film.outlines(lines, own), film.last_dot(centres, own)]


def _words(view: StepsView, step: int, last: int) -> str:
    each = []
    for side, path in view.paths.items():
        elbo = float(path.elbo[step])
        if not path.outlines:
            said = f"{path.particles.shape[1]} particles"
        elif np.isfinite(elbo):
            said = f"ELBO {nats(elbo)}, KL(q ‖ p) {nats(view.log_px - elbo)} nats"
        else:
            said = "q is too wide, too narrow or too far away for quadrature"
        each.append(f"{side}: {said}")
    return f"{step} of {last} · {' · '.join(each)}"


def _divergence(view: StepsView) -> dict[str, Array]:
    return {side: path.divergences[view.divergence] for side, path in view.paths.items()}


def _settled(y: Array) -> Array:
    """Return the later steps, which set the range of an axis."""
    return y[int(SETTLED * len(y)) :]


def _steps(y: Array) -> Array:
    return np.arange(len(y), dtype=float)


def _range(view: StepsView) -> tuple[float, float]:
    last = max(len(next(iter(view.paths.values())).bound) - 1, 1)
    return -0.02 * last, 1.02 * last
