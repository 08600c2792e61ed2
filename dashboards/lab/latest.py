"""Answer a page's newest request in a thread, and show the answer in its document; older requests are dropped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bokeh.document import Document

from dashboards.lab.faults import told

log = logging.getLogger(__name__)
T = TypeVar("T")
POOL = ThreadPoolExecutor(max_workers=4, thread_name_prefix="views")
"""Shared by all pages. Torch and numpy release the interpreter's lock, so that a few threads keep the cores busy."""


class Latest:
    """Numbers a page's requests by generation and answers only the newest; `complain` shows an error to the user.

    `push` and `soon` run what changes the page with the document's lock; everything else runs in the pool.
    """

    def __init__(self, document: Document | None, complain: Callable[[str], None]) -> None:
        self._document, self._complain = document, complain
        self._lock = threading.Lock()
        """Guards `_generation`, which the page's thread and the pool may both raise; a mere read needs no lock."""
        self._generation = 0
        self._turn = threading.Lock()
        """Held while one request is answered: a page's requests never run beside one another, and an older one that has
        waited for it finds that it is stale and does nothing."""

    def current(self, generation: int) -> bool:
        """Return whether this is still the newest request."""
        return generation == self._generation

    def next(self) -> int:
        """Return the generation of a new request; all requests before it are stale from now on."""
        with self._lock:
            self._generation += 1
            return self._generation

    def ask(self, work: Callable[[int], None]) -> int:
        """Answer a new request: run `work(generation)` in the pool, once the answer in progress has ended."""
        generation = self.next()

        def in_turn() -> None:
            with self._turn:
                if self.current(generation):
                    work(generation)

        self.aside(in_turn)
        return generation

    def afterwards(self, work: Callable[[int], None], generation: int) -> None:
        """Run slow work that improves an answer already given; newer requests do not wait for it and make it stale."""
        self.aside(lambda: work(generation) if self.current(generation) else None)

    def aside(self, work: Callable[[], T], show: Callable[[T], None] | None = None) -> None:
        """Run work in the pool that belongs to no request, then pass its result to `show`, with the document's lock."""
        POOL.submit(self._guarded, work, show)

    def _guarded(self, work: Callable[[], T], show: Callable[[T], None] | None) -> None:
        try:
            result = work()
            if show is not None:
                self.soon(lambda: show(result))
        except Exception as error:
            line = told(error, "that")
            self.soon(lambda: self._complain(line))

    def push(self, generation: int, apply: Callable[[], None]) -> None:
        """Run `apply` with the document's lock, unless there is a newer request by then."""
        self.soon(lambda: apply() if self.current(generation) else None)

    def soon(self, apply: Callable[[], None]) -> None:
        """Run `apply` with the document's lock; where there is no document, as in tests without a server, at once."""
        if self._document is None:
            apply()
        else:
            try:
                self._document.add_next_tick_callback(apply)
            except AttributeError:
                log.debug("the tab was closed: its document takes no callbacks any more")
