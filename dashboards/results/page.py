"""The Results page: a table of the paper beside ours, brought up to date while a sweep runs."""

from __future__ import annotations

import html
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs

import panel as pn
import panel_material_ui as pmui
from bokeh.document import Document

from dashboards.address import sync_address
from dashboards.first_start import FirstStart
from dashboards.frame import page_frame
from dashboards.latest import Latest
from dashboards.library import RunLibrary
from dashboards.request import as_json
from dashboards.results import rows, words
from dashboards.results.controls import Controls
from dashboards.results.files import ResultFiles, Signature, signature
from dashboards.results.sheet import TIME_TABLES, Choice, Sheet, Stored, make_sheet, read, table_options
from dashboards.results.state import IN_ADDRESS, ResultsState, read_address
from dashboards.results.table import ResultsTable
from dashboards.widgets.card import Card, Content, Select
from dashboards.widgets.notice import Notice
from gpvae_core.errors import UserError, unknown
from gpvae_core.plots import beside_paper
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.tables.compare import Cell
from gpvae_core.tables.export import to_csv, to_latex
from gpvae_core.tables.times import bench_times

log = logging.getLogger(__name__)
TICK_MS = 2000
"""How often the page looks whether something was written."""
WHOLE = {"flex": "none", "max-height": "none"}
SIDE_BY_SIDE = """
:host { display: grid !important; grid-template-columns: minmax(0, 1fr) 460px; gap: 8px; align-items: start; flex: none;
  max-height: none; }
@media (max-width: 1300px) { :host { grid-template-columns: minmax(0, 1fr); } }
"""
STYLE = """
p { font-size: 13px; line-height: 1.4; margin: 0; }
.standing { opacity: 0.8; }
"""
COLUMN = "column"
Seen = tuple[tuple[str, ...], tuple[Signature, ...]]
"""Names of the files there are, and when those shown were written."""


@dataclass(frozen=True)
class Answer:
    """A sheet with what there is to choose from and what was wrong."""

    sheet: Sheet
    tables: Mapping[str, str]
    files: tuple[str, ...]
    file: str
    complaints: tuple[str, ...]


class ResultsPage:
    """One browser tab."""

    def __init__(
        self,
        library: RunLibrary,
        first: FirstStart,
        document: Document | None,
        query: str,
        links: pn.viewable.Viewable | None = None,
    ) -> None:
        self._files, self._document = ResultFiles(library.places), document
        self.state = ResultsState()
        self.latest = Latest(document, self._say)
        self.controls = Controls(self.state)
        self.table = ResultsTable(self._save, sizing_mode="stretch_width", margin=0)
        self.figure = Card(
            {"csv": lambda _: self._save_column(), "select": lambda choice: setattr(self.state, COLUMN, choice[1])},
            view="beside_paper", title="Means and deviations", margin=0, width=460,
            styles=WHOLE,
        )  # fmt: skip
        self.notice = Notice()
        self.explanation, self.standing = self._words(), self._words()
        self._complaints = read_address(self.state, parse_qs(query))
        self._sheet: Sheet | None = None
        self._seen: Seen | None = None
        self._looking = False
        self.frame = self._layout(links)
        watched = [name for name in self.state.param.values() if name not in ("name", "dark")]
        self.state.param.watch(lambda *_: self._chosen(), watched)
        self.state.param.watch(lambda *_: self._draw(), "dark")

    @staticmethod
    def _words() -> pn.pane.HTML:
        return pn.pane.HTML("", stylesheets=[STYLE], sizing_mode="stretch_width", margin=(3, 14))

    def _layout(self, links: pn.viewable.Viewable | None) -> pmui.Page:
        both = pn.Column(
            self.table, self.figure, stylesheets=[SIDE_BY_SIDE], sizing_mode="stretch_width", margin=(4, 12)
        )
        main = [self.notice.pane, self.controls.bar, self.explanation, self.standing, both]
        return page_frame("Results", links, main, lambda dark: setattr(self.state, "dark", dark))

    def loaded(self) -> None:
        """The browser is there: sync the address, show what is asked for, start the clock."""
        sync_address(self.state, IN_ADDRESS)
        self.refresh()
        if self._document is not None:
            self._document.add_periodic_callback(self.tick, TICK_MS)

    # What is shown

    def _chosen(self) -> None:
        """The person chose something: what was said before no longer matters."""
        self._complaints = []
        self.refresh()

    def refresh(self) -> None:
        """Read and show what the state asks for."""
        choice = self.state.param.values()
        dims, methods = self.state.chosen_dims, self.state.chosen_methods

        def work(generation: int) -> None:
            found = self._files.found()
            path, complaints = _file_of(found, choice["file"])
            seen = self._seen_now(found, path)
            wanted = Choice(path, choice["table"], choice["setup"], dims, methods, choice["runs"])
            answer = _answer(found, wanted, self._files.bench(), complaints)
            self.latest.push(generation, lambda: self._show(answer, seen))

        self.latest.ask(work)

    def _show(self, answer: Answer, seen: Seen) -> None:
        self._sheet, self._seen = answer.sheet, seen
        self.controls.offer(answer.sheet, answer.tables, {name: name for name in answer.files}, answer.file)
        self.explanation.object = _paragraphs(words.explanation(answer.sheet), words.remarks(answer.sheet))
        standing = html.escape(words.standing(answer.sheet))
        self.standing.param.update(object=f'<p class="standing" role="status">{standing}</p>', visible=bool(standing))
        self.notice.tell([*self._complaints, *answer.complaints])
        self._draw()

    def _draw(self) -> None:
        """Table and figure, in the colours of the theme."""
        if self._sheet is None:
            return
        self.table.show(rows.table_content(self._sheet, self.state.dark))
        self._draw_figure(self._sheet)

    def _draw_figure(self, sheet: Sheet) -> None:
        columns = columns_of(sheet)
        self.figure.visible = sheet.of_scores and bool(columns)
        if not self.figure.visible:
            return
        key = self._column(columns)
        options = tuple((name, words.column_words(cells[0])) for name, cells in columns.items())
        empty = all(cell.mean is None and cell.paper_mean is None for cell in columns[key])
        content = Content(
            visible=not empty,
            message=words.NOTHING_YET if empty else "",
            sub="" if len(columns) > 1 else options[0][1],
            sentence="" if empty else words.figure_sentence(sheet),
            alt=words.figure_alt(columns[key]),
            dark=self.state.dark,
            file=f"{sheet.key}-{key}",
            selects=(Select(COLUMN, "Column", options, key),) if len(columns) > 1 else (),
        )
        self.figure.show(content, as_json(beside_paper.figure(columns[key], DARK if self.state.dark else LIGHT)))

    def _column(self, columns: Mapping[str, Sequence[Cell]]) -> str:
        """The column chosen, else the first of those with most of ours."""
        if self.state.column in columns:
            return self.state.column
        return max(columns, key=lambda key: sum(cell.mean is not None for cell in columns[key]))

    # The clock

    def tick(self) -> None:
        """Look, off the event loop, whether a file was written or has appeared."""
        if not self._looking:
            self._looking = True
            self.latest.aside(self._look)

    def _look(self) -> None:
        try:
            found = self._files.found()
            path, _ = _file_of(found, self.state.file)
            changed = self._seen is not None and self._seen_now(found, path) != self._seen
        finally:
            self._looking = False
        if changed:
            self.latest.soon(self.refresh)

    def _seen_now(self, found: Mapping[str, Path], path: Path | None) -> Seen:
        """What tells whether there is something new."""
        written = tuple(signature(file) for file in (path, self._files.bench()) if file is not None)
        return tuple(sorted(found)), written

    # Downloads and messages

    def _save(self, kind: str) -> None:
        """A file of the rows shown."""
        sheet = self._sheet
        if sheet is not None:
            name = f"{'' if sheet.own else 'table-'}{sheet.key}.{'csv' if kind == 'CSV' else 'tex'}"
            text = to_csv(sheet.cells) if kind == "CSV" else to_latex(sheet.table, sheet.cells)
            self.table.send(kind, name, text)

    def _save_column(self) -> None:
        """A CSV file of what the figure shows."""
        if self._sheet is not None:
            columns = columns_of(self._sheet)
            key = self._column(columns)
            self.figure.answer(csv=to_csv(columns[key]), file=f"{self._sheet.key}-{key}.csv")

    def _say(self, line: str) -> None:
        self.notice.tell([line])


def columns_of(sheet: Sheet) -> dict[str, list[Cell]]:
    """The cells shown, by column; the key goes into the address."""
    out: dict[str, list[Cell]] = {}
    for cell in sheet.cells:
        out.setdefault(f"{cell.dataset}-d{cell.latent_dim}-{cell.decoder}", []).append(cell)
    return out


def _paragraphs(*texts: str) -> str:
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts if text)


def _file_of(found: Mapping[str, Path], name: str) -> tuple[Path | None, list[str]]:
    """The file of this name; the newest, and why, where there is none of that name."""
    newest = next(iter(found.values()), None)
    if not name or name in found:
        return found.get(name, newest), []
    return newest, [str(unknown("results file", name, found))]


def _answer(found: Mapping[str, Path], choice: Choice, bench: Path | None, complaints: list[str]) -> Answer:
    """The sheet; where something is wrong, what can be shown without it."""
    try:
        stored = read(choice.path)
    except UserError as error:
        complaints, stored = [*complaints, str(error)], Stored()
    try:
        if bench is not None and choice.table in TIME_TABLES:
            stored = replace(stored, times=bench_times(bench))
    except UserError as error:
        complaints = [*complaints, str(error)]
    try:
        sheet = make_sheet(stored, choice)
    except UserError as error:
        complaints = [*complaints, str(error)]
        sheet = make_sheet(stored, Choice(choice.path))
    file = next((name for name, path in found.items() if path == choice.path), "")
    return Answer(sheet, table_options(stored), tuple(found), file, tuple(complaints))
