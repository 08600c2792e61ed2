"""The Gap Lab: several ways of inference on one decoder, trained here where there is nothing to compare yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import panel as pn

from dashboards.gap_lab.controls import FilmControls, GapLabControls
from dashboards.gap_lab.labs import GapLabs, Trainings
from dashboards.gap_lab.panes import AccuracyTime, AnswerContours, EpochGaps, GapLabPane, GapStacks, SizeGaps, SviBound
from dashboards.gap_lab.pictures import pictures
from dashboards.gap_lab.request import GapLabRequest, resolve
from dashboards.gap_lab.state import GapLabState
from dashboards.gap_lab.training import TrainingPanel
from dashboards.lab.first_start import Welcome
from dashboards.lab.page import GRID, WHOLE, WIDE, Page
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values

NARROW, ONE = 1424, 960
"""Pixels of a window below which two cards, and one, stand side by side."""
CARDS = f"""
@media (max-width: {NARROW}px) {{ :host {{ grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }} }}
@media (max-width: {ONE}px) {{ :host {{ grid-template-columns: minmax(0, 1fr) !important; }} }}
"""
DISSOLVED = f"""
@media (max-width: {NARROW}px) {{
  :host {{ display: contents !important; }}
  .scroll-button {{ display: none !important; }}
}}
"""
"""What a box holds takes part in the grid around it."""
PLAYER_FIRST = f"""
@media (min-width: {ONE + 1}px) and (max-width: {NARROW}px) {{ :host {{ order: -1; grid-column: 1 / -1; }} }}
"""
"""With two columns the player stands above gaps and contours, so that it is in sight with what it moves."""
TWO = {**WHOLE, "grid-column": "span 2", "display": "flex", "flex-direction": "column", "gap": "8px"}
PAIR = {**GRID, "grid-template-columns": "1fr 1fr"}


class GapLabPage(Page[GapLabRequest]):
    """One browser tab of the Gap Lab."""

    path = "/gap-lab"
    title = "Gap Lab"
    state_type = GapLabState
    line_style: ClassVar[str] = """
        .pictures { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; font-size: 13px; }
        figure { margin: 0; text-align: center; border-top: 4px solid var(--colour); padding-top: 2px; }
        img { width: 52px; height: 52px; object-fit: contain; image-rendering: pixelated; border-radius: 3px; }
        figcaption { font-size: 11px; max-width: 96px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    """

    def make_panes(self) -> Sequence[GapLabPane]:
        return AnswerContours(), GapStacks(), SviBound(), AccuracyTime(), EpochGaps(), SizeGaps()

    def layout(self) -> Sequence[pn.viewable.Viewable]:
        self.labs, self.trainings = self.library.shared(GapLabs), self.library.shared(Trainings)
        self.controls = GapLabControls(self.state, self.notice.say, self._largest)
        self.training = TrainingPanel(self.trainings, self.notice.say)
        self.welcome = Welcome(self.library, self.first)
        self.film = FilmControls(self.state, self.notice.say)
        self.film.panel.stylesheets = [PLAYER_FIRST]
        self.line.param.update(object="Loading the runs…", min_height=78)
        self.controls.first.append(self.training.toggle)
        parts = (self.controls.bar, self.training.panel, self.training.line.panel, self.line, self._grid())
        self.lab = pn.Column(*parts, **WIDE)
        return self.welcome.panel, self.lab

    def _grid(self) -> pn.Column:
        cards = self.session.cards
        for card in cards.values():
            card.sizing_mode = "stretch_width"
        boxed = {"stylesheets": [DISSOLVED], "sizing_mode": "stretch_width", "margin": 0}
        pair = pn.Column(cards["lab_contours"], cards["lab_bound"], styles=PAIR, **boxed)
        film = pn.Column(self.film.panel, pair, styles=TWO, **boxed)
        return pn.Column(
            cards["lab_gaps"], film, cards["lab_times"], cards["lab_epochs"], cards["lab_sizes"],
            styles=GRID, stylesheets=[CARDS], margin=(4, 12), sizing_mode="stretch_width",
        )  # fmt: skip

    # What a request shows

    def resolve(self, values: Values) -> Resolved[GapLabRequest] | None:
        return resolve(self.labs, values)

    def line_of(self, request: GapLabRequest) -> str | None:
        return pictures(request)

    def offer(self, request: GapLabRequest) -> None:
        """Offer what there is on the decoder; the player is busy until another film is there."""
        self.controls.offer(request)
        self.training.offer(request)
        self.film.offer(request)

    def beside(self, pane: Pane[GapLabRequest], aside: str) -> None:
        if pane.name == SviBound.name and self.session.request is not None:
            self.film.show(aside, self.session.request)

    # From the person

    def _largest(self, method: str) -> None:
        """Look at the image on which a method loses most, sought in a thread."""
        request = self.session.request
        if request is None:
            return
        self.notice.say(f"Looking for the image on which {method} loses most…")

        def work() -> None:
            index = request.lab.largest_gap(method)

            def show() -> None:
                self.notice.say("")
                self.state.index = index

            self.session.latest.soon(show)

        self.session.latest.aside(work)

    def act(self, action: str) -> None:
        self.training.start(action)

    def step(self, by: int) -> None:
        self.controls.index.step(by)

    # The runs there are

    def start(self) -> None:
        self.notice.add(self.welcome.start())
        self.lab.visible = bool(self.library.image_names())
        self._look()

    def watch(self) -> None:
        """Follow the first training and those that were begun here."""
        if self.welcome.tick(self.state.dark, self.lab.visible):
            self._look()
        if self.training.tick():
            self._look()

    def _look(self) -> None:
        """Load what runs there are, in a thread, then show them."""
        finished_only = self.trainings.running or self.first.running

        def work() -> None:
            self.labs.refresh(finished_only)
            self.session.latest.soon(self._found)

        self.session.latest.aside(work)

    def _found(self) -> None:
        names = [decoder.name for decoder in self.labs.decoders]
        for complaint in self.labs.complaints:
            self.notice.add(complaint)
        self.lab.visible = bool(names)
        if self.state.decoder not in names:
            if self.state.decoder and names:
                self.notice.add(f"there is no decoder '{self.state.decoder}' here; known: {', '.join(names)}")
            self.state.decoder = names[0] if names else ""
        self.controls.offer_decoders(names)
        self.session.start()
