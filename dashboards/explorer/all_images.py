"""Panes that compare one image with the whole data set: the map of the latents, and the encoder's uncertainty."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from dashboards.explorer.request import ExplorerPane, ExplorerRequest
from dashboards.explorer.state import AGAINST
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.uncertainty_views import UncertaintyView
from gpvae_core.inspection.views import Array, MapView
from gpvae_core.plots import tsne, uncertainty
from gpvae_core.plots.theme import CLASS_SYMBOLS
from gpvae_core.progress import Progress

COLOUR_WORDS = {
    "class": "",
    "uncertainty": ", coloured by the encoder's uncertainty about it",
    "gap": ", coloured by its inference gap",
}
LITTLE = 0.01
"""Share of Tr V[f] + Tr V[h] in Tr v below which the random functions make no visible difference to q(z|x)."""
NO_DOUBT = " The random functions f and h hardly contribute to q(z|x): differences among such uncertainties are small."
MANY_CLASSES = "The pointer over a point names its class. "
COLOUR_NAMES = {"class": "class", "uncertainty": "uncertainty", "gap": "inference gap"}


class TsneMap(ExplorerPane):
    """The map of the test images, each a point that can be picked.

    The figure is kept until the run or the colour changes; another image only moves the ring.
    """

    name = "map"
    title = "Map of the latents"
    needs = frozenset({"map"})
    to_csv = export.MAP

    def __init__(self) -> None:
        self._drawn = Memo(1)

    def key(self, request: ExplorerRequest) -> Hashable:
        return request.focal.explorer, "gaps" in request.focal.explorer.ready, request.identity

    def compute(self, request: ExplorerRequest, progress: Progress) -> MapView:
        return request.focal.explorer.map_view()

    def draw(self, view: MapView, request: ExplorerRequest) -> Content:
        run = request.focal
        colour, excuse = _possible_colour(view, request.colour)
        chosen = _position(view, request)
        # The colour is that of the view: the gaps may have become ready since the view was computed.
        points = run.explorer, colour, request.theme.name
        many = MANY_CLASSES if colour == "class" and len(np.unique(view.class_index)) > len(CLASS_SYMBOLS) else ""
        where = "ringed" if chosen is not None else "not among the points of the sample"
        return Content(
            figure=self._drawn.get(points, lambda: as_json(tsne.figure(view, request.theme, colour))),
            sub=run.name,
            sentence=f"{excuse}Each point is one of {view.sample_note}{COLOUR_WORDS[colour]}; {view.note}. {many}"
            "Click to pick, hover to see the image, scroll to zoom, double-click to reset.",
            alt=f"Map of {view.sample_note}, coloured by {COLOUR_NAMES[colour]}; {run.instance.title} is {where}",
            selects=(Select("colour", "colour", tuple(COLOUR_NAMES.items()), request.colour),),
            overlay={"shapes": tsne.highlight(chosen, request.theme)},
            picks=True,
            chosen=run.instance.index,
            hovers=True,
            pictures=f"{run.name} {id(run.explorer)}",
        )


def _possible_colour(view: MapView, colour: str) -> tuple[str, str]:
    """Return the colour that the map can show, and a sentence that says why if it is not the chosen one."""
    if colour == "uncertainty" and view.uncertainty is None:
        return "class", "This run's encoder reports no uncertainty, so classes are coloured instead. "
    if colour == "gap" and view.gap is None:
        return "class", "The gaps are still being computed, so classes are coloured meanwhile. "
    return colour, ""


def _position(view: MapView, request: ExplorerRequest) -> Array | None:
    """Return the position (2,) of the chosen image on the map; one that is not in the sample is placed among it."""
    instance = request.focal.instance
    shown = [] if instance.index is None else np.flatnonzero(view.index == instance.index)
    return view.xy[shown[0]] if len(shown) else request.focal.explorer.place_on_map(instance)


class EncoderUncertainty(ExplorerPane):
    """The encoder's uncertainty about this image and all others: histograms, per dimension, and against a gap.

    The figure is kept until the part that shows the data set changes; another image only moves shapes.
    """

    name = "uncertainty"
    title = "GP uncertainty"
    needs = frozenset({"encodings"})
    to_csv = export.UNCERTAINTY

    def __init__(self) -> None:
        self._drawn = Memo(1)

    def key(self, request: ExplorerRequest) -> Hashable:
        return request.focal.explorer, request.identity, request.focal.explorer.ready & {"gaps", "correlations"}

    def shown(self, request: ExplorerRequest) -> bool:
        return request.focal.explorer.reports_uncertainty

    def compute(self, request: ExplorerRequest, progress: Progress) -> UncertaintyView | None:
        return request.focal.explorer.uncertainty_view(request.focal.instance)

    def draw(self, view: UncertaintyView, request: ExplorerRequest) -> Content:
        name, theme, against = request.focal.name, request.theme, request.against
        explorer, known = request.focal.explorer, tuple(view.scatter)
        backdrop = (explorer, against, theme.name, known, view.correlations, uncertainty.limits(view))
        return Content(
            figure=self._drawn.get(backdrop, lambda: as_json(uncertainty.figure(view, theme, against))),
            overlay=uncertainty.moving(view, theme, against),
            sub=name,
            sentence=_relation(view, against),
            alt=f"{request.focal.instance.title}: Tr V[f] {view.trace_f:.3g}, Tr V[h] {view.trace_h:.3g}, Tr v "
            f"{view.per_dimension_v.sum():.3g}; {rank(view)}",
            selects=(Select("against", "against", _known_gaps(view, against), against),),
        )


def rank(view: UncertaintyView) -> str:
    """Return in words how certain the encoder is of this image, compared with the test images and with q(z|x)."""
    n = len(view.all_trace_f)
    more_certain = round(view.percentile / 100 * n)
    words = f"the encoder is less certain here than on {view.percentile:.0f} % of the test images"
    if more_certain == 0:
        words = "the encoder is more certain here than on any test image"
    elif more_certain >= n - 1:
        words = "the encoder is less certain here than on any other test image"
    return f"{words} (Tr V[f] + Tr V[h] is {100 * view.share:.2g} % of Tr v, the variance of q(z|x))"


def _known_gaps(view: UncertaintyView, against: str) -> tuple[tuple[str, str], ...]:
    """Return the quantities to compare with that can be chosen: those known for this run, all while none is known."""
    known = [name for name in AGAINST if name in view.scatter or name == against] if view.scatter else AGAINST
    return tuple((name, name) for name in known)


def _relation(view: UncertaintyView, against: str) -> str:
    known = [c for c in view.correlations if c.against == against]
    start = f"Red: this image; {rank(view)}.{NO_DOUBT if view.share < LITTLE else ''}"
    if view.scatter and against not in view.scatter:
        return f"{start} The {against} is not known for this run (it needs two latent dimensions): choose another."
    if not known:
        return f"{start} Once the gaps are known, the scatter shows whether more uncertainty means a larger {against}."
    c = known[0]
    relation = "it does" if c.low > 0 else "the opposite holds" if c.high < 0 else "no clear relation"
    return (
        f"{start} Does more uncertainty mean a larger {against}? Spearman's ρ = {c.rho:.2f} (95 %: {c.low:.2f} to "
        f"{c.high:.2f}) over {c.n} images: {relation}."
    )
