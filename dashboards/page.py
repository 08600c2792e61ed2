"""The page of the Posterior Explorer: frame, controls, views, and the clock that watches what is being prepared."""

from __future__ import annotations

import html
from collections.abc import Sequence
from urllib.parse import parse_qs

import panel as pn
import panel_material_ui as pmui
from bokeh.document import Document

from dashboards.address import sync_address
from dashboards.controls import Controls
from dashboards.first_start import FirstStart
from dashboards.frame import page_frame
from dashboards.library import RunLibrary
from dashboards.session import Session
from dashboards.state import IN_ADDRESS, PageState, read_address
from dashboards.welcome import Welcome, progress_words
from dashboards.widgets.keys import ArrowKeys
from dashboards.widgets.notice import Notice
from gpvae_core.errors import UserError

TICK_MS = 400
WHOLE = {"flex": "none", "max-height": "none"}
"""Never squeezed: the page scrolls instead."""
GRID = {**WHOLE, "display": "grid", "grid-template-columns": "repeat(auto-fill, minmax(456px, 1fr))", "gap": "8px"}
STYLE = """
.verdict { display: flex; gap: 10px; align-items: center; font-size: 13px; line-height: 1.4; }
.verdict .chosen { width: 52px; height: 52px; object-fit: contain; image-rendering: pixelated;
  border: 1px solid #7f8a95; border-radius: 4px; }
"""


class Page:
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
        self.state = PageState()
        self.notice = Notice()
        self.verdict = pn.pane.HTML("", stylesheets=[STYLE], sizing_mode="stretch_width", margin=(2, 12), min_height=56)
        self.strip = pn.pane.HTML("", visible=False, sizing_mode="stretch_width", margin=(2, 12))
        self.controls = Controls(self.state, self.notice.say)
        self.session = Session(
            library, self.state, document, self.notice.say, self.notice.add, self._show_verdict, self.controls.offer
        )
        self.welcome = Welcome(first)
        self._ready: dict[str, frozenset[str]] = {}
        self._complaints = self._start(parse_qs(query))
        self.frame = self._layout(links)

    def _layout(self, links: pn.viewable.Viewable | None) -> pmui.Page:
        cards = self.session.cards
        grid = pn.Column(*(card for name, card in cards.items() if name != "figure_one"), styles=GRID, margin=(4, 12))
        grid.sizing_mode = cards["figure_one"].sizing_mode = "stretch_width"
        wide = pn.Column(cards["figure_one"], margin=(4, 12), sizing_mode="stretch_width", styles=WHOLE)
        keys = ArrowKeys(self.controls.step)
        self.explorer = pn.Column(
            self.controls.bar,
            self.controls.pad,
            self.strip,
            self.verdict,
            grid,
            wide,
            sizing_mode="stretch_width",
            styles=WHOLE,
        )
        main = [self.notice.pane, self.welcome.panel, self.explorer, keys]
        return page_frame("Posterior Explorer", links, main, lambda dark: setattr(self.state, "dark", dark))

    # Start

    def _start(self, query: dict[str, list[str]]) -> list[str]:
        """Choose runs and read the address; returns what was wrong with it."""
        complaints = self._look_for_runs()
        self._choose_default()
        complaints += read_address(self.state, query)
        complaints += self._known_runs()
        if self.state.other == self.state.run:
            self.state.other = ""
        return complaints

    def _look_for_runs(self) -> list[str]:
        """Find what was trained or removed since; returns what is damaged."""
        try:
            self.library.rescan(finished_only=self.first.running)
        except UserError as error:
            return [str(error)]
        return list(self.library.damaged)

    def _choose_default(self) -> None:
        run, other = self.library.default_choice()
        self.controls.offer_runs(self.library.image_names())
        self.state.param.update(run=run, other=other)

    def _known_runs(self) -> list[str]:
        """Replace runs that are not there by the default; says which."""
        complaints, default = [], dict(zip(("run", "other"), self.library.default_choice(), strict=True))
        for field in default:
            name = getattr(self.state, field)
            try:
                if name:
                    self.library.image_summary(name)
            except UserError as error:
                complaints.append(str(error))
                setattr(self.state, field, default[field])
        return complaints

    def loaded(self) -> None:
        """The browser is there: sync the address, show what is asked for, start the clock."""
        sync_address(self.state, IN_ADDRESS)
        if not self.library.names():
            self.first.start()
        self.welcome.panel.visible = self.first.running
        self.explorer.visible = bool(self.library.image_names())
        self.session.start()
        for complaint in [*self._complaints, *filter(None, [self.library.without_images()])]:
            self.notice.add(complaint)
        if self._document is not None:
            self._document.add_periodic_callback(self.tick, TICK_MS)

    # The clock

    def tick(self) -> None:
        """Bring up to date what changes by itself: training, preparation."""
        if self.welcome.panel.visible:
            self._tick_training()
        if self.state.run:
            self._tick_preparation([name for name in self.state.names if name in self.library.image_names()])

    def _tick_training(self) -> None:
        done = self.first.report().outcome == "done"  # asked first: what ends while we look is found at the next tick
        self.welcome.tick(self.state.dark, self.explorer.visible)
        self.library.rescan(finished_only=True)  # half a training is no run to judge an encoder by
        names = self.library.image_names()
        if names and names != self.controls.run.options:
            self._choose_default()
            self.controls.ignore_echoes()
            self.explorer.visible = True
        if done:
            self.welcome.panel.visible = False

    def _tick_preparation(self, names: Sequence[str]) -> None:
        lines, ready = [], {}
        for name in names:
            if not self.library.is_open(name):
                lines += [] if self.library.is_broken(name) else [f"{name}: loading"]
                continue
            report = self.library.preparation(name).report()
            ready[name] = self.library.explorer(name).ready
            if report.outcome != "done":
                lines.append(f"{name}: {progress_words(report)}")
        text = html.escape(" · ".join(lines))
        self.strip.param.update(object=f'<span role="status" class="preparing">{text}</span>', visible=bool(lines))
        if any(ready[name] != self._ready.get(name) for name in ready):
            known = {**self._ready, **ready}
            first_look = not self._ready
            self._ready = known
            if not first_look or any(ready.values()):
                self.session.refresh()

    def _show_verdict(self, line: str) -> None:
        self.verdict.object = line
