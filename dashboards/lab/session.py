"""One page at work: from its state to a request, and from the request to what stands in its cards."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

import param
from bokeh.document import Document

from dashboards.lab.address import PageState
from dashboards.lab.jobs import Background
from dashboards.lab.latest import Latest
from dashboards.lab.pane import Pane, R
from dashboards.lab.resolved import Resolved, Values
from dashboards.widgets.card import Card, Content
from dashboards.widgets.notice import Notice
from gpvae_core.errors import UserError
from gpvae_core.progress import silent

if TYPE_CHECKING:
    from dashboards.lab.page import Page

log = logging.getLogger(__name__)
UNBOUND = {"max-height": "none"}
"""A card is as high as what it holds."""
COMING = "Being computed. This fills by itself."
NOTHING = "Nothing to show: see the line above."
PATIENCE_S = 0.6
"""How long cards may take before they are marked as busy."""
CANCEL, AGAIN = ("cancel", "Cancel"), ("again", "Try again")


@dataclass(frozen=True)
class Answer:
    """What a card was given last: the view and its content, and what they depend on; no view for a mere message."""

    content: Content
    key: Hashable = None
    view: Any = None
    drawing_key: Hashable = None
    aside: str = ""


class Session(Generic[R]):
    """Compute what the state asks for and show it in the cards, the newest request alone."""

    def __init__(
        self, page: Page[R], state: PageState, panes: Sequence[Pane[R]], document: Document | None, notice: Notice
    ) -> None:
        self._page, self._state, self._notice = page, state, notice
        self.latest = Latest(document, notice.say)
        self.panes = tuple(panes)
        self.cards = {pane.name: self._card(pane) for pane in self.panes}
        self.request: R | None = None
        self._background = {pane.name: Background(pane.title) for pane in self.panes}
        self._answers: dict[str, Answer] = {}
        self._contents: dict[str, Content] = {}
        self._awaited: set[str] = set()
        self._begun = 0.0
        self._said: dict[str, object] = {}
        self._settling, self._started, self._generation = False, False, 0
        state.param.watch(self._chosen, [name for name in state.param if name != "name"])

    def _card(self, pane: Pane[R]) -> Card:
        handlers = {
            "pick": lambda index: self._page.pick(int(index)),
            "hover": lambda index: self._page.hover(pane, int(index)),
            "csv": lambda _: self._export(pane),
            "select": lambda choice: self._page.select(*map(str, choice)),
            "action": lambda action: self._act(pane, str(action)),
        }
        return Card(handlers, view=pane.name, title=pane.title, looks=pane.looks, margin=0, styles=UNBOUND)

    # From the person

    def _chosen(self, *events: param.parameterized.Event) -> None:
        """Answer a choice; what was said before it no longer matters."""
        if self._settling:
            return
        if any(event.name != "dark" for event in events):
            self._notice.say("")
        self.refresh()

    def _act(self, pane: Pane[R], action: str) -> None:
        background = self._background[pane.name]
        if action == CANCEL[0]:
            background.cancel()
        elif action == AGAIN[0]:
            background.forget()
            self.refresh()
        else:
            self._page.act(action)

    def _export(self, pane: Pane[R]) -> None:
        answer, card = self._answers.get(pane.name), self.cards[pane.name]
        if answer is None or answer.key is None:
            return
        file = f"{self._contents[pane.name].file}.csv"

        def work() -> None:
            text = pane.to_csv(answer.view)
            self.latest.soon(lambda: card.answer(csv=text, file=file))

        self.latest.aside(work)

    # From the state to the request

    def start(self) -> None:
        """Begin to compute: the page is there and knows what to show."""
        self._started = True
        for pane in self.panes:
            if pane.name not in self._contents:
                self._show(pane, Content(message=COMING, busy=True))
        self.refresh()

    def refresh(self) -> None:
        """Compute and show what the state asks for."""
        if self._started:
            values = Values(self._state.param.values())
            self.latest.ask(lambda generation: self._answer(values, generation))

    def _answer(self, values: Values, generation: int) -> None:
        try:
            resolved = self._page.resolve(values)
        except Exception as error:
            self.latest.push(generation, partial(self._refuse, str(error), self.panes))
            raise
        if resolved is None:
            return
        self.latest.push(generation, partial(self._begin, resolved, generation))
        if resolved.refused:
            return
        if (line := self._page.line_of(resolved.request)) is not None:
            self.latest.push(generation, partial(self._page.show_line, line))
        self._draw_all(resolved.request, generation)
        self.latest.afterwards(partial(self._improve, resolved.request), generation)

    def _begin(self, resolved: Resolved[R], generation: int) -> None:
        """Tell the page what holds; what was wrong is corrected without being a choice."""
        self._settling = True
        try:
            self._state.param.update(**resolved.corrections)
        finally:
            self._settling = False
        for complaint in resolved.complaints:
            self._notice.add(complaint)
        self._notice.stand([*resolved.standing, *filter(None, [resolved.refused])])
        request = resolved.request
        self.request, self._generation = None if resolved.refused else request, generation
        self._page.offer(request)
        self._said.clear()
        self._awaited.clear()
        self._begun = time.monotonic()
        for pane in self.panes:
            background = self._background[pane.name]
            if resolved.refused or not pane.shown(request) or not pane.slow(request):
                background.leave()  # nobody looks at it any more
            else:
                background.want(pane.key(request), partial(pane.compute, request))
            if pane.shown(request) and not pane.slow(request):
                self._awaited.add(pane.name)
        if resolved.refused:
            self._refuse(NOTHING, [pane for pane in self.panes if pane.shown(request)])
        self._tick_slow()

    def _refuse(self, why: str, panes: Sequence[Pane[R]]) -> None:
        """Say in these cards why there is nothing to show."""
        self._page.show_line("")
        for pane in panes:
            self._put(pane, Answer(Content(message=why)))

    # From the request to the cards

    def _draw_all(self, request: R, generation: int) -> None:
        """Answer every pane; each is pushed at once, so that the browser draws while we go on."""
        for pane in self.panes:
            if not self.latest.current(generation):
                return
            if pane.shown(request) and not pane.slow(request):
                answer = self._guarded(pane, partial(self._answer_of, pane, request))
                self.latest.push(generation, partial(self._put, pane, answer))

    def _improve(self, request: R, generation: int) -> None:
        better = self._page.improved(request, lambda: self.latest.current(generation))
        if better is not None:
            self._draw_all(better, generation)

    def _answer_of(self, pane: Pane[R], request: R) -> Answer:
        if waiting := pane.waits_for(request):
            return Answer(Content(message=waiting, busy=True))
        key, known = pane.key(request), self._answers.get(pane.name)
        if key is None:
            return Answer(pane.missing(request))
        if known is None or known.key != key:
            return self._drawn(pane, key, pane.compute(request, silent), request)
        if known.drawing_key is not None and known.drawing_key == pane.drawing_key(request):
            return known
        return self._drawn(pane, key, known.view, request)

    @staticmethod
    def _drawn(pane: Pane[R], key: Hashable, view: Any, request: R) -> Answer:
        content = replace(pane.draw(view, request), file=pane.file(request))
        return Answer(content, key, view, pane.drawing_key(request), pane.aside(view, request))

    @staticmethod
    def _guarded(pane: Pane[R], work: Callable[[], Answer]) -> Answer:
        """Return the answer; where there is none, the reason as a message in the card."""
        try:
            return work()
        except UserError as error:
            return Answer(Content(message=str(error)))
        except Exception as error:
            log.exception("card %s could not be drawn", pane.name)
            return Answer(Content(message=f"This view could not be computed ({type(error).__name__}: {error})."))

    def _put(self, pane: Pane[R], answer: Answer) -> None:
        self._awaited.discard(pane.name)
        self._answers[pane.name] = answer
        self._show(pane, answer.content)
        self._page.beside(pane, answer.aside)

    def _show(self, pane: Pane[R], content: Content) -> None:
        standing = () if self.request is None else pane.selects(self.request)
        content = replace(content, selects=(*standing, *content.selects), dark=self._state.dark, stamp=self._generation)
        self._contents[pane.name] = content
        self.cards[pane.name].show(content)

    # What takes longer

    def tick(self) -> None:
        """Mark what lets one wait, and bring the cards of background work up to date."""
        # NOTE: a mark costs each card a message and a repaint, so that what is answered at once goes without.
        waiting = time.monotonic() - self._begun > PATIENCE_S
        for name in tuple(self._awaited) if waiting else ():
            known = self._contents[name]
            if not known.busy:  # what is shown stays, with its stamp, until what comes is there
                self._contents[name] = replace(known, busy=True)
                self.cards[name].show(self._contents[name])
        self._tick_slow()

    def _tick_slow(self) -> None:
        if self.request is not None:
            for pane in self.panes:
                if pane.shown(self.request) and pane.slow(self.request):
                    self._follow_job(pane, self.request)

    def _follow_job(self, pane: Pane[R], request: R) -> None:
        background = self._background[pane.name]
        report, result = background.report(), background.result
        done = report.outcome == "done" and result is not None
        now = "done" if done else report
        if self._said.get(pane.name, self) == now:
            return
        self._said[pane.name] = now
        if report.outcome == "idle":
            self._put(pane, Answer(pane.missing(request)))
        elif done:
            draw = partial(self._drawn, pane, background.key, result, request)
            push = partial(self._push_drawn, pane, draw)
            self.latest.afterwards(push, self._generation)
        elif report.running:
            known = replace(self._contents[pane.name], message=report.words, busy=True, actions=(CANCEL,))
            self._contents[pane.name] = known
            self.cards[pane.name].show(known)
        else:
            words = "Cancelled." if report.outcome == "cancelled" else report.error
            self._put(pane, Answer(Content(message=words, actions=(AGAIN,))))

    def _push_drawn(self, pane: Pane[R], draw: Callable[[], Answer], generation: int) -> None:
        """Draw in a thread: a figure takes longer than the event loop should stand still."""
        self.latest.push(generation, partial(self._put, pane, self._guarded(pane, draw)))
