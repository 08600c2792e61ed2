"""The bar on which table, results file, rows and runs wanted are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import panel as pn
import panel_material_ui as pmui

from dashboards.results.sheet import Sheet
from dashboards.results.state import MAX_RUNS, ResultsState
from dashboards.results.words import PAPER_EPOCHS
from gpvae_core.sweep.results import Setup

LOW = """
.MuiInputLabel-root[data-shrink=false] { transform: translate(14px, 9px) scale(1) !important; }
.MuiSelect-select { min-height: 23px !important; padding-top: 8px !important; padding-bottom: 8px !important; }
.MuiSelect-select .MuiChip-root { height: 22px; }
"""
"""Of fields with several values: as low as the others."""
FIELD = {"size": "small", "margin": (4, 4)}


class Controls:
    """Widgets bound both ways to the page's state."""

    def __init__(self, state: ResultsState) -> None:
        self._state, self._binding = state, False
        self.table = pmui.Select(label="Table", options={}, width=270, **FIELD)
        self.file = pmui.Select(label="Results", options={}, width=210, **FIELD)
        self.setup = pmui.Select(label="Setup", options={}, width=250, visible=False, **FIELD)
        self.dims = pmui.MultiChoice(label="d", options=[], width=120, stylesheets=[LOW], margin=(4, 4))
        self.methods = pmui.MultiChoice(label="Methods", options={}, width=260, stylesheets=[LOW], margin=(4, 4))
        self.runs = pmui.IntInput(label="Runs wanted", start=1, end=MAX_RUNS, value=10, width=110, **FIELD)
        for widget, name in ((self.table, "table"), (self.file, "file"), (self.setup, "setup")):
            widget.param.watch(lambda e, name=name: self._set(**{name: e.new or ""}), "value")
        self.dims.param.watch(lambda e: self._set(dims=",".join(map(str, sorted(e.new)))), "value")
        self.methods.param.watch(lambda e: self._set(methods=",".join(e.new)), "value")
        self.runs.param.watch(lambda e: self._set(runs=e.new or 0), "value")
        self.bar = pn.FlexBox(
            self.table, self.file, self.setup, self.dims, self.methods, self.runs,
            align_items="center", gap="2px", sizing_mode="stretch_width", margin=(6, 8, 0, 8),
        )  # fmt: skip

    def _set(self, **values: Any) -> None:
        if not self._binding:
            self._state.param.update(**values)

    def offer(self, sheet: Sheet, tables: Mapping[str, str], files: Mapping[str, str], file: str) -> None:
        """What there is to choose, and what is chosen. `tables`: key -> words; `files`: name -> words."""
        setups = {f"{s.name}, {_epochs(s)} ({s.setup[:4]})": s.setup for s in sheet.setups}
        methods = {name: method for method, name in sheet.methods}
        self._binding = True
        try:
            self.table.param.update(options={words: key for key, words in tables.items()}, value=sheet.key)
            self.file.param.update(options={words: name for name, words in files.items()} or {"none": ""}, value=file)
            self.setup.param.update(
                options=setups or {"none": ""},
                value=sheet.setup.setup if sheet.setup else "",
                visible=len(setups) > 1,
            )
            dims = [d for d in self._state.chosen_dims if d in sheet.dims]
            self.dims.param.update(options=list(sheet.dims), value=dims, label="d" if dims else "d: all")
            chosen = [m for m in self._state.chosen_methods if m in methods.values()]
            label = "Methods" if chosen else f"Methods: all {len(methods)}"
            self.methods.param.update(options=methods, value=chosen, label=label)
            self.runs.param.update(value=sheet.runs, visible=sheet.of_scores)
        finally:
            self._binding = False


def _epochs(setup: Setup) -> str:
    count = setup.content["epochs"] or PAPER_EPOCHS
    return f"{count} epoch{'' if count == 1 else 's'}"
