"""Answer a page's newest request in a thread, and show the answer in its document; older requests are dropped."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from bokeh.document import Document

from dashboards.lab.faults import told
from dashboards.lab.jobs import ANSWER_S, JOB_S, allowed
from gpvae_core.progress import Cancelled

log = logging.getLogger(__name__)
T = TypeVar("T")
POOL = ThreadPoolExecutor(max_workers=16, thread_name_prefix="views")
"""Shared by all pages, each of which answers one request at a time. Torch and numpy release the interpreter's lock."""

WRITTEN_S = 0.02
"""Most seconds for which the answer to a request waits until a part of it has been sent to the browser."""


def _loop_of(document: Document | None) -> asyncio.AbstractEventLoop | None:
    """Return the event loop of the document's thread, which is this one; None without a server."""
    try:
        return None if document is None else asyncio.get_running_loop()
    except RuntimeError:  # a document that no server shows
        return None


def _submit(work: Callable[..., object], *arguments: Any) -> None:
    """Run `work(*arguments)` in the pool; while the server ends, do nothing."""
    try:
        POOL.submit(work, *arguments)
    except RuntimeError:
        log.debug("the server ends: nothing is computed any more")


class Latest:
    """Numbers a page's requests by generation and answers only the newest; `complain` shows an error to the user.

    `push` and `soon` run what changes the page with the document's lock; everything else runs in the pool, and is
    stopped at its next checkpoint once it is stale or the tab is closed.
    """

    def __init__(self, document: Document | None, complain: Callable[[str], None]) -> None:
        self._document, self._loop, self._complain = document, _loop_of(document), complain
        self._lock = threading.Lock()
        """Guards the fields below, which the page's thread and the pool may both change; a mere read needs no lock."""
        self._generation = 0
        self._asked: Callable[[], None] | None = None
        """The answer to the newest request, while an older one is still being answered: they never run at once."""
        self._answering = False
        self._expectations = 0
        self._closed = False

    def current(self, generation: int) -> bool:
        """Return whether this is still the newest request, of a tab that is open."""
        return generation == self._generation and not self._closed

    def next(self) -> int:
        """Return the generation of a new request; all requests before it are stale from now on."""
        with self._lock:
            self._generation += 1
            return self._generation

    def close(self) -> None:
        """Give up all work: the tab was closed."""
        self._closed = True

    def allowed(self, generation: int, seconds: float = ANSWER_S) -> AbstractContextManager[None]:
        """Let work on a request go on in this thread for so many seconds, while it is the newest (`jobs.allowed`)."""
        return allowed(lambda: self.current(generation), seconds)

    def ask(self, work: Callable[[int], None]) -> int:
        """Answer a new request: run `work(generation)` in the pool, once the answer in progress has been given up."""
        generation = self.next()

        def answer() -> None:
            if self.current(generation):
                with self.allowed(generation):
                    work(generation)

        with self._lock:
            self._asked, answering, self._answering = answer, self._answering, True
        if not answering:
            _submit(self._answer_all)
        return generation

    def _answer_all(self) -> None:
        """Answer what was asked for last, until there is nothing newer."""
        while True:
            with self._lock:
                answer, self._asked = self._asked, None
                self._answering = answer is not None
            if answer is None:
                return
            self._guarded(answer, None)

    def afterwards(self, work: Callable[[int], None], generation: int) -> None:
        """Run slow work that improves an answer already given; newer requests do not wait for it and make it stale."""

        def improve() -> None:
            if self.current(generation):
                with self.allowed(generation, JOB_S):
                    work(generation)

        _submit(self._guarded, improve, None)

    def expect(self, work: Callable[[Callable[[], bool]], None]) -> None:
        """Run `work(wanted)` in the pool for a request that is likely to come next, unless one is being answered.

        `wanted` returns False once a request has come, or another one is expected. Work is stopped at its next
        checkpoint only in the latter case, as what it computes is likely asked for in the former. It fails silently.
        """
        with self._lock:
            self._expectations += 1
            expectation, generation, answering = self._expectations, self._generation, self._answering

        def expected() -> bool:
            return expectation == self._expectations and not self._closed

        def ahead() -> None:
            try:
                with allowed(expected, ANSWER_S):
                    work(lambda: expected() and self.current(generation))
            except Cancelled:
                return
            except Exception as error:
                log.debug("what was expected to be asked for failed: %r", error)

        if not answering:
            _submit(ahead)

    def aside(self, work: Callable[[], T], show: Callable[[T], None] | None = None, seconds: float = ANSWER_S) -> None:
        """Run work in the pool that belongs to no request, then pass its result to `show`, with the document's lock."""

        def limited() -> T:
            with allowed(lambda: not self._closed, seconds):
                return work()

        _submit(self._guarded, limited, show)

    def _guarded(self, work: Callable[[], T], show: Callable[[T], None] | None) -> None:
        try:
            result = work()
            if show is not None:
                self.soon(lambda: show(result))
        except Cancelled:
            return
        except Exception as error:
            line = told(error, "that")
            self.soon(lambda: self._complain(line))

    def push(self, generation: int, apply: Callable[[], None]) -> None:
        """Run `apply` with the document's lock, unless there is a newer request by then; called in the pool.

        It returns once the browser was sent what has changed, or after WRITTEN_S: computing on would hold that up.
        """
        written = threading.Event()
        self.soon(lambda: apply() if self.current(generation) else None)
        self.soon(written.set)  # has its turn only once the changes before it are written
        written.wait(WRITTEN_S)

    def soon(self, apply: Callable[[], None]) -> None:
        """Run `apply` with the document's lock, after what was to be run before; at once where there is no server."""
        if self._document is None or self._loop is None:
            apply()
            return
        try:
            self._loop.call_soon_threadsafe(_next_tick, self._document, apply)
        except RuntimeError:
            log.debug("the server ends: nothing is shown any more")


def _next_tick(document: Document, apply: Callable[[], None]) -> None:
    # NOTE: in the document's thread alone: a callback that another thread adds while panel holds back the document's
    # events, of which callbacks are some, is lost now and then.
    try:
        document.add_next_tick_callback(apply)
    except AttributeError:
        log.debug("the tab was closed: its document takes no callbacks any more")
