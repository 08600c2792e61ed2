"""The page of the MAPA Lab: frame, tabs, controls, cards, and the clock that watches what goes on in the background."""

from __future__ import annotations

import html
from urllib.parse import parse_qs

import panel as pn
import panel_material_ui as pmui
from bokeh.document import Document

from dashboards.address import sync_address
from dashboards.first_start import FirstStart
from dashboards.frame import page_frame
from dashboards.library import RunLibrary
from dashboards.mapa_lab.choice import Wanted
from dashboards.mapa_lab.controls import MapaControls
from dashboards.mapa_lab.labs import shared
from dashboards.mapa_lab.session import MapaSession
from dashboards.mapa_lab.state import IN_ADDRESS, TAB_HELP, TABS, MapaState, read_address
from dashboards.mapa_lab.tabs import TabList
from dashboards.page import WHOLE
from dashboards.welcome import progress_words
from dashboards.widgets.keys import ArrowKeys
from dashboards.widgets.notice import Notice

TICK_MS = 250
BORDER = 18
"""Pixels of a card to the left and right of its figure; what is left of a row is shared."""
STYLE = ".verdict { font-size: 14px; line-height: 1.45; }"


class MapaPage:
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
        self.labs = shared(library)
        self.state = MapaState()
        self.notice = Notice()
        self._complaints = read_address(self.state, parse_qs(query))
        self.tabs = TabList(
            lambda key: setattr(self.state, "tab", key) if key in TABS else None,
            label="What is shown", tabs=[[key, text, TAB_HELP[key]] for key, text in TABS.items()],
            active=self.state.tab, sizing_mode="stretch_width", margin=(2, 10, 0, 10),
        )  # fmt: skip
        self.controls = MapaControls(self.state, self.notice.say)
        self.verdict = pn.pane.HTML("", stylesheets=[STYLE], sizing_mode="stretch_width", margin=(4, 14), min_height=44)
        self.session = MapaSession(
            self.labs, self.state, document, self.notice.say, self.notice.add, self._offer, self._judge, self._train
        )
        self._training = False
        self.words = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 8))
        self.cancel = pmui.Button(label="Cancel", size="small", variant="outlined", margin=(4, 8))
        self.cancel.on_click(lambda _: self.first.cancel())
        self.strip = pn.Row(self.words, self.cancel, visible=False, sizing_mode="stretch_width")
        self.state.param.watch(lambda *_: self._arrange(), ["tab", "dark"])
        self.frame = self._layout(links)
        self._arrange()

    def _layout(self, links: pn.viewable.Viewable | None) -> pmui.Page:
        cards = self.session.cards
        self.panels = {}
        for tab in TABS:
            inside = []
            for pane in self.session.panes:
                if pane.tab == tab:
                    width = pane.width + BORDER
                    cards[pane.name].styles = {"max-height": "none", "min-width": "0", "flex": f"{width} 1 {width}px"}
                    inside.append(cards[pane.name])
            row = pn.FlexBox(*inside, gap="8px", styles=WHOLE, margin=0, sizing_mode="stretch_width")
            # What is shown and hidden must not have a display of its own.
            self.panels[tab] = pn.Column(row, styles=WHOLE, margin=(4, 12), sizing_mode="stretch_width")
        self.lab = pn.Column(
            self.tabs, self.controls.bar, self.verdict, *self.panels.values(),
            sizing_mode="stretch_width", styles=WHOLE,
        )  # fmt: skip
        main = [self.notice.pane, self.strip, self.lab, ArrowKeys(self.controls.step)]
        return page_frame("MAPA Lab", links, main, lambda dark: setattr(self.state, "dark", dark))

    # Start

    def loaded(self) -> None:
        """The browser is there: sync the address, show what is asked for, start the clock. Nothing must be trained."""
        sync_address(self.state, IN_ADDRESS)
        for complaint in [*self._complaints, *self.labs.rescan(finished_only=self.first.running)]:
            self.notice.add(complaint)
        self.session.start()
        if self._document is not None:
            self._document.add_periodic_callback(self.tick, TICK_MS)

    def _arrange(self) -> None:
        """Show the tab's cards before they are drawn: what is hidden has no size to draw for."""
        self.tabs.param.update(active=self.state.tab, dark=self.state.dark)
        self.controls.arrange(self.state.tab)
        for tab, panel in self.panels.items():
            panel.visible = tab == self.state.tab

    def _offer(self, wanted: Wanted) -> None:
        self.controls.offer(wanted)

    def _judge(self, line: str) -> None:
        self.verdict.object = f'<div class="verdict" role="status" aria-live="polite">{html.escape(line)}</div>'

    # Training, where there is no image model

    def _train(self) -> None:
        self.first.start()
        self.tick()

    def tick(self) -> None:
        """Bring up to date what changes by itself."""
        running = self.first.running
        if running or self._training:
            self._tick_training(running)
        self.session.tick()

    def _tick_training(self, running: bool) -> None:
        report = self.first.report()
        words = {"done": ""}.get(report.outcome, progress_words(report))
        text = f"Training the default pair, for the image tab: {words}" if running else words
        self.words.object = f'<span role="status" class="progress-words">{html.escape(text)}</span>'
        self.cancel.visible = running
        self.strip.visible = bool(text) and self.state.tab == "images"
        if self._training and not running:
            self.labs.rescan(finished_only=False)
            if self.state.tab == "images":
                self.session.refresh()
        self._training = running
