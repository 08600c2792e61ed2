"""Train more on a decoder: what to train, how far it is, and what to do where there is nothing to compare yet."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import panel as pn
import panel_material_ui as pmui

from dashboards.gap_lab.labs import Trainings
from dashboards.gap_lab.panes import EpochGaps, SizeGaps
from dashboards.gap_lab.request import GapLabRequest
from dashboards.lab.controls import FIELD, SMALL
from dashboards.lab.progress import ProgressLine
from gpvae_core.errors import UserError

if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.teaching import PlannedTraining

ALONE = (
    "Only <b>{name}</b> uses this decoder, so there is nothing to compare yet. Train the families of posteriors on it, "
    "each for some seconds on the digits: the decoder stays as it is, only the encoders learn."
)
MORE = "Encoders trained here keep the decoder of <b>{name}</b> and appear as methods by themselves."


class TrainingPanel:
    """Choices, buttons and progress. All pages share one training at a time."""

    def __init__(self, trainings: Trainings, complain: Callable[[str], None]) -> None:
        self._trainings, self._complain = trainings, complain
        self._request: GapLabRequest | None = None
        self._numbers: Mapping[str, bool] = {}
        self._intro = pn.pane.HTML("", margin=(4, 8), sizing_mode="stretch_width", styles={"font-size": "13px"})
        self.set = pmui.MultiChoice(label="Families to train", options=[], width=520, margin=(4, 4))
        self.train_set = pmui.Button(label="Train the teaching set", size="small", margin=(8, 6))
        self.method = pmui.Select(label="Or one method", options=[], width=170, **FIELD)
        self.number = pmui.IntInput(label="Number", value=4, start=1, end=64, width=90, **FIELD)
        self.epochs = pmui.IntInput(label="Epochs", value=80, start=1, end=10_000, width=100, **FIELD)
        self.train_one = pmui.Button(label="Train", size="small", variant="outlined", margin=(8, 6))
        self.train_set.on_click(lambda _: self.start("the teaching set"))
        self.train_one.on_click(lambda _: self.start(self._one()))
        self.method.param.watch(lambda e: setattr(self.number, "visible", self._numbers.get(e.new, False)), "value")
        first = pn.FlexBox(self.set, self.train_set, align_items="center")
        second = pn.FlexBox(self.method, self.number, self.epochs, self.train_one, align_items="center")
        self.panel = pn.Column(self._intro, first, second, visible=False, sizing_mode="stretch_width", margin=(0, 8))
        self.toggle = pmui.Button(label="Train more on this decoder", icon="school", **SMALL)
        self.toggle.on_click(lambda _: setattr(self.panel, "visible", not self.panel.visible))
        self.line = ProgressLine(trainings, cancelled="Cancelled; the same button goes on.")

    def _one(self) -> str:
        method = str(self.method.value)
        return f"{method}:{self.number.value}" if self._numbers.get(method) else method

    def offer(self, request: GapLabRequest) -> None:
        """Offer what can be trained on the chosen decoder; open where it has one run alone."""
        before, self._request = self._request, request
        alone, trainable = len(request.lab.runs) == 1, request.trainable
        if before is not None and before.lab.decoder == request.lab.decoder:
            return
        self._intro.object = (ALONE if alone else MORE).format(name=html.escape(request.lab.decoder.name))
        self.panel.visible = alone
        self.epochs.value, self._numbers = trainable.epochs, trainable.numbered
        self.set.param.update(options=list(trainable.families), value=list(trainable.families))
        self.method.param.update(options=list(self._numbers), value=next(iter(self._numbers), None))

    def start(self, what: str) -> None:
        """Train the teaching set, a series that a card asks for, or one method."""
        if self._request is None:
            return
        run, families, epochs = self._request.lab.origin, [str(name) for name in self.set.value], self.epochs.value

        def plan() -> list[PlannedTraining]:
            from gpvae_core.inspection.gap_lab import teaching

            series: dict[str, Callable[[], list[PlannedTraining]]] = {
                "the teaching set": lambda: [teaching.planned(run, name) for name in families],
                SizeGaps.name: lambda: teaching.size_set(run),
                EpochGaps.name: lambda: [teaching.epoch_run(run)],
            }
            return series[what]() if what in series else [teaching.planned(run, what, epochs)]

        try:
            self._trainings.start(what.removeprefix("lab_"), plan, run)
        except UserError as error:
            self._complain(str(error))
        self.tick()

    def tick(self) -> bool:
        """Show how far it is; return True once, when a training has ended."""
        ended = self.line.follow()
        for button in (self.train_set, self.train_one):
            button.disabled = self._trainings.running
        if ended is not None and ended.outcome == "done":
            self.panel.visible = False
        return ended is not None
