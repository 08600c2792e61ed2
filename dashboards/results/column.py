"""The figure of the Results page: means and deviations of one column of the table."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.lab.pane import Pane
from dashboards.results import words
from dashboards.results.request import ResultsRequest
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.plots import beside_paper
from gpvae_core.progress import Progress
from gpvae_core.tables.compare import Cell
from gpvae_core.tables.export import to_csv


class ColumnPane(Pane[ResultsRequest]):
    """Ours beside the paper's, method by method."""

    name = "beside_paper"
    title = "Means and deviations"
    to_csv = staticmethod(to_csv)

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

    def file(self, request: ResultsRequest) -> str:
        return f"{request.sheet.key}-{request.column}"
