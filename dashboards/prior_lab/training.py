"""The panel that trains runs with a GP prior, with the terms of the bound as they change."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboards.lab.controls import FIELD, SMALL, Opened
from dashboards.lab.progress import ProgressLine
from dashboards.lab.words import abbreviations
from dashboards.prior_lab.labs import PriorLabs
from dashboards.prior_lab.request import PriorLabRequest
from dashboards.prior_lab.run_panes import terms_alt, terms_sentence
from dashboards.widgets.card import Card, Content, as_json
from gpvae_core.inspection.prior_lab.training_curves import training_curve
from gpvae_core.plots import training_terms
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.progress import Progress

if TYPE_CHECKING:
    from gpvae_core.inspection.prior_lab.lab import ConditionalLab

NONE_YET = (
    "No run here has a GP prior, so there is nothing to ask one. Train a first one on videos of a moving ball, which "
    "takes about a minute, or in a terminal: <code>gpvae train --method svgp:15 --dataset moving-ball</code>"
)
MORE = "A further run on the data of <b>{name}</b>; it is shown beside it once it is trained."


class PriorTraining:
    """Fields, a button, the progress and the curves of a training, which all pages share."""

    def __init__(self, labs: PriorLabs, complain: Callable[[str], None]) -> None:
        self._labs, self._complain = labs, complain
        self._origin: ConditionalLab | None = None
        self._counted: dict[str, str] = {}
        self._rows: list[dict[str, Any]] = []
        self._what = ""
        self._drawn: tuple[int, bool] | None = None
        self._trained = ""
        """Name of the run that was trained from this page, until the page takes it."""
        self._intro = pn.pane.HTML("", margin=(4, 8), sizing_mode="stretch_width", styles={"font-size": "13px"})
        # NOTE: a field that gets its first description after it was drawn breaks the whole page (React error 310).
        about = {"description": "What each name stands for"}
        self.method = pmui.Select(label="Method", options=[], width=170, **about, **FIELD)
        self.points = pmui.IntInput(label="Inducing points m", value=15, start=1, end=2000, width=150, **FIELD)
        self.epochs = pmui.IntInput(label="Epochs", value=60, start=1, end=10_000, width=110, **FIELD)
        self.train = pmui.Button(label="Train", size="small", margin=(8, 6))
        self.train.on_click(lambda _: self.start())
        self.method.param.watch(lambda event: self._show_points(event.new), "value")
        fields = pn.FlexBox(self.method, self.points, self.epochs, self.train, align_items="center")
        self.line = ProgressLine(labs.trainings, cancelled="Cancelled; the same button goes on.")
        self.card = Card({}, view="prior_live", kinds=["PNG", "SVG"], title="Training now")
        self.card.param.update(visible=False, margin=(4, 8), sizing_mode="stretch_width", max_width=660)
        self.fields = pn.Column(self._intro, fields, visible=False, sizing_mode="stretch_width", margin=(0, 8))
        self.panel = pn.Column(self.fields, self.line.panel, self.card, sizing_mode="stretch_width", margin=0)
        self.toggle = pmui.Button(label="Train another", icon="school", **SMALL)
        self.opened = Opened(self.toggle, self.fields)

    def _show_points(self, method: str | None) -> None:
        self.points.visible = bool(self._counted.get(method or ""))

    def offer(self, request: PriorLabRequest | None) -> None:
        """Offer what can be trained on the data of the run shown, or, where there is none, a first run."""
        from gpvae_core.inspection.prior_lab.first_runs import (
            FIRST_EPOCHS,
            FIRST_METHOD,
            FIRST_POINTS,
            conditional_methods,
        )

        self._origin = None if request is None else request.lab
        self.toggle.visible = request is not None
        if request is None:
            self._intro.object, self.fields.visible = NONE_YET, True
        else:
            self._intro.object = MORE.format(name=html.escape(request.lab.name))
        if not self._counted:
            self._counted = conditional_methods()
            self.points.value, self.epochs.value = FIRST_POINTS, FIRST_EPOCHS
            names = list(self._counted)
            self.method.param.update(options=names, value=FIRST_METHOD, description=abbreviations(names))
        self.train.disabled = self._labs.trainings.running

    def start(self) -> None:
        """Start to train the method that is chosen; what does not fit the data is said in the line of the progress."""
        from gpvae_core.inspection.prior_lab.first_runs import planned, run_name, train_run

        method, epochs, origin = str(self.method.value), int(self.epochs.value or 1), self._origin
        root = self._labs.library.root
        if self._counted.get(method):
            method = f"{method}:{self.points.value}"

        def on_epoch(epoch: int, model: object, metrics: dict[str, Any]) -> None:
            self._rows = [*self._rows, metrics]

        def work(progress: Progress) -> None:
            progress(0, 0, f"starting {method}")
            config = planned(origin, method, epochs)
            self._what = name = run_name(root, config)
            told: Progress = lambda done, total, what: progress(done, total, f"training {name}: step")  # noqa: E731
            data = None if origin is None else origin.run.data
            self._trained = train_run(root, config, data, told, on_epoch).name

        if self._labs.trainings.running:
            self._complain("a training is running already: wait for it, or cancel it")
            return
        self._rows, self._drawn = [], None
        self._labs.trainings.begin(f"training {method}", work)
        self.tick(dark=False)

    def take_trained(self) -> str:
        """Return the name of the run that was trained from this page, once; '' for none."""
        trained, self._trained = self._trained, ""
        return trained

    def tick(self, dark: bool) -> bool:
        """Show the progress and the curves; return True once, when a training has ended."""
        ended = self.line.follow()
        self.train.disabled = self._labs.trainings.running
        rows = self._rows
        self.card.visible = bool(rows) and self._labs.trainings.running
        if self.card.visible and self._drawn != (len(rows), dark):
            self._drawn = len(rows), dark
            curves = (training_curve(self._what, rows),)
            figure = training_terms.figure(curves, DARK if dark else LIGHT)
            self.card.show(
                Content(
                    as_json(figure), sub=f"{self._what}, epoch {rows[-1]['epoch']}", sentence=terms_sentence(curves),
                    alt=terms_alt(curves[0]), file="training", stamp=len(rows), dark=dark,
                )
            )  # fmt: skip
        if ended is not None and ended.outcome == "done":
            self.fields.visible = False
        return ended is not None
