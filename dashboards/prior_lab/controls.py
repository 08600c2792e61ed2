"""The controls of the GP-Prior Lab: the runs shown, the series, and what is hidden of it."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from dashboards.lab.controls import BAR, FIELD, Controls, Stepper
from dashboards.prior_lab.labs import PriorLabs
from dashboards.prior_lab.request import PriorLabRequest
from dashboards.prior_lab.state import PriorLabState
from gpvae_core.evaluation.hidden_frames import HIDDEN
from gpvae_core.plots.prior_view import SPLITS, place_words

NOTHING = "nothing"
POINTS_HELP = "Number of inducing points: the runs here that differ from this one in it alone"
SEEN = {True: "which was trained on", False: "which was not trained on"}


class PriorLabControls(Controls):
    """Widgets that set the page's state."""

    def __init__(self, state: PriorLabState, complain: Callable[[str], None], labs: PriorLabs) -> None:
        super().__init__(state, complain)
        self._labs = labs
        self.run = pmui.Select(label="Run", options=[], width=190, description=state.param.run.doc, **FIELD)
        self.watch(self.run, lambda name: self.set(run=name) if name else None)
        self.other = pmui.Select(label="with", options=[], width=190, description=state.param.other.doc, **FIELD)
        self.watch(self.other, lambda name: self.set(other=name or ""))
        self.points = pmui.Select(label="Points, m", options=[], width=100, description=POINTS_HELP, **FIELD)
        self.watch(self.points, lambda name: self.set(run=name) if name else None)
        self.series = Stepper(self, "Series", "series of the test images", "item", {}, first=1, width=150)
        self.random = self.series.random()
        hide = {words: key for key, words in HIDDEN.items()}
        self.hide = self.field("hide", "Hide from the model", options=hide, width=190)
        self._of_series = (*self.series.widgets, self.random, self.hide)
        self.thing = Stepper(self, "Object", "object", "item", {}, first=1, width=150)
        self.at = self.slider(
            state.param.at, "Place", lambda text: self.set(at=str(text)), lambda key: self.set(at=key), notches=400
        )
        self._of_thing = (*self.thing.widgets, self.thing.random(), self.at)
        self.first_row = Stepper(self, "First row", "row", "item", {}, first=1, width=150)
        self.pair = pmui.Select(label="Pair", options=[], width=220, description=state.param.pair.doc, **FIELD)
        self.watch(self.pair, lambda place: self.set(pair=place) if place else None)
        self._of_grid = (*self.first_row.widgets, self.first_row.random(), self.pair)
        parts = (*self._of_series, *self._of_thing, *self._of_grid)
        self.bar = pn.FlexBox(self.run, self.other, self.points, *parts, **BAR)

    def offer(self, request: PriorLabRequest) -> None:
        """Show the request's values, and the options that there are."""
        label = self._labs.library.label
        self.update(self.run, options={label(name): name for name in request.runs}, value=request.lab.name)
        others = {NOTHING: "", **{label(name): name for name in request.mates}}
        self.update(self.other, options=others, value="" if request.other is None else request.other.name)
        self.points.visible = len(request.by_points) > 1
        if self.points.visible:
            options = {str(m): name for m, name in request.by_points.items()}
            self.update(self.points, options=options, value=request.lab.name)
        for widget in self._of_series:
            widget.visible = bool(request.series)
        for widget in self._of_thing:
            widget.visible = bool(request.turns)
        for widget in self._of_grid:
            widget.visible = request.grid is not None
        if request.grid is not None:
            self.first_row.show(request.item + 1, len(request.grid))
            grid = request.grid
            self.pair.label = f"{grid.row.name} and {grid.column.name}"
            names = [grid.short_name(pair) for pair in grid.pairs(request.item)]
            options = {name: place for place, name in enumerate(names, 1)}
            self.update(self.pair, options=options, value=request.pair + 1)
        if request.series:
            self.series.show(request.item + 1, len(request.series[0]))
        if request.turns:
            self._offer_turn(request)

    def _offer_turn(self, request: PriorLabRequest) -> None:
        """Show the object and the value of the number, with buttons for those of images that were not trained on."""
        turn = request.turns[0]
        self.thing.show(request.item + 1, len(turn))
        low, high = turn.range
        known = turn.known_places(request.item)
        first = [(split, float(at)) for split in ("test", "validation", "train") for at in known[split][:1]]
        axis = f"{turn.number.name} ({turn.unit})"
        choices = [
            [
                f"{at:.9g}",
                f"{SPLITS[split]} view",
                f"At {place_words(at, axis)}, {SEEN[split == 'train']}",
                at == request.at,
            ]
            for split, at in first
        ]
        note = f"{turn.unit} {place_words(request.at, axis).partition(' (')[2].rstrip(')')}".strip()
        self.at.param.update(
            label=turn.number.name, low=low, high=high, value=request.at, note=note, choices=choices,
            help=f"{turn.number.name} in {turn.unit or 'its unit'} at which the object is predicted",
        )  # fmt: skip

    def step(self, by: int) -> None:
        """Go to the previous (-1) or next (1) series, object or row."""
        steppers = (self.series, self.thing, self.first_row)
        if shown := next((stepper for stepper in steppers if stepper.field.visible), None):
            shown.step(by)
