"""The MAPA Lab: tabs of cards about sets of points and about a trained image model, each with its own controls."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import ClassVar

import panel as pn

from dashboards.lab.looks import WIDE
from dashboards.lab.page import Page
from dashboards.lab.pane import Pane
from dashboards.lab.progress import ProgressLine
from dashboards.lab.resolved import Resolved, Values
from dashboards.mapa_lab import curves, images, points
from dashboards.mapa_lab.controls import MapaLabControls
from dashboards.mapa_lab.labs import MapaLabs
from dashboards.mapa_lab.request import MapaLabPane, MapaLabRequest, resolve
from dashboards.mapa_lab.state import TABS, MapaLabState
from dashboards.widgets.tabs import TabList

BORDER = 18
"""Pixels by which a card is wider than its figure; the cards of a row share the rest of its width."""


class MapaLabPage(Page[MapaLabRequest]):
    """One browser tab of the MAPA Lab."""

    path = "/mapa-lab"
    title = "MAPA Lab"
    state_type = MapaLabState
    carried: ClassVar[Mapping[str, str]] = {"run": "run", "image": "image"}
    line_style: ClassVar[str] = ".summary { font-size: 14px; line-height: 1.45; }"

    def make_panes(self) -> Sequence[MapaLabPane]:
        return *points.PANES, *curves.PANES, *images.PANES

    def layout(self) -> Sequence[pn.viewable.Viewable]:
        self.labs = self.library.shared(MapaLabs)
        self._spoken_by = ""
        """The name of the pane that the line above the cards is about."""
        self.tabs = TabList(
            {"tab": lambda key: self.change(tab=key)}, label="What is shown",
            tabs=[[key, *words] for key, words in TABS.items()],
            sizing_mode="stretch_width", margin=(2, 10, 0, 10), dark=self.state.param.dark,
        )  # fmt: skip
        self.controls = MapaLabControls(self.state, self.notice.show)
        self.line.param.update(margin=(4, 14), min_height=44)
        self.training = ProgressLine(self.first, "Training the default pair: ")
        self.panels = {tab: self._panel(tab) for tab in TABS}
        self.panels["images"].insert(0, self.training.panel)
        self.state.param.watch(lambda *_: self._arrange(), "tab")
        self._arrange()
        return self.tabs, self.controls.bar, self.about.panel, self.line, *self.panels.values()

    def _panel(self, tab: str) -> pn.Column:
        inside = []
        for pane in self.make_panes():
            if pane.tab == tab:
                card, width = self.session.cards[pane.name], pane.width + BORDER
                card.styles = {"max-height": "none", "min-width": "0", "flex": f"{width} 1 {width}px"}
                inside.append(card)
        row = pn.FlexBox(*inside, gap="8px", margin=0, **WIDE)
        # NOTE: what is shown and hidden must not have a display of its own, as the row has.
        return pn.Column(row, margin=(4, 12), **WIDE)

    def _arrange(self) -> None:
        """Show the cards of the tab, before their figures are drawn: a hidden card has no size to draw for."""
        self.show_line("")
        self.tabs.active = self.state.tab
        self.controls.arrange(self.state.tab)
        for tab, panel in self.panels.items():
            panel.visible = tab == self.state.tab

    # What a request shows

    def resolve(self, values: Values) -> Resolved[MapaLabRequest]:
        return resolve(self.labs, values)

    def runs_of(self, request: MapaLabRequest) -> Sequence[str]:
        if request.tab == "images":
            return () if request.picture is None else (request.picture.run,)
        return (request.values["learned"],) if request.tab in ("variants", "bound") else ()

    def offer(self, request: MapaLabRequest) -> None:
        self.controls.offer(request)

    def beside(self, pane: Pane[MapaLabRequest], aside: str) -> None:
        if aside:
            self._spoken_by = pane.name
            self.show_line(html.escape(aside))
        elif pane.name == self._spoken_by:
            self.show_line("")  # what it says is of another request, whose view is not shown any more
        if pane.name == images.NeighbourImages.name and self.session.request is not None:
            self.controls.offer(self.session.request)  # the best hyper-parameters are known now

    # What the user does

    def step(self, by: int) -> None:
        self.controls.step(by)

    def pick(self, index: int) -> None:
        if index >= 0:
            self.state.pick(index)

    def select(self, name: str, value: str) -> None:
        """Set the parameter of a choice in a card's heading; another process resets the noise to its own."""
        if name == "example":
            self.change(noise=0.0, example=value)
        else:
            super().select(name, value)

    def act(self, action: str) -> None:
        if action == "train":
            self.first.start()
            self.watch()

    # What changes by itself

    def start(self) -> None:
        """Look for runs, then start; the sets of points need no run."""
        self.notice.add(*self.library.look(finished_only=self.first.running))
        super().start()

    def watch(self) -> None:
        """Show the progress of the training of an image model."""
        if self.training.follow() is not None:
            self.library.look(finished_only=False)
            if self.state.tab == "images":
                self.session.refresh()
