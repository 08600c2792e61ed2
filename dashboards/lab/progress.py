"""A line that shows how far a job is, with a button that stops it."""

from __future__ import annotations

import html
from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from dashboards.lab.jobs import Report

BUTTON = {"size": "small", "margin": (4, 8)}


class ProgressLine:
    """A bar, words, a button to cancel and one to start again; hidden while there are no words."""

    def __init__(self, cancel: Callable[[], None], again: Callable[[], None] = lambda: None) -> None:
        self.bar = pmui.LinearProgress(value=0, variant="determinate", width=240, margin=(14, 8))
        self.words = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 8))
        self.cancel = pmui.Button(label="Cancel", variant="outlined", **BUTTON)
        self.again = pmui.Button(label="Train", visible=False, **BUTTON)
        self.cancel.on_click(lambda _: cancel())
        self.again.on_click(lambda _: again())
        self.panel = pn.Row(
            self.bar, self.words, self.cancel, self.again, visible=False, align="center", sizing_mode="stretch_width"
        )

    def show(self, report: Report, words: str, again: bool = False) -> None:
        """Show where the job stands; `again` offers to start it once more."""
        self.words.object = f'<span role="status" class="progress-words">{html.escape(words)}</span>'
        self.bar.param.update(value=round(100 * report.share), visible=report.running)
        self.cancel.visible, self.again.visible = report.running, again
        self.panel.visible = bool(words)
