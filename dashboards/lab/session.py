"""The session of one browser tab: it makes a request of the page's state and shows the answers in the cards."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

import param
from bokeh.document import Document

from dashboards.lab.address import PageState
from dashboards.lab.answers import TABLE, Answer, answer_of, file_name, kinds
from dashboards.lab.faults import told
from dashboards.lab.jobs import Background, TimeOver
from dashboards.lab.latest import Latest
from dashboards.lab.pane import Pane, R
from dashboards.lab.resolved import Resolved, Values
from dashboards.widgets.card import Card, Content
from dashboards.widgets.notice import Notice
from gpvae_core.progress import Cancelled

if TYPE_CHECKING:
    from dashboards.lab.page import Page

UNBOUND = {"max-height": "none"}
"""Lets a card grow to the height of its contents."""
BEING_COMPUTED = "Being computed. This fills by itself."
NOTHING_TO_SHOW = "Nothing to show: see the line above."
BUSY_AFTER_S = 0.6
"""Seconds that a card may take before it is marked as busy."""
CANCEL_AFTER_S = 3.0
"""Seconds that a card may take before its computing can be cancelled."""
CANCEL, AGAIN = ("cancel", "Cancel"), ("again", "Try again")


class Session(Generic[R]):
    """Computes what the state asks for and shows it in the cards; only the newest request is answered.

    Its methods run in two kinds of thread. In the document's thread, with its lock: what the user or the clock calls,
    and what `Latest.push` runs (`_begin`, `_refuse`, `_put`). Only these change cards, widgets and the fields below.
    In the pool: `_answer`, `_answer_ahead`, `_draw_all`, `_improve` and `_draw`, which call `Page.resolve`, `line_of`
    and `improved`, and the panes. `_draw` reads `_answers`, which `_put` writes, and `_expected`: an `Answer` is frozen
    and replaced as a whole, so that at worst a view is computed again.
    """

    def __init__(
        self, page: Page[R], state: PageState, panes: Sequence[Pane[R]], document: Document | None, notice: Notice
    ) -> None:
        self._page, self._state, self._notice = page, state, notice
        self.latest = Latest(document, notice.show)
        self.panes = tuple(panes)
        self.cards = {pane.name: self._card(pane) for pane in self.panes}
        self.request: R | None = None
        self._background = {pane.name: Background(pane.title) for pane in self.panes}
        self._answers: dict[str, Answer] = {}
        self._expected: dict[str, Answer] = {}
        """The answers to a request that is expected; replaced as a whole, by those to another one."""
        self._contents: dict[str, Content] = {}
        self._awaited: set[str] = set()
        """Names of the panes whose answer to the request is not shown yet."""
        self._begun = 0.0
        self._settling, self._started, self._generation = False, False, 0
        state.param.watch(self._chosen, [name for name in state.param if name != "name"])

    def _card(self, pane: Pane[R]) -> Card:
        handlers = {
            "pick": lambda index: self._page.pick(int(index)),
            "hover": lambda index: self._page.hover(pane, int(index)),
            "expect": lambda index: self._page.expect(int(index)),
            "csv": lambda kind: self._export(pane, str(kind).partition(TABLE)[2]),
            "select": lambda choice: self._page.select(*map(str, choice)),
            "action": lambda action: self._act(pane, str(action)),
        }
        texts = {"title": pane.title, "help": pane.help}
        return Card(handlers, view=pane.name, kinds=kinds(pane), **texts, margin=0, styles=UNBOUND)

    @property
    def settling(self) -> bool:
        """Whether the state is being corrected, which is no choice of the user's."""
        return self._settling

    # Called when the user does something

    def _chosen(self, *events: param.parameterized.Event) -> None:
        """Answer a choice. The user's removes the messages about the one before it, unless only the theme changed."""
        if self._settling:
            return
        if not self._page.choosing_itself and any(event.name != "dark" for event in events):
            self._notice.show("")
        self.refresh()

    def _act(self, pane: Pane[R], action: str) -> None:
        if action == CANCEL[0]:
            self._give_up(pane)
        elif action == AGAIN[0]:
            self._background[pane.name].discard()
            self.refresh()
        else:
            self._page.act(action)

    def _give_up(self, pane: Pane[R]) -> None:
        """Cancel the job of a card; where it has none, give up all cards that are computed in the same answer."""
        request = self.request
        if request is None:
            return
        given_up = [pane]
        if pane.slow(request):
            self._background[pane.name].discard()
        else:
            self._generation = self.latest.next()
            given_up = [other for other in self.panes if other.name in self._awaited and not other.slow(request)]
        for other in given_up:
            self._put(other, Answer(Content(message="Cancelled.", actions=(AGAIN,))))

    def close(self) -> None:
        """End all work: the tab was closed."""
        self.latest.close()
        for background in self._background.values():
            background.discard()

    def _export(self, pane: Pane[R], table: str) -> None:
        answer, card = self._answers.get(pane.name), self.cards[pane.name]
        if answer is not None and answer.key is not None and table in pane.to_csv:
            view, name = answer.view, f"{file_name(answer.content.file, table)}.csv"
            self.latest.aside(lambda: pane.to_csv[table](view), lambda text: card.answer(csv=text, file=name))

    # From the state to the request

    def start(self) -> None:
        """Start to compute, once the page has loaded and its state is known."""
        self._started = True
        for pane in self.panes:
            if pane.name not in self._contents:
                self._show(pane, Content(message=BEING_COMPUTED, busy=True))
        self.refresh()

    def refresh(self) -> None:
        """Answer the state as it is now with a new request."""
        if self._started:
            values = Values(self._state.param.values())
            self.latest.ask(lambda generation: self._answer(values, generation))

    def _answer(self, values: Values, generation: int) -> None:
        """Resolve the values into a request and answer it, in the pool."""
        try:
            resolved = self._page.resolve(values)
        except Exception as error:
            self.latest.push(generation, partial(self._fail, told(error, "finding what to show")))
            return
        if resolved is None:
            return
        self.latest.push(generation, partial(self._begin, resolved, generation))
        if resolved.refused:
            return
        self._draw_all(resolved.request, generation)
        self.latest.afterwards(partial(self._improve, resolved.request), generation)

    def expect(self, **choices: Any) -> None:
        """Compute the answers to choices that are likely to be made next, so that their views are shown sooner."""
        if self.request is not None:
            values, self._expected = Values({**self._state.param.values(), **choices}), {}
            self.latest.expect(partial(self._answer_ahead, values, self._expected))

    def _answer_ahead(self, values: Values, answers: dict[str, Answer], wanted: Callable[[], bool]) -> None:
        """Add the answers to what these values ask for, as long as they are wanted, in the pool."""
        resolved = self._page.resolve(values)
        if resolved is None or resolved.refused or resolved.corrections:
            return
        request = resolved.request
        for pane in self.panes:
            if wanted() and pane.shown(request) and not pane.slow(request):
                answers[pane.name] = answer_of(pane, request, [self._answers.get(pane.name)], lambda: None)

    def _line_of(self, request: R, generation: int) -> str | None:
        try:
            with self.latest.allowed(generation):
                return self._page.line_of(request)
        except Cancelled:
            raise
        except Exception as error:
            return html.escape(told(error, "the line above the views"))

    def _begin(self, resolved: Resolved[R], generation: int) -> None:
        """Correct the state, show why, and start the jobs of slow panes. Corrections do not count as a choice."""
        self._settling = True
        try:
            self._state.param.update(**resolved.corrections)
        finally:
            self._settling = False
        self._notice.add(*resolved.complaints)
        self._notice.set_lasting([*resolved.lasting, resolved.refused])
        request, self._awaited, self._generation = resolved.request, set(), generation
        try:
            self._page.offer(request)
            self._page.about.show(self._page.runs_of(request))
        except Exception as error:
            self._notice.add(told(error, "the controls"))
        # After the controls: without a document another thread sees the request while they are still changed.
        self.request = None if resolved.refused else request
        self._begun = time.monotonic()
        # `_awaited` is set last: without a document another thread may tick, and no job has begun yet.
        awaited = {pane.name for pane in self.panes if self._begin_pane(pane, request, resolved.refused)}
        if resolved.refused:
            self._refuse(NOTHING_TO_SHOW, [pane for pane in self.panes if pane.name in awaited])
        else:
            self._awaited = awaited
        self.tick()

    def _place(self, pane: Pane[R], shown: bool) -> None:
        """Show or hide a card; one that is not part of the page has nothing to wait for."""
        self.cards[pane.name].visible = shown
        if not shown:
            self._change(pane, busy=False, stamp=self._generation)

    def _begin_pane(self, pane: Pane[R], request: R, refused: str) -> bool:
        """Start a pane's job if it needs one and end any other; return whether its card awaits an answer."""
        try:
            shown = pane.shown(request)
            self._place(pane, shown)
            if shown and not refused and pane.slow(request):
                self._background[pane.name].compute(pane.key(request), partial(pane.compute, request))
                return True
        except Exception as error:
            self._put(pane, Answer(Content(message=told(error, f"the view '{pane.title}'"))))
            shown = False
        self._background[pane.name].cancel_unfinished()  # its card is not shown any more
        return shown

    def _fail(self, why: str) -> None:
        """Show in all cards, and above them, why there is nothing to show."""
        self._notice.show(why)
        self._refuse(why, self.panes)

    def _refuse(self, why: str, panes: Sequence[Pane[R]]) -> None:
        """Show in these cards why there is nothing to show; clicks and background jobs have no request any more."""
        self.request, self._awaited = None, set()
        for background in self._background.values():
            background.cancel_unfinished()
        self._page.show_line("")
        self._page.withdraw()
        for pane in panes:
            self._put(pane, Answer(Content(message=why)))

    # From the request to the cards

    def _draw_all(self, request: R, generation: int) -> None:
        """Compute the line above the cards, and compute and draw every pane that needs no job."""
        if (line := self._line_of(request, generation)) is not None:
            self.latest.push(generation, partial(self._page.show_line, line))
        for pane in self.panes:
            if self.latest.current(generation):
                self._draw(pane, request, generation, in_job=False)

    def _improve(self, request: R, generation: int) -> None:
        try:
            better = self._page.improved(request, lambda: self.latest.current(generation))
        except Exception:
            for pane in self.panes:  # what was to be improved is no longer being computed
                self.latest.push(generation, partial(self._change, pane, busy=False))
            raise
        if better is not None:
            self._draw_all(better, generation)

    def _draw(self, pane: Pane[R], request: R, generation: int, in_job: bool) -> None:
        """Compute and draw one card and show it at once, while the others are computed; an error becomes a message.

        It does nothing for a card that is not shown, or whose view is computed in a job, unless that has ended.
        """
        try:
            if not pane.shown(request) or pane.slow(request) != in_job:
                return
            with self.latest.allowed(generation):
                known, job = (self._answers, self._expected), self._background[pane.name]
                answer = answer_of(pane, request, [each.get(pane.name) for each in known], lambda: job.result)
        except Cancelled:
            return
        except TimeOver as error:
            answer = Answer(Content(message=str(error), actions=(AGAIN,)))
        except Exception as error:
            answer = Answer(Content(message=told(error, f"the view '{pane.title}'")))
        self.latest.push(generation, partial(self._put, pane, answer))

    def _put(self, pane: Pane[R], answer: Answer) -> None:
        self._awaited.discard(pane.name)
        self._answers[pane.name] = answer
        self._show(pane, answer.content)
        try:
            self._page.beside(pane, answer.aside)
        except Exception as error:
            self._notice.add(told(error, f"the controls of the view '{pane.title}'"))

    def _show(self, pane: Pane[R], content: Content) -> None:
        try:
            always = () if self.request is None else pane.selects(self.request)
        except Exception as error:
            always, content = (), Content(message=told(error, f"the view '{pane.title}'"))
        content = replace(content, selects=(*always, *content.selects), dark=self._state.dark, stamp=self._generation)
        self._contents[pane.name] = content
        self.cards[pane.name].show(content)

    def _change(self, pane: Pane[R], **changes: Any) -> None:
        """Change parts of a card's content; its figure and stamp stay until the new answer arrives."""
        known = self._contents[pane.name]
        if any(getattr(known, name) != value for name, value in changes.items()):
            self._contents[pane.name] = replace(known, **changes)
            self.cards[pane.name].show(self._contents[pane.name])

    # Called by the clock

    def tick(self) -> None:
        """Mark cards that are late as busy, and show the progress of background jobs in theirs."""
        # NOTE: a mark costs each card a message and a repaint; cards that are answered at once get none.
        since, request = time.monotonic() - self._begun, self.request
        for pane in self.panes:
            if request is None or pane.name not in self._awaited:
                continue
            if pane.slow(request):
                self._follow_job(pane, request)
            elif since > CANCEL_AFTER_S:
                self._change(pane, busy=True, actions=(CANCEL,))
            elif since > BUSY_AFTER_S:
                self._change(pane, busy=True)

    def _follow_job(self, pane: Pane[R], request: R) -> None:
        report = self._background[pane.name].report()
        if report.running:
            self._change(pane, message=report.words, busy=True, actions=(CANCEL,))
        elif report.outcome in ("idle", "done"):
            self._awaited.discard(pane.name)
            self.latest.afterwards(partial(self._draw, pane, request, in_job=True), self._generation)
        else:
            words = "Cancelled." if report.outcome == "cancelled" else report.error
            self._put(pane, Answer(Content(message=words, actions=(AGAIN,))))
