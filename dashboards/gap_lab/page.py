"""The page of the Gap Lab: frame, controls, cards, and the clock that watches what goes on in the background."""

from __future__ import annotations

from urllib.parse import parse_qs

import panel as pn
import panel_material_ui as pmui
from bokeh.document import Document

from dashboards.address import read_address, sync_address
from dashboards.first_start import FirstStart
from dashboards.frame import page_frame
from dashboards.gap_lab.controls import LabControls
from dashboards.gap_lab.labs import shared
from dashboards.gap_lab.panes import Choice
from dashboards.gap_lab.session import LabSession
from dashboards.gap_lab.state import IN_ADDRESS, LabState
from dashboards.gap_lab.training import TrainingPanel, families_and_methods
from dashboards.library import RunLibrary
from dashboards.page import GRID, TICK_MS, WHOLE
from dashboards.welcome import Welcome
from dashboards.widgets.keys import ArrowKeys
from dashboards.widgets.notice import Notice

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
"""Of two columns: the player above gaps and contours, so that it is in sight with what it moves."""
TWO = {**WHOLE, "grid-column": "span 2", "display": "flex", "flex-direction": "column", "gap": "8px"}
PAIR = {**GRID, "grid-template-columns": "1fr 1fr"}
PICTURES = """
.pictures { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; font-size: 13px; }
figure { margin: 0; text-align: center; border-top: 4px solid var(--colour); padding-top: 2px; }
img { width: 52px; height: 52px; object-fit: contain; image-rendering: pixelated; border-radius: 3px; }
figcaption { font-size: 11px; max-width: 96px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
"""


class LabPage:
    """One browser tab."""

    def __init__(
        self,
        library: RunLibrary,
        first: FirstStart,
        document: Document | None,
        query: str,
        links: pn.viewable.Viewable | None = None,
    ) -> None:
        self.library, self.first, self._document = library, first, document
        self.labs, self.trainings = shared(library)
        self.state = LabState()
        self.notice = Notice()
        self.pictures = pn.pane.HTML(
            "Loading the runs…", stylesheets=[PICTURES], sizing_mode="stretch_width", margin=(4, 12), min_height=78
        )
        self.controls = LabControls(self.state, self.notice.say, self._largest)
        self.training = TrainingPanel(self.trainings, self.notice.say)
        self.session = LabSession(
            self.labs,
            self.state,
            document,
            self.notice.say,
            self.notice.add,
            self._show_pictures,
            self._offer,
            self.training.start,
        )
        self.welcome = Welcome(first)
        self._offered: tuple[str, int] | None = None
        self._names = library.image_names()
        self._complaints = read_address(self.state, IN_ADDRESS, parse_qs(query))
        self.frame = self._layout(links)

    def _layout(self, links: pn.viewable.Viewable | None) -> pmui.Page:
        cards = self.session.cards
        boxed = {"stylesheets": [DISSOLVED], "sizing_mode": "stretch_width", "margin": 0}
        pair = pn.Column(cards["lab_contours"], cards["lab_bound"], styles=PAIR, **boxed)
        film = pn.Column(self.session.player, pair, styles=TWO, **boxed)
        self.session.player.stylesheets = [PLAYER_FIRST]
        grid = pn.Column(
            cards["lab_gaps"], film, cards["lab_times"], cards["lab_epochs"], cards["lab_sizes"],
            styles=GRID, stylesheets=[CARDS], margin=(4, 12), sizing_mode="stretch_width",
        )  # fmt: skip
        self.controls.first.append(self.training.toggle)
        self.lab = pn.Column(
            self.controls.bar, self.training.panel, self.training.strip, self.pictures, grid,
            sizing_mode="stretch_width", styles=WHOLE,
        )  # fmt: skip
        main = [self.notice.pane, self.welcome.panel, self.lab, ArrowKeys(self.controls.step)]
        return page_frame("Gap Lab", links, main, lambda dark: setattr(self.state, "dark", dark))

    # Start

    def loaded(self) -> None:
        """The browser is there: sync the address, look for runs, start the clock."""
        sync_address(self.state, IN_ADDRESS)
        for complaint in [*self._complaints, *filter(None, [self.library.without_images()])]:
            self.notice.add(complaint)
        if not self.library.names():
            self.first.start()
        self.welcome.panel.visible = self.first.running
        self.lab.visible = bool(self.library.image_names())
        self._look()
        if self._document is not None:
            self._document.add_periodic_callback(self.tick, TICK_MS)

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
        self.controls.offer_decoders(names)
        self.lab.visible = bool(names)
        if self.state.decoder not in names:
            if self.state.decoder and names:
                self.notice.add(f"there is no decoder '{self.state.decoder}' here; known: {', '.join(names)}")
            self.state.decoder = names[0] if names else ""
        self.session.start()

    def _offer(self, choice: Choice) -> None:
        """What there is on the decoder, to the controls; what can be trained on it is looked up in a thread."""
        self.controls.offer(choice)
        which = choice.lab.decoder.fingerprint, len(choice.lab.runs)
        if self._offered == which:
            return
        self._offered = which

        def work() -> None:
            families, epochs, methods = families_and_methods(choice)

            def show() -> None:
                self.training.offer_methods(methods)
                self.training.offer(choice, families, epochs)

            self.session.latest.soon(show)

        self.session.latest.aside(work)

    def _largest(self, method: str) -> None:
        """The image on which a method loses most, sought in a thread."""
        choice = self.session.choice
        if choice is None:
            return
        self.notice.say(f"Looking for the image on which {method} loses most…")

        def work() -> None:
            index = choice.lab.largest_gap(method)

            def show() -> None:
                self.notice.say("")
                self.state.index = index

            self.session.latest.soon(show)

        self.session.latest.aside(work)

    # The clock

    def tick(self) -> None:
        """Bring up to date what changes by itself."""
        if self.welcome.panel.visible:
            done = self.first.report().outcome == "done"
            self.welcome.tick(self.state.dark, self.lab.visible)
            self.library.rescan(finished_only=True)  # half a training is nothing to judge by
            names = self.library.image_names()
            if done or names != self._names:
                self._names = names
                self._look()
            if done:
                self.welcome.panel.visible = False
        if self.training.tick():
            self._look()
        self.session.tick()

    def _show_pictures(self, text: str) -> None:
        self.pictures.object = text
