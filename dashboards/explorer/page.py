"""The Posterior Explorer: one image under one or two runs, in seven views, and the progress of their preparation."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import panel as pn

from dashboards.explorer.all_images import EncoderUncertainty, TsneMap
from dashboards.explorer.approximations import Reconstructions, RunGaps, verdict
from dashboards.explorer.controls import ExplorerControls
from dashboards.explorer.posteriors import FigureOne, MapaTraces, TruePosterior
from dashboards.explorer.request import ExplorerPane, ExplorerRequest, resolve
from dashboards.explorer.state import ExplorerState, plane_dims
from dashboards.lab.page import WIDE, Page, card_grid
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from gpvae_core.errors import UserError
from gpvae_core.plots.pictures import png_address


class ExplorerPage(Page[ExplorerRequest]):
    """One browser tab of the Posterior Explorer."""

    path = "/"
    title = "Posterior Explorer"
    state_type = ExplorerState
    tick_ms = 400
    needs_images = True
    line_style: ClassVar[str] = """
        .summary { display: flex; gap: 10px; align-items: center; }
        .chosen { width: 52px; height: 52px; object-fit: contain; image-rendering: pixelated;
          border: 1px solid #7f8a95; border-radius: 4px; }
    """

    def make_panes(self) -> Sequence[ExplorerPane]:
        return (
            TsneMap(), TruePosterior(), EncoderUncertainty(), MapaTraces(), Reconstructions(), RunGaps(), FigureOne(),
        )  # fmt: skip

    def layout(self) -> Sequence[pn.viewable.Viewable]:
        self.controls = ExplorerControls(self.state, self.notice.show)
        self.strip = pn.pane.HTML("", visible=False, sizing_mode="stretch_width", margin=(2, 12))
        self._ready: dict[str, frozenset[str]] = {}
        self.line.param.update(min_height=56, margin=(2, 12))
        *cards, wide = self.session.cards.values()
        wide.sizing_mode = "stretch_width"
        above = self.controls.bar, self.controls.pad, self.strip, self.line
        return *above, card_grid(*cards), pn.Column(wide, margin=(4, 12), **WIDE)

    # From the address to the request

    def read(self, query: dict[str, list[str]]) -> list[str]:
        """Choose the newest runs, then what the address names; return a line for each damaged run and wrong value."""
        complaints = self.library.look(finished_only=self.first.running)
        self._choose_default()
        if "run" in query and "with" not in query:
            self.state.other = ""  # an address that names one run means that one alone
        complaints += self.state.read(query)
        complaints += self._known_runs()
        if self.state.other == self.state.run:
            self.state.other = ""
        return complaints

    def _choose_default(self) -> None:
        run, other = self.library.default_choice()
        self.controls.offer_runs(self.library.image_names())
        self.state.param.update(run=run, other=other)

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
        for name in () if resolved is None else resolved.request.names:
            self.library.preparation(name)
        return resolved

    # What a request shows

    def line_of(self, request: ExplorerRequest) -> str | None:
        return verdict(request) if ExplorerPane.needs <= request.ready else None

    def improved(self, request: ExplorerRequest, current: Callable[[], bool]) -> ExplorerRequest | None:
        """Optimise the best Gaussian of this image under each run."""
        compared = request.compared if ExplorerPane.needs <= request.ready else ()
        if all(run.explorer.gap_view(run.instance).best_diagonal_elbo is not None for run in compared):
            return None
        for run in compared:
            if not current():
                return None
            run.explorer.best_gaussian(run.instance)
        return replace(request, refined=True)

    def offer(self, request: ExplorerRequest) -> None:
        self.controls.offer(request.compared[0].explorer)

    # What the user does

    def step(self, by: int) -> None:
        self.controls.step(by)

    def close(self) -> None:
        self.controls.drawing.close()

    def pick(self, index: int) -> None:
        self.state.pick(index)

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
        if names and names != self.controls.run.options:
            self._choose_default()
            self.controls.ignore_echoes()
            self.views.visible = True

    def watch(self) -> None:
        """Show which runs are being loaded or prepared, and what has become ready."""
        if self.state.run:
            self._watch_preparation([name for name in self.state.names if name in self.library.image_names()])

    def _watch_preparation(self, names: Sequence[str]) -> None:
        lines, ready = [], {}
        for name in names:
            if not self.library.is_open(name):
                lines += [] if self.library.is_broken(name) else [f"{name}: loading"]
                continue
            report = self.library.preparation(name).report()
            ready[name] = self.library.explorer(name).ready
            if report.outcome != "done":
                lines.append(f"{name}: {report.words}")
        text = html.escape(" · ".join(lines))
        self.strip.param.update(object=f'<span role="status" class="preparing">{text}</span>', visible=bool(lines))
        if any(ready[name] != self._ready.get(name, frozenset()) for name in ready):
            self._ready |= ready
            self.session.refresh()
