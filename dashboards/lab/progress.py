"""A line with the progress of a job and a button that cancels it."""

from __future__ import annotations

import html

import panel as pn
import panel_material_ui as pmui

from dashboards.lab.jobs import JobSlot, Report

BUTTON = {"size": "small", "margin": (4, 8)}


class ProgressLine:
    """A bar, words and a button to cancel, for the job of a slot; hidden where there is no job."""

    def __init__(self, slot: JobSlot, about: str = "", cancelled: str = "") -> None:
        self._slot, self._about, self._cancelled = slot, about, cancelled
        self._ended = slot.number - slot.running
        self.bar = pmui.LinearProgress(value=0, variant="determinate", width=240, margin=(14, 8))
        self.words = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 8))
        self.cancel = pmui.Button(label="Cancel", variant="outlined", **BUTTON)
        self.cancel.on_click(lambda _: self._stop())
        parts = (self.bar, self.words, self.cancel)
        self.panel = pn.Row(*parts, visible=False, align="center", sizing_mode="stretch_width")

    def _stop(self) -> None:
        """Cancel the job, and say so at once: it may take a while until its state is saved."""
        self._slot.cancel()
        self.follow()

    def follow(self) -> Report | None:
        """Show the job's progress; return its report once, when it has ended."""
        if self._ended == self._slot.number:
            return None
        report = self._slot.report()
        if report.running:
            words = self._about + report.words
        elif report.outcome == "done":
            words = ""
        else:
            words = (report.outcome == "cancelled" and self._cancelled) or report.words
        self.words.object = f'<span role="status" class="progress-words">{html.escape(words)}</span>'
        self.bar.param.update(value=round(100 * report.share), visible=report.running)
        self.cancel.param.update(visible=report.running, disabled=report.outcome == "stopping")
        self.panel.visible = bool(words)
        if report.running:
            return None
        self._ended = self._slot.number
        return report
