"""The VI Lab: two inferences on a target whose posterior is known, side by side and step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import panel as pn

from dashboards.lab.library import RunLibrary
from dashboards.lab.looks import card_grid
from dashboards.lab.page import Page
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.vi_lab import panes
from dashboards.vi_lab.controls import VILabControls
from dashboards.vi_lab.request import VILabPane, VILabRequest, resolve
from dashboards.vi_lab.state import VILabState
from dashboards.widgets.player import FilmPlayer

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from gpvae_core.inspection.vi_lab.lab import VILab

WHOLE_ROW = ":host { grid-column: 1 / -1; }"


def make_lab(library: RunLibrary) -> VILab:
    """Return the lab that all pages of a server share; it needs no runs."""
    from gpvae_core.inspection.vi_lab.lab import VILab

    return VILab()


class VILabPage(Page[VILabRequest]):
    """One browser tab of the VI Lab."""

    path = "/vi-lab"
    title = "VI Lab"
    state_type = VILabState
    line_style: ClassVar[str] = ".summary { font-size: 14px; line-height: 1.45; }"

    def make_panes(self) -> Sequence[VILabPane]:
        return panes.PANES

    def layout(self) -> Sequence[pn.viewable.Viewable]:
        self.controls = VILabControls(self.state, self.notice.show)
        self.film = FilmPlayer(
            {}, label="Player of both inferences", back="Back to the start of both", from_end=True, stays=True,
            dark=self.state.param.dark, sizing_mode="stretch_width", margin=0, stylesheets=[WHOLE_ROW],
        )  # fmt: skip
        self.line.min_height = 44
        return self.controls.bar, self.line, card_grid(self.film, *self.session.cards.values())

    # What a request shows

    def resolve(self, values: Values) -> Resolved[VILabRequest]:
        return resolve(self.library.shared(make_lab), values, frozenset(self.asked_for))

    def offer(self, request: VILabRequest) -> None:
        self.controls.offer(request)
        self.film.busy = True

    def withdraw(self) -> None:
        self.film.param.update(frames="", busy=False)

    def beside(self, pane: Pane[VILabRequest], aside: str) -> None:
        if pane.name == panes.BoundsAgainstSteps.name:
            self.film.param.update(frames=aside, busy=False)
        elif pane.name == panes.DivergenceAgainstSteps.name:
            self.show_line(aside)

    # What the user does

    def escape(self) -> None:
        self.controls.opened.close()
