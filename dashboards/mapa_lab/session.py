"""One page of the MAPA Lab: from its state to its cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from bokeh.document import Document

from dashboards.background import Background
from dashboards.latest import Latest
from dashboards.mapa_lab import curves, images, points
from dashboards.mapa_lab.choice import Wanted, resolve
from dashboards.mapa_lab.labs import MapaLabs
from dashboards.mapa_lab.pane import Pane
from dashboards.mapa_lab.state import TABS, MapaState
from dashboards.request import Drawn
from dashboards.welcome import progress_words
from dashboards.widgets.card import Card, Content
from gpvae_core.errors import UserError
from gpvae_core.progress import silent

UNBOUND = {"max-height": "none"}
COMING = "Being computed."
NOTHING = "Nothing to show: see the line above."
SELECTS = ("colour", "example", "coordinate", "also", "what", "learned")
"""Choices made in a card's heading."""


class MapaSession:
    """Computes what the state asks for. `offer` is told, with the document's lock, what there is to choose from;
    `judge` the line in words of the tab; `train` what a card's button asks for."""

    def __init__(
        self,
        labs: MapaLabs,
        state: MapaState,
        document: Document | None,
        say: Callable[[str], None],
        add: Callable[[str], None],
        offer: Callable[[Wanted], None],
        judge: Callable[[str], None],
        train: Callable[[], None],
    ) -> None:
        self.labs, self.state = labs, state
        self._say, self._add, self._offer, self._judge, self._train = say, add, offer, judge, train
        self.latest = Latest(document, say)
        self.panes: tuple[Pane, ...] = (*points.PANES, *curves.PANES, *images.PANES)
        self.cards = {pane.name: self._card(pane) for pane in self.panes}
        self._background = {pane.name: Background(pane.title) for pane in self.panes if pane.slow}
        self._contents: dict[str, Content] = {}
        self._shown: dict[str, tuple[Pane, Any]] = {}
        self._said: dict[str, object] = {}
        self.wanted: Wanted | None = None
        self._settling, self._started, self._stamp, self._generation = False, False, 0, 0
        state.param.watch(lambda *_: self._chosen(), [name for name in state.param if name != "name"])

    def _card(self, pane: Pane) -> Card:
        handlers = {
            "pick": lambda index: self._picked(int(index)),
            "csv": lambda _, name=pane.name: self._export(name),
            "select": lambda choice: self._select(*choice),
            "action": lambda action, name=pane.name: self._act(name, str(action)),
        }
        return Card(handlers, view=pane.name, title=pane.title, margin=0, styles=UNBOUND)

    # From the person

    def _chosen(self) -> None:
        if not self._settling:
            self._say("")
            self.refresh()

    def _picked(self, index: int) -> None:
        if index >= 0:
            self.state.pick(index)

    def _select(self, name: str, value: str) -> None:
        if name not in SELECTS:
            return
        try:
            self.state.param.update(**({"noise": 0.0} if name == "example" else {}), **{name: value})
        except ValueError as error:
            self._say(str(error))

    def _act(self, name: str, action: str) -> None:
        if action == "cancel":
            self._background[name].cancel()
        elif action == "again":
            self._background[name].forget()
            self.refresh()
        elif action == "train":
            self._train()
        elif action == "circle":  # a set with two known decoders
            self.state.param.update(dataset=action, index=0, place="")

    def _export(self, name: str) -> None:
        if name in self._shown:
            pane, view = self._shown[name]
            self.cards[name].answer(csv=pane.csv(view), file=f"{name}.csv")

    # From choice to cards

    def start(self) -> None:
        """The browser is there."""
        self._started = True
        for pane in self._of(self.state.tab):
            self._show(pane.name, Content(message="Opening the data…", visible=False, busy=True))
        self.refresh()

    def _of(self, tab: str) -> list[Pane]:
        return [pane for pane in self.panes if pane.tab == tab]

    def refresh(self) -> None:
        """Compute and show what the state asks for."""
        if self._started:
            values = self.state.param.values()
            self.latest.ask(lambda generation: self._answer(values, generation))

    def _answer(self, values: dict[str, Any], generation: int) -> None:
        try:
            wanted, fixed, complaints = resolve(self.labs, values)
        except Exception as error:
            self.latest.push(generation, partial(self._refuse, values["tab"], str(error)))
            raise
        self.latest.push(generation, partial(self._begin, wanted, fixed, complaints, generation))
        if wanted.refused:
            self.latest.push(generation, partial(self._refuse, wanted.tab, wanted.refused))
            return
        for pane in self._of(wanted.tab):
            if not self.latest.current(generation):
                return
            if not pane.slow:
                self._compute(pane, wanted, generation)

    def _compute(self, pane: Pane, wanted: Wanted, generation: int) -> None:
        try:
            self._draw(pane, pane.compute(wanted, silent), wanted, generation)
        except UserError as error:
            self.latest.push(generation, partial(self._message, pane.name, str(error)))
        except Exception:
            self.latest.push(generation, partial(self._message, pane.name, "This could not be computed."))
            raise

    def _draw(self, pane: Pane, view: Any, wanted: Wanted, generation: int) -> None:
        """In a thread: a figure takes longer than the event loop should stand still."""
        drawn, verdict = pane.draw(view, wanted), pane.verdict(view, wanted)
        self.latest.push(generation, partial(self._put, pane, view, drawn, verdict))

    def _begin(self, wanted: Wanted, fixed: dict[str, Any], complaints: list[str], generation: int) -> None:
        """Tell the page what holds; what was wrong is corrected without being a choice."""
        self._settling = True
        try:
            self.state.param.update(**fixed)
        finally:
            self._settling = False
        for complaint in complaints:
            self._add(complaint)
        if self.wanted is not None and self.wanted.tab != wanted.tab:
            self._judge("")
        self.wanted, self._generation = None if wanted.refused else wanted, generation
        self._offer(wanted)
        self._said.clear()
        for pane in self.panes:
            if pane.tab != wanted.tab or wanted.refused:
                self._leave(pane)
            elif pane.slow:
                self._background[pane.name].want(pane.key(wanted), partial(pane.compute, wanted))
            else:
                self._busy(pane.name)
        self.tick()

    def _leave(self, pane: Pane) -> None:
        """Nobody looks at it any more: what is still being computed for it ends."""
        background = self._background.get(pane.name)
        report = background.report() if background is not None else None
        if background is not None and report is not None and report.running:
            background.forget()

    def _busy(self, name: str) -> None:
        """What is shown stays until what comes is there."""
        known = self._contents.get(name)
        self._show(name, replace(known, busy=True) if known else Content(message=COMING, visible=False, busy=True))

    def _refuse(self, tab: str, why: str) -> None:
        """Nothing can be shown: the notice says why."""
        self._add(why)
        self._judge("")
        for pane in self._of(tab):
            self._message(pane.name, NOTHING)

    # What takes longer

    def tick(self) -> None:
        """Bring the cards of background work up to date."""
        wanted = self.wanted
        if wanted is None or wanted.tab not in TABS:
            return
        for pane in self._of(wanted.tab):
            if pane.slow:
                self._look(pane, wanted)

    def _look(self, pane: Pane, wanted: Wanted) -> None:
        background = self._background[pane.name]
        report, result = background.report(), background.result
        if report is None:
            if self._once(pane.name, "missing"):
                self._put_words(pane.name, pane.missing(wanted))
        elif report.outcome == "done" and result is not None:
            if self._once(pane.name, "done"):
                draw = partial(self._draw, pane, result, wanted)
                self.latest.afterwards(draw, self._generation)
        elif report.running:
            if self._once(pane.name, report):
                words = progress_words(report)
                known = self._contents.get(pane.name, Content(visible=False))
                actions = (("cancel", "Cancel"),)
                self._show(pane.name, replace(known, message=words, busy=True, actions=actions))
        elif self._once(pane.name, report):
            words = "Cancelled." if report.outcome == "cancelled" else report.error
            self._message(pane.name, words, (("again", "Try again"),))

    def _once(self, name: str, what: object) -> bool:
        """True unless it is there already."""
        if self._said.get(name) == what:
            return False
        self._said[name] = what
        return True

    # The cards

    def _show(self, name: str, content: Content, figure: str | None = None) -> None:
        self._stamp += 1
        self.cards[name].show(replace(content, dark=self.state.dark, stamp=self._stamp), figure)

    def _message(self, name: str, text: str, actions: tuple[tuple[str, str], ...] = ()) -> None:
        self._contents.pop(name, None)
        self._show(name, Content(message=text, visible=False, actions=actions))

    def _put_words(self, name: str, drawn: Drawn) -> None:
        self._message(name, drawn.message, drawn.actions)

    def _put(self, pane: Pane, view: Any, drawn: Drawn, verdict: str) -> None:
        if verdict:
            self._judge(verdict)
        if not drawn.figure:
            self._put_words(pane.name, drawn)
            return
        self._shown[pane.name] = (pane, view)
        content = Content(
            sub=drawn.sub, sentence=drawn.sentence, alt=drawn.alt, file=pane.name, selects=drawn.selects,
            actions=drawn.actions, picks=drawn.picks,
        )  # fmt: skip
        self._contents[pane.name] = content
        self._show(pane.name, content, drawn.figure)
        if pane.slow and self.wanted is not None:
            self._offer(self.wanted)  # hyper-parameters that were sought are known now
