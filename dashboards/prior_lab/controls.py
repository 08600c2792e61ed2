"""The controls of the GP-Prior Lab: the runs shown, the series, and what is hidden of it."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from dashboards.lab.controls import BAR, FIELD, Controls, Stepper
from dashboards.prior_lab.labs import PriorLabs
from dashboards.prior_lab.request import PriorLabRequest
from dashboards.prior_lab.state import PriorLabState
from gpvae_core.inspection.prior_lab.views import HIDDEN

NOTHING = "nothing"


class PriorLabControls(Controls):
    """Widgets that set the page's state."""

    def __init__(self, state: PriorLabState, complain: Callable[[str], None], labs: PriorLabs) -> None:
        super().__init__(state, complain)
        self._labs = labs
        self.run = pmui.Select(label="Run", options=[], width=200, description=state.param.run.doc, **FIELD)
        self.watch(self.run, lambda name: self.set(run=name) if name else None)
        self.other = pmui.Select(label="with", options=[], width=200, description=state.param.other.doc, **FIELD)
        self.watch(self.other, lambda name: self.set(other=name or ""))
        self.series = Stepper(self, "Series", "series of the test images", "item", {}, width=150)
        self.random = self.series.random()
        hide = {words: key for key, words in HIDDEN.items()}
        self.hide = self.field("hide", "Hide from the model", options=hide, width=190)
        self._of_series = (*self.series.widgets, self.random, self.hide)
        self.bar = pn.FlexBox(self.run, self.other, *self._of_series, **BAR)

    def offer(self, request: PriorLabRequest) -> None:
        """Show the request's values, and the options that there are."""
        label = self._labs.library.label
        self.update(self.run, options={label(name): name for name in request.runs}, value=request.lab.name)
        others = {NOTHING: "", **{label(name): name for name in request.mates}}
        self.update(self.other, options=others, value="" if request.other is None else request.other.name)
        for widget in self._of_series:
            widget.visible = bool(request.series)
        if request.series:
            self.series.show(request.item, len(request.series[0]) - 1)

    def step(self, by: int) -> None:
        """Go to the previous (-1) or next (1) series."""
        self.series.step(by)
