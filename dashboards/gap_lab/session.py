"""One page of the Gap Lab: from its state to its cards."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bokeh.document import Document

from dashboards.background import Background
from dashboards.gap_lab.choice import resolve
from dashboards.gap_lab.labs import Labs
from dashboards.gap_lab.panes import OF, Bound, Choice, Contours, Epochs, Gaps, Pane, Sizes, Times
from dashboards.gap_lab.pictures import pictures
from dashboards.gap_lab.player import Player
from dashboards.gap_lab.state import LabState
from dashboards.latest import Latest
from dashboards.request import Drawn
from dashboards.welcome import progress_words
from dashboards.widgets.card import Card, Content, Select
from gpvae_core.errors import UserError
from gpvae_core.plots import svi_path
from gpvae_core.plots.theme import DARK

log = logging.getLogger(__name__)
UNBOUND = {"max-height": "none"}
COMING = "Being computed: the true posterior of this image and the best Gaussians for it. This fills by itself."


@dataclass
class Shown:
    """What a card holds: the view that was computed, and for what."""

    view: Any = None
    pane: Pane | None = None


class LabSession:
    """Computes what the state asks for; `offer` is told, with the document's lock, what there is to choose from."""

    def __init__(
        self,
        labs: Labs,
        state: LabState,
        document: Document | None,
        say: Callable[[str], None],
        add: Callable[[str], None],
        show_pictures: Callable[[str], None],
        offer: Callable[[Choice], None],
        train: Callable[[str], None],
    ) -> None:
        self.labs, self.state = labs, state
        self._say, self._add, self._show_pictures, self._offer = say, add, show_pictures, offer
        self.latest = Latest(document, say)
        self._train = train
        self.fast: tuple[Pane, ...] = (Contours(), Gaps("image"))
        self.slow: tuple[Pane, ...] = (Gaps("sample"), Times(), Sizes(), Epochs())
        self._background = {(pane.name, k): Background(pane.title) for k, pane in enumerate(self.slow)}
        panes: tuple[Pane, ...] = (Gaps("image"), Contours(), Bound(), Times(), Epochs(), Sizes())
        self.cards = {pane.name: self._card(pane) for pane in panes}
        self._shown = {name: Shown() for name in self.cards}
        self._said: dict[str, object] = {}
        self.player = Player(self._svi_chosen, sizing_mode="stretch_width", margin=0)
        self._contents: dict[str, Content] = {}
        self.choice: Choice | None = None
        self._settling, self._started, self._again, self._stamp = False, False, 0, 0
        watched = ["decoder", "index", "chosen", "of", "start", "step_size", "momentum", "covariance", "quantity"]
        state.param.watch(lambda *_: self._chosen(), [*watched, "epochs_of", "dark"])

    def _card(self, pane: Pane) -> Card:
        handlers = {
            "csv": lambda _, name=pane.name: self._export(name),
            "select": lambda choice: self._select(*choice),
            "action": lambda action, name=pane.name: self._act(name, str(action)),
        }
        return Card(handlers, view=pane.name, title=pane.title, margin=0, sizing_mode="stretch_width", styles=UNBOUND)

    # From the person

    def _chosen(self) -> None:
        if not self._settling:
            self._say("")
            self.refresh()

    def _select(self, name: str, value: str) -> None:
        try:
            self.state.param.update(**{name: value})
        except (ValueError, KeyError) as error:
            self._say(str(error))

    def _svi_chosen(self, values: dict[str, Any]) -> None:
        try:
            self.state.param.update(**values)
        except ValueError as error:
            self._say(str(error))

    def _act(self, name: str, action: str) -> None:
        if action == "cancel":
            for (pane, _), background in self._background.items():
                if pane == name:
                    background.cancel()
        elif action == "again":
            self._again += 1
            for (pane, _), background in self._background.items():
                if pane == name:
                    background.forget()
            self.refresh()
        else:
            self._train(action)

    def _export(self, name: str) -> None:
        shown = self._shown[name]
        if shown.pane is not None:
            self.cards[name].answer(csv=shown.pane.csv(shown.view), file=f"{name}.csv")

    # From choice to cards

    def start(self) -> None:
        """The runs are known; until now nothing could be computed."""
        self._started = True
        self.refresh()

    def refresh(self) -> None:
        """Compute and show what the state asks for."""
        if not (self._started and self.state.decoder):
            return
        values = self.state.param.values()
        self.latest.ask(lambda generation: self._answer(values, generation))

    def _answer(self, values: dict[str, Any], generation: int) -> None:
        try:
            choice, fixed, complaints = resolve(self.labs, values, self._again)
        except UserError as error:
            for name in self.cards:
                self.latest.push(generation, partial(self._message, name, str(error)))
            raise
        self.latest.push(generation, partial(self._begin, choice, fixed, complaints))
        self.latest.push(generation, partial(self._show_pictures, pictures(choice)))
        for pane in self.fast:
            if self.latest.current(generation) and pane.key(choice) is not None:
                self._compute(pane, choice, generation)
        if self.latest.current(generation):
            self._compute_film(choice, generation)

    def _begin(self, choice: Choice, fixed: dict[str, Any], complaints: list[str]) -> None:
        """Tell the page what holds; what was wrong is corrected without being a choice."""
        self._settling = True
        try:
            self.state.param.update(**fixed)
        finally:
            self._settling = False
        for complaint in complaints:
            self._add(complaint)
        self.choice = choice
        self._offer(choice)
        chosen = {
            "start": choice.start, "step_size": choice.svi.step_size, "momentum": choice.svi.momentum,
            "covariance": choice.svi.covariance,
        }  # fmt: skip
        starts = [[name, choice.styles[name].label] for name in choice.lab.runs]
        self.player.param.update(settings={"starts": starts, "chosen": chosen}, dark=choice.theme is DARK, busy=True)
        for pane in (*self.fast, Bound()):
            if pane.key(choice) is not None:
                self._busy(pane.name)
        self._want(choice)

    def _busy(self, name: str) -> None:
        """What is shown stays until what comes is there."""
        known = self._contents.get(name)
        content = replace(known, busy=True) if known else Content(message=COMING, visible=False, busy=True)
        self.cards[name].show(replace(content, dark=self.state.dark, stamp=self._next()))

    def _compute(self, pane: Pane, choice: Choice, generation: int) -> None:
        try:
            view = pane.compute(choice, lambda done, total, what: None)
            drawn = pane.draw(view, choice)
        except UserError as error:
            self.latest.push(generation, partial(self._message, pane.name, str(error)))
            return
        self.latest.push(generation, partial(self._put, pane, view, drawn))

    def _compute_film(self, choice: Choice, generation: int) -> None:
        pane = Bound()
        try:
            view = pane.compute(choice, lambda done, total, what: None)
            drawn, frames = pane.draw(view, choice), json.dumps(svi_path.frames(view, choice.theme))
        except UserError as error:
            self.latest.push(generation, partial(self._message, pane.name, str(error)))
            self.latest.push(generation, partial(self._play, ""))
            return
        self.latest.push(generation, partial(self._put, pane, view, drawn))
        self.latest.push(generation, partial(self._play, frames))

    def _play(self, frames: str) -> None:
        self.player.param.update(frames=frames, busy=False)

    # What takes longer

    def _want(self, choice: Choice) -> None:
        for k, pane in enumerate(self.slow):
            background, key = self._background[(pane.name, k)], pane.key(choice)
            background.want(key, partial(pane.compute, choice))
        self._said.clear()
        self.tick()

    def tick(self) -> None:
        """Bring the cards of background work up to date."""
        choice = self.choice
        if choice is None:
            return
        for k, pane in enumerate(self.slow):
            report = self._background[(pane.name, k)].report()
            if report is None:
                if pane.name in (Epochs.name, Sizes.name):
                    self._offer_training(pane)
                elif pane.name == Times.name:
                    self._once(pane.name, "none", Content(message="Choose a method above.", visible=False))
                continue
            result = self._background[(pane.name, k)].result
            if report.outcome == "done" and result is not None:
                if self._said.get(pane.name) != "done":
                    self._said[pane.name] = "done"
                    self._put(pane, result, pane.draw(result, choice))
            elif report.running:
                content = Content(message=progress_words(report), visible=False, busy=True)
                self._once(pane.name, report, content, (("cancel", "Cancel"),))
            else:
                words = "Cancelled." if report.outcome == "cancelled" else report.error
                self._once(pane.name, report, Content(message=words, visible=False), (("again", "Try again"),))

    def _offer_training(self, pane: Pane) -> None:
        assert isinstance(pane, Epochs | Sizes)
        content = Content(message=pane.missing, visible=False)
        self._once(pane.name, "none", content, ((pane.name, "Train this series"),))

    def _once(self, name: str, what: object, content: Content, actions: tuple[tuple[str, str], ...] = ()) -> None:
        """Show it unless it is there already."""
        if self._said.get(name) == what:
            return
        self._said[name] = what
        selects = (Select("of", "of", OF, self.state.of),) if name == Gaps.name else ()
        self.cards[name].show(
            Content(
                message=content.message, visible=content.visible, busy=content.busy, actions=actions,
                dark=self.state.dark, stamp=self._next(), selects=selects,
            )
        )  # fmt: skip

    # The cards

    def _next(self) -> int:
        self._stamp += 1
        return self._stamp

    def _message(self, name: str, text: str) -> None:
        self._contents.pop(name, None)
        self.cards[name].show(Content(message=text, visible=False, dark=self.state.dark, stamp=self._next()))

    def _put(self, pane: Pane, view: Any, drawn: Drawn) -> None:
        self._shown[pane.name] = Shown(view, pane)
        content = Content(
            sub=drawn.sub, sentence=drawn.sentence, alt=drawn.alt, dark=self.state.dark, file=pane.name,
            stamp=self._next(), selects=drawn.selects, actions=drawn.actions,
        )  # fmt: skip
        self._contents[pane.name] = content
        self.cards[pane.name].show(content, drawn.figure)
