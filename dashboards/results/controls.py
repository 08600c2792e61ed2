"""The bar of the Results page, in which table, results file, rows and number of runs are chosen."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from dashboards.lab.controls import BAR, FIELD, Controls
from dashboards.results.request import ResultsRequest
from dashboards.results.state import MAX_RUNS, ResultsState
from dashboards.results.words import PAPER_EPOCHS, counted

LOW_FIELDS = """
.MuiInputLabel-root[data-shrink=false] { transform: translate(14px, 9px) scale(1) !important; }
.MuiSelect-select { min-height: 23px !important; padding-top: 8px !important; padding-bottom: 8px !important; }
.MuiSelect-select .MuiChip-root { height: 22px; }
"""
"""CSS that makes fields with several values as low as the others."""


class ResultsControls(Controls):
    """Widgets that set the page's state and follow it."""

    def __init__(self, state: ResultsState, complain: Callable[[str], None]) -> None:
        super().__init__(state, complain)
        self.table = self.bind(pmui.Select(label="Table", options={}, width=270, **FIELD), "table")
        self.file = self.bind(pmui.Select(label="Results", options={}, width=210, **FIELD), "file")
        self.setup = self.bind(pmui.Select(label="Setup", options={}, width=250, visible=False, **FIELD), "setup")
        self.dims = pmui.MultiChoice(label="d", options=[], width=120, stylesheets=[LOW_FIELDS], margin=(4, 4))
        self.methods = pmui.MultiChoice(label="Methods", options={}, width=260, stylesheets=[LOW_FIELDS], margin=(4, 4))
        self.runs = pmui.IntInput(label="Runs wanted", start=1, end=MAX_RUNS, value=10, width=110, **FIELD)
        self.watch(self.dims, lambda dims: self.set(dims=",".join(map(str, sorted(dims)))))
        self.watch(self.methods, lambda methods: self.set(methods=",".join(methods)))
        self.watch(self.runs, lambda runs: self.set(runs=runs or 0))
        self.bar = pn.FlexBox(self.table, self.file, self.setup, self.dims, self.methods, self.runs, **BAR)

    def offer(self, request: ResultsRequest) -> None:
        """Show the values of the request, and the tables, files, setups and rows that can be chosen."""
        sheet, nothing = request.sheet, {"none": ""}
        setups = {
            f"{s.name}, {counted(s.content['epochs'] or PAPER_EPOCHS, 'epoch')} ({s.setup[:4]})": s.setup
            for s in sheet.setups
        }
        methods = {name: method for method, name in sheet.methods}
        self.update(self.table, options={words: key for key, words in request.tables.items()}, value=sheet.key)
        self.update(self.file, options={name: name for name in request.files} or nothing, value=request.file)
        chosen = sheet.setup.setup if sheet.setup else ""
        self.update(self.setup, options=setups or nothing, value=chosen, visible=len(setups) > 1)
        dims = [d for d in request.dims if d in sheet.dims]
        self.update(self.dims, options=list(sheet.dims), value=dims, label="d" if dims else "d: all")
        some = [m for m in request.methods if m in methods.values()]
        label = "Methods" if some else f"Methods: all {len(methods)}"
        self.update(self.methods, options=methods, value=some, label=label)
        self.update(self.runs, value=sheet.runs, visible=sheet.of_scores)
