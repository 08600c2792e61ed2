"""View 4: the t-SNE map, on which an instance is picked."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from dashboards.explorer.request import ExplorerPane, ExplorerRequest
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import Array, MapView
from gpvae_core.plots import tsne
from gpvae_core.progress import Progress

COLOUR_WORDS = {
    "class": "",
    "uncertainty": ", coloured by how unsure the encoder is of it",
    "gap": ", coloured by the nats its answer loses",
}
WORDS = {"class": "class", "uncertainty": "uncertainty", "gap": "inference gap"}


class TsneMap(ExplorerPane):
    """Points to pick from. A new instance only moves a ring: the figure is kept until the run or the colour changes."""

    name = "map"
    title = "Map of the latents"
    needs = frozenset({"map"})
    to_csv = staticmethod(export.tsne_map)

    def __init__(self) -> None:
        self._kept: tuple[Hashable, str] = (None, "")

    def key(self, request: ExplorerRequest) -> Hashable:
        return request.focal.name, "gaps" in request.focal.explorer.ready, request.identity

    def compute(self, request: ExplorerRequest, progress: Progress) -> MapView:
        return request.focal.explorer.map_view()

    def draw(self, view: MapView, request: ExplorerRequest) -> Content:
        side = request.focal
        colour, excuse = _possible_colour(view, request.colour)
        chosen = _position(view, request)
        # By what is drawn, not by what is ready: the gaps may become ready between the view and this line.
        points = side.name, colour, request.theme.name
        if self._kept[0] != points:
            self._kept = points, as_json(tsne.figure(view, request.theme, colour))
        where = "ringed" if chosen is not None else "not among the points of the sample"
        return Content(
            figure=self._kept[1],
            sub=side.name,
            sentence=f"{excuse}Each point is one of {view.sample_note}{COLOUR_WORDS[colour]}; neighbours have similar "
            "codes (t-SNE keeps no distances). Click "
            "to pick, hover to see the image, scroll to zoom, double-click to reset.",
            alt=f"t-SNE map of {view.sample_note}, coloured by {WORDS[colour]}; {side.instance.title} is {where}",
            selects=(Select("colour", "colour", tuple(WORDS.items()), request.colour),),
            overlay={"shapes": tsne.highlight(chosen, request.theme)},
            picks=True,
            hovers=True,
            pictures=side.name,
        )


def _possible_colour(view: MapView, wanted: str) -> tuple[str, str]:
    """Return the colour shown, and a sentence where it is not the one wanted."""
    if wanted == "uncertainty" and view.uncertainty is None:
        return "class", "This run's encoder states no uncertainty, so classes are coloured instead. "
    if wanted == "gap" and view.gap is None:
        return "class", "The gaps are still being computed, so classes are coloured meanwhile. "
    return wanted, ""


def _position(view: MapView, request: ExplorerRequest) -> Array | None:
    """Return the place (2,) of the chosen instance: its point, else where it is put among the others."""
    instance = request.focal.instance
    found = np.flatnonzero(view.index == instance.index) if instance.index is not None else np.array([], dtype=int)
    return view.xy[found[0]] if found.size else request.focal.explorer.place_on_map(instance)
