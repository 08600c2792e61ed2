"""The Posterior Explorer: one image under one or two runs, in seven views, and the progress of their preparation."""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import panel as pn
import panel_material_ui as pmui

from dashboards.explorer.all_images import EncoderUncertainty, TsneMap
from dashboards.explorer.approximations import Reconstructions, RunGaps, verdict
from dashboards.explorer.controls import ExplorerControls
from dashboards.explorer.posteriors import FigureOne, MapaTraces, TruePosterior
from dashboards.explorer.request import ExplorerPane, ExplorerRequest, resolve
from dashboards.explorer.state import ExplorerState, plane_dims
from dashboards.lab.looks import WIDE, card_grid
from dashboards.lab.page import Page
from dashboards.lab.pane import Pane
from dashboards.lab.progress import BUTTON
from dashboards.lab.resolved import Resolved, Values
from dashboards.lab.session import CANCEL
from gpvae_core.errors import UserError
from gpvae_core.plots.pictures import png_address

CARDS = ("map", "posterior", "uncertainty", "traces", "reconstructions", "gaps", "figure_one")
"""The cards in the order in which they stand on the page."""
ONE_LESS = f"@media (min-width: 980px) {{ :host > :nth-child({len(CARDS) - 1}) {{ grid-column: span 2; }} }}"
"""The last card of the grid fills the place of one that is not shown, where two or three cards stand side by side."""
CANCELLED = "cancelled; views that are not ready fill once it goes on"


class ExplorerPage(Page[ExplorerRequest]):
    """One browser tab of the Posterior Explorer."""

    path = "/"
    title = "Posterior Explorer"
    state_type = ExplorerState
    carried: ClassVar[Mapping[str, str]] = {"run": "run", "image": "index"}
    tick_ms = 400
    needs_images = True
    unkept: ClassVar[str] = (
        "The image that was uploaded or drawn is lost, as the page was loaded again, and a test image is shown: "
        "upload or draw it once more"
    )
    line_style: ClassVar[str] = """
        .summary { display: flex; gap: 10px; align-items: center; }
        .chosen { width: 52px; height: 52px; object-fit: contain; image-rendering: pixelated;
          border: 1px solid #7f8a95; border-radius: 4px; }
        .unlike { color: #7c2d12; background: #fff4e5; border-radius: 4px; padding: 0 4px; }
    """

    def make_panes(self) -> Sequence[ExplorerPane]:
        # The browser takes longest: what is computed soonest comes first, so that it has something to draw.
        return (
            TsneMap(), EncoderUncertainty(), RunGaps(), Reconstructions(), MapaTraces(), TruePosterior(), FigureOne(),
        )  # fmt: skip

    def layout(self) -> Sequence[pn.viewable.Viewable]:
        self.controls = ExplorerControls(self.state, self.notice.show)
        own = lambda event: setattr(self.browser, "unkept", event.new is not None)  # noqa: E731
        self.state.param.watch(own, "own_image")
        self.strip = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 12))
        self.stop = pmui.Button(label=CANCEL[1], variant="outlined", **BUTTON)
        self.stop.on_click(lambda _: self._stop_or_go_on())
        self.preparing = pn.Row(self.strip, self.stop, visible=False, align="center", sizing_mode="stretch_width")
        self._ready: dict[str, Hashable] = {}
        """What the page last saw of each run: its weights, what was ready, and whether its preparation had failed."""
        self.line.param.update(min_height=56, margin=(2, 12))
        *cards, wide = (self.session.cards[name] for name in CARDS)
        wide.sizing_mode = "stretch_width"
        above = self.controls.bar, self.about.panel, self.controls.pad, self.preparing, self.line
        self.grid = card_grid(*cards)
        return *above, self.grid, pn.Column(wide, margin=(4, 12), **WIDE)

    # From the address to the request

    def read(self, query: dict[str, list[str]]) -> list[str]:
        """Choose the newest runs, then what the address names; return a line for each damaged run and wrong value."""
        complaints = self.library.look(finished_only=self.first.running)
        self._choose_default()
        if "run" in query and "with" not in query:
            self.state.other = ""  # an address that names one run means that one alone
        if not query.keys().isdisjoint(("run", "with")):
            self.state.unasked = ""
        complaints += self.state.read(query)
        complaints += self._known_runs()
        if self.state.other == self.state.run:
            if "with" in query and self.state.run:
                complaints.append(f"run '{self.state.run}' is not compared with itself")
            self.state.other = ""
        return complaints

    def returned(self, query: dict[str, list[str]]) -> list[str]:
        self.state.own_image = None
        return super().returned(query)

    def _choose_default(self) -> None:
        run, other = self.library.default_choice()
        self._offered = self.library.image_names()
        self.controls.offer_runs(self._offered, self.library.label)
        self.state.param.update(run=run, other=other, unasked=run)

    def _known_runs(self) -> list[str]:
        """Replace chosen runs that do not exist by the default; return a line about each."""
        complaints = []
        for field, default in zip(("run", "other"), self.library.default_choice(), strict=True):
            try:
                if name := getattr(self.state, field):
                    self.library.image_summary(name)
            except UserError as error:
                complaints.append(str(error))
                setattr(self.state, field, default)
        return complaints

    def resolve(self, values: Values) -> Resolved[ExplorerRequest] | None:
        resolved = resolve(self.library, values)
        if resolved is None:
            return None
        reports = [self.library.preparation(name) for name in resolved.request.names]
        failed = next((report.error for report in reports if report.outcome == "failed"), "")
        return replace(resolved, request=replace(resolved.request, failed=failed))

    # What a request shows

    def line_of(self, request: ExplorerRequest) -> str | None:
        return verdict(request) if ExplorerPane.needs <= request.ready else None

    def improved(self, request: ExplorerRequest, current: Callable[[], bool]) -> ExplorerRequest | None:
        """Optimise the best Gaussian of this image under each run."""
        if request.refined or not ExplorerPane.needs <= request.ready:
            return None
        for run in request.compared:
            if not current():
                return None
            run.explorer.best_gaussian(run.instance)
        return replace(request, refined=True)

    def runs_of(self, request: ExplorerRequest) -> Sequence[str]:
        return request.names

    def offer(self, request: ExplorerRequest) -> None:
        self.controls.offer(request.compared[0].explorer)
        self.grid.stylesheets = [] if request.focal.explorer.reports_uncertainty else [ONE_LESS]
        self.library.prepare(self, request.names)

    # What the user does

    def _stop_or_go_on(self) -> None:
        """Cancel what is computed for the runs shown; where it is cancelled already, go on."""
        names = () if self.session.request is None else self.session.request.names
        if any(self.library.preparation(name).running for name in names):
            for name in names:
                self.library.cancel_preparation(name)
        else:
            self.library.prepare(self, names, again=True)
        self.watch()

    def close(self) -> None:
        super().close()
        self.library.prepare(self, ())

    def step(self, by: int) -> None:
        self.controls.step(by)

    def escape(self) -> None:
        self.controls.drawing.close()

    def pick(self, index: int) -> None:
        self.state.pick(index)

    def expect(self, index: int) -> None:
        self.session.expect(**self.state.picked(index))

    def select(self, name: str, value: str) -> None:
        _, (i, j) = plane_dims(self.state.plane)
        planes = {
            "plane_kind": "principal" if value == "principal" else f"{i + 1},{j + 1}",
            "plane_x": f"{value},{j + 1 if str(j + 1) != value else i + 1}",
            "plane_y": f"{i + 1 if str(i + 1) != value else j + 1},{value}",
        }
        if name in planes:
            self.change(plane=planes[name])
        else:
            super().select(name, value)

    def hover(self, pane: Pane[ExplorerRequest], index: int) -> None:
        request, card = self.session.request, self.session.cards[pane.name]
        if request is None:
            return
        explorer = request.focal.explorer
        if 0 <= index < len(explorer.run.data.test.images):
            self.session.latest.aside(
                lambda: png_address(explorer.instance(index).image, 84),
                lambda source: card.answer(hover=index, source=source),
            )

    # What changes by itself

    def runs_changed(self) -> None:
        names = self.library.image_names()
        if names and names != self._offered:
            with self.own_choice():
                self._choose_default()
            self.controls.ignore_echoes()
            self.views.visible = True

    def watch(self) -> None:
        """Show which runs are being loaded or prepared, and what has become ready."""
        if self.state.run:
            self._watch_preparation([name for name in self.state.names if name in self.library.image_names()])

    def _watch_preparation(self, names: Sequence[str]) -> None:
        lines, ready, outcomes = [], {}, set()
        for name in names:
            if not self.library.is_open(name):
                lines += [] if self.library.is_broken(name) else [f"{name}: loading"]
                continue
            report = self.library.preparation(name)
            explorer, weights = self.library.explorer(name), self.library.weights(name)
            ready[name] = weights, explorer.ready, report.outcome == "failed"
            outcomes.add("running" if report.running else report.outcome)
            if report.outcome not in ("idle", "done"):
                lines.append(f"{name}: {CANCELLED if report.outcome == 'cancelled' else report.words}")
        text = html.escape(" · ".join(lines))
        self.strip.object = f'<span role="status" class="preparing">{text}</span>'
        self.stop.param.update(
            label=CANCEL[1] if "running" in outcomes else "Go on", visible=bool(outcomes - {"idle", "done"})
        )
        self.preparing.visible = bool(lines)
        if any(ready[name] != self._ready.get(name) for name in ready):
            self._ready |= ready
            self.session.refresh()
