"""The GP-Prior Lab: what a GP prior says of images that were not seen, how surely, and how it was trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import panel as pn

from dashboards.lab.looks import WIDE, card_grid
from dashboards.lab.page import Page
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.prior_lab import (
    behind_panes,
    compared_panes,
    grid_panes,
    instance_panes,
    kept_panes,
    run_panes,
    series_panes,
    turn_panes,
)
from dashboards.prior_lab.controls import PriorLabControls
from dashboards.prior_lab.labs import PriorLabs
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest, resolve
from dashboards.prior_lab.state import PriorLabState
from dashboards.prior_lab.training import PriorTraining
from dashboards.widgets.video import VideoPlayer

WHOLE_ROW = ":host { grid-column: 1 / -1; }"
QUESTION = "h2 { margin: 8px 0 0 0; font-size: 16px; font-weight: 600; line-height: 1.3; }"
SECTIONS: tuple[tuple[str, tuple[PriorLabPane, ...]], ...] = (
    (
        "What is predicted, how surely, and on what does it rest?",
        (
            *series_panes.PANES,
            *turn_panes.PANES,
            *grid_panes.PANES,
            *behind_panes.PANES,
            *instance_panes.PANES,
        ),
    ),
    ("How was it trained, and what has it learned?", (*run_panes.PANES, *kept_panes.PANES)),
    ("Which model predicts best, and at what cost?", compared_panes.PANES),
)
"""The questions that the page answers, each with its cards."""
NO_VIEW = (
    "This run depends on neither a number nor two categories: there is no series to play and nothing to turn. "
    "Below: its training, its latents, and the runs on the same data."
)


class PriorLabPage(Page[PriorLabRequest]):
    """One browser tab of the GP-Prior Lab."""

    path = "/gp-prior-lab"
    title = "GP-Prior Lab"
    state_type = PriorLabState
    line_style: ClassVar[str] = ".summary { font-size: 14px; line-height: 1.45; }"

    def make_panes(self) -> Sequence[PriorLabPane]:
        return tuple(pane for _, panes in SECTIONS for pane in panes)

    def layout(self) -> Sequence[pn.viewable.Viewable]:
        self.labs = self.library.shared(PriorLabs)
        self.controls = PriorLabControls(self.state, self.notice.show, self.labs)
        self.training = PriorTraining(self.labs, self.notice.show)
        self.player = VideoPlayer({}, dark=self.state.param.dark, visible=False, margin=0)
        self._playing: tuple[object, ...] = ()
        self.line.min_height = 44
        self.show_line("Loading the runs…")
        self.controls.bar.append(self.training.toggle)
        self.session.cards[grid_panes.PairGrid.name].stylesheets = [WHOLE_ROW]
        # NOTE: what is shown and hidden must not have a display of its own, as the grid has.
        self.cards = pn.Column(card_grid(*self._parts()), visible=False, margin=0, **WIDE)
        self.asked = pn.Column(self.controls.bar, visible=False, **WIDE)
        return self.asked, self.about.panel, self.training.panel, self.line, self.cards

    def _parts(self) -> Iterator[pn.viewable.Viewable]:
        """Yield the cards below their questions; the film of a series is the first."""
        self.questions = [
            pn.pane.HTML(f"<h2>{question}</h2>", stylesheets=[WHOLE_ROW, QUESTION], margin=0, visible=False)
            for question, _ in SECTIONS
        ]
        for heading, (_, panes) in zip(self.questions, SECTIONS, strict=True):
            yield heading
            if panes is SECTIONS[0][1]:
                yield self.player
            yield from (self.session.cards[pane.name] for pane in panes)

    # What a request shows

    def resolve(self, values: Values) -> Resolved[PriorLabRequest] | None:
        return resolve(self.labs, values, frozenset(self.asked_for))

    def line_of(self, request: PriorLabRequest) -> str | None:
        """Return in a sentence how well what was not seen is predicted."""
        if request.series:
            return series_panes.summary(request.series_views())
        if request.turns:
            return turn_panes.summary(request.turn_views())
        if request.grid is not None:
            return grid_panes.summary(grid_panes.grid_view(request))
        return NO_VIEW

    def runs_of(self, request: PriorLabRequest) -> Sequence[str]:
        return tuple(lab.name for lab in request.both)

    def offer(self, request: PriorLabRequest) -> None:
        self.controls.offer(request)
        self.training.offer(request)
        self.player.visible = bool(request.series)
        self.player.busy = self.player.visible
        for heading, (_, panes) in zip(self.questions, SECTIONS, strict=True):
            heading.visible = any(pane.shown(request) for pane in panes)

    def withdraw(self) -> None:
        self.player.param.update(film="", busy=False)

    def beside(self, pane: Pane[PriorLabRequest], aside: str) -> None:
        """Play the film of the series whose path is drawn; another choice about it leaves the instant as it is."""
        if pane.name != series_panes.PathOverTime.name or self.session.request is None:
            return
        request = self.session.request
        before, self._playing = self._playing, (request.lab.run.meta.data_fingerprint, request.item)
        self.player.stays = before == self._playing  # NOTE: a message of its own, before the one that loads the film
        self.player.param.update(film=aside, busy=False)

    # What the user does

    def pick(self, index: int) -> None:
        """Choose a pair of the grid."""
        self.state.pair = index + 1

    def step(self, by: int) -> None:
        self.controls.step(by)

    def escape(self) -> None:
        self.training.opened.close()

    # Which runs there are

    def start(self) -> None:
        self.runs_changed()

    def watch(self) -> None:
        """Show the progress of a training that was started here."""
        if self.training.tick(self.state.dark):
            self.runs_changed()

    def runs_changed(self) -> None:
        """Look for runs, in a thread, then show one, or offer to train the first."""
        finished_only = self.labs.trainings.running or self.first.running
        self.session.latest.aside(lambda: self.library.look(finished_only), self._show_runs)

    def weights_changed(self) -> None:
        self.runs_changed()

    def _show_runs(self, damaged: Sequence[str]) -> None:
        self.notice.add(*damaged)
        names = self.labs.names()
        self.asked.visible = self.cards.visible = bool(names)
        if not names:
            if self.state.run:
                self.notice.add(f"there is no run '{self.state.run}' on images given their columns here")
            self.show_line("")
            self.training.offer(None)
            return
        if (trained := self.training.take_trained()) in names:
            shown = self.state.run if self.state.run in names else ""
            beside = bool(shown) and trained in self.labs.mates(shown)
            with self.own_choice():
                self.state.param.update(**({"other": trained} if beside else {"run": trained, "other": ""}))
        self.session.start()
