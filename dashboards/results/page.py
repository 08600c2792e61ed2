"""The Results page: a table of the paper beside our results, and a figure of one column, updated while a sweep runs."""

from __future__ import annotations

import html
from collections.abc import Hashable, Sequence
from typing import ClassVar

import panel as pn

from dashboards.lab.looks import FULL_HEIGHT
from dashboards.lab.page import Page
from dashboards.lab.pane import Pane, one_file
from dashboards.lab.resolved import Resolved, Values
from dashboards.results import rows, words
from dashboards.results.controls import ResultsControls
from dashboards.results.request import ResultsRequest, resolve, written_now
from dashboards.results.state import ResultsState
from dashboards.widgets.card import Content, Select, as_json
from dashboards.widgets.table import ResultsTable
from gpvae_core.plots import beside_paper
from gpvae_core.progress import Progress
from gpvae_core.sweep.result_files import ResultFiles
from gpvae_core.tables.compare import Cell
from gpvae_core.tables.export import to_csv, to_latex

SIDE_BY_SIDE = """
:host { display: grid !important; grid-template-columns: minmax(0, 1fr) max(460px, 30%); gap: 8px;
  align-items: start; flex: none; max-height: none; }
@media (max-width: 1300px) { :host { grid-template-columns: minmax(0, 1fr); } }
"""


class ColumnPane(Pane[ResultsRequest]):
    """Our means and standard deviations beside the paper's, for each method in one column of the table."""

    name = "beside_paper"
    title = "Means and deviations"
    to_csv = one_file(to_csv)

    def key(self, request: ResultsRequest) -> Hashable:
        column = request.column if request.sheet.of_scores else ""
        return (column, request.sheet) if column else None

    def compute(self, request: ResultsRequest, progress: Progress) -> list[Cell]:
        return request.columns[request.column]

    def draw(self, view: list[Cell], request: ResultsRequest) -> Content:
        names = {key: words.column_words(cells[0]) for key, cells in request.columns.items()}
        select = Select("column", "Column", tuple(names.items()), request.column)
        empty = all(cell.mean is None and cell.paper_mean is None for cell in view)
        return Content(
            figure="" if empty else as_json(beside_paper.figure(view, request.theme)),
            message=words.NOTHING_YET if empty else "",
            sub="" if len(names) > 1 else names[request.column],
            sentence="" if empty else words.figure_sentence(request.sheet),
            alt=words.figure_alt(view),
            selects=(select,) if len(names) > 1 else (),
        )

    def subject(self, request: ResultsRequest) -> str:
        table, column = request.tables[request.sheet.key], words.column_words(request.columns[request.column][0])
        return f"{table.partition(' · ')[0]}, {column}"


class ResultsPage(Page[ResultsRequest]):
    """One browser tab of the Results page."""

    path = "/results"
    title = "Results"
    state_type = ResultsState
    tick_ms = 2000
    line_style: ClassVar[str] = "p { margin: 0; } .progress { opacity: 0.8; margin-top: 6px; }"

    def make_panes(self) -> Sequence[ColumnPane]:
        return (ColumnPane(),)

    def layout(self) -> Sequence[pn.viewable.Viewable]:
        self._files, self._looking = ResultFiles(self.library.places), False
        self.controls = ResultsControls(self.state, self.notice.show)
        self.table = ResultsTable(self._save, dark=self.state.param.dark, sizing_mode="stretch_width", margin=0)
        self.figure = self.session.cards[ColumnPane.name]
        self.figure.param.update(sizing_mode="stretch_width", styles={**FULL_HEIGHT, "align-self": "start"})
        self.line.margin = (3, 14)
        both = pn.Column(
            self.table, self.figure, stylesheets=[SIDE_BY_SIDE], sizing_mode="stretch_width", margin=(4, 12)
        )
        return self.controls.bar, self.line, both

    def resolve(self, values: Values) -> Resolved[ResultsRequest]:
        return resolve(self._files, values)

    def line_of(self, request: ResultsRequest) -> str | None:
        sheet = request.sheet
        texts = [(words.explanation(sheet), ""), (words.remarks(sheet), ""), (words.progress(sheet), "progress")]
        lines = [f'<p class="{look}">{html.escape(text)}</p>' for text, look in texts if text]
        return "".join(lines)

    def offer(self, request: ResultsRequest) -> None:
        self.controls.offer(request)
        self.table.show(rows.table_content(request.sheet))
        self.figure.visible = request.sheet.of_scores and bool(request.column)

    def watch(self) -> None:
        """Check, in a thread, whether a results file was written or has appeared; if so, show it."""
        if not self._looking:
            self._looking = True
            self.session.latest.aside(self._has_changed, lambda changed: self.session.refresh() if changed else None)

    def _has_changed(self) -> bool:
        try:
            request = self.session.request
            return request is not None and written_now(self._files, self.state.file) != request.written
        finally:
            self._looking = False

    def _save(self, kind: str) -> None:
        """Send the rows shown to the browser as a CSV or LaTeX file."""
        if self.session.request is not None:
            sheet = self.session.request.sheet
            name = f"{'' if sheet.own else 'table-'}{sheet.key}.{'csv' if kind == 'CSV' else 'tex'}"
            text = to_csv(sheet.cells) if kind == "CSV" else to_latex(sheet.table, sheet.cells)
            self.table.send(kind, name, text)
