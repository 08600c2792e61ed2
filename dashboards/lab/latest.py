"""Compute in a thread what a page asked for last, and push the answer into its document; stale answers drop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bokeh.document import Document

from gpvae_core.errors import UserError

log = logging.getLogger(__name__)
T = TypeVar("T")
POOL = ThreadPoolExecutor(max_workers=4, thread_name_prefix="views")
"""Shared by all pages: models and numpy release the interpreter's lock, more threads than cores help nobody."""


class Latest:
    """One page's requests, in order; only the newest is answered. What goes wrong is said through `complain`."""

    def __init__(self, document: Document | None, complain: Callable[[str], None]) -> None:
        self._document, self._complain = document, complain
        self._lock = threading.Lock()
        self._generation = 0
        self._turn = threading.Lock()

    def current(self, generation: int) -> bool:
        """Return whether nothing newer was asked for."""
        return generation == self._generation

    def next(self) -> int:
        """Return the number of a new request, which makes all before it stale."""
        with self._lock:
            self._generation += 1
            return self._generation

    def ask(self, work: Callable[[int], None]) -> int:
        """Run `work(generation)` in the pool, after this page's work in progress; return the generation."""
        generation = self.next()

        def in_turn() -> None:
            with self._turn:
                if self.current(generation):
                    work(generation)

        self.aside(in_turn)
        return generation

    def afterwards(self, work: Callable[[int], None], generation: int) -> None:
        """Do slow work for a request already answered, beside newer requests, not before them; drop it when stale."""
        self.aside(lambda: work(generation) if self.current(generation) else None)

    def aside(self, work: Callable[[], T], show: Callable[[T], None] | None = None) -> None:
        """Do work in the pool that answers no request by itself, and show its result with the document's lock."""
        POOL.submit(self._guarded, work, show)

    def _guarded(self, work: Callable[[], T], show: Callable[[T], None] | None) -> None:
        try:
            result = work()
            if show is not None:
                self.soon(lambda: show(result))
        except UserError as error:
            self._say(str(error))
        except Exception as error:
            log.exception("what a page asked for could not be computed")
            self._say(f"That could not be computed ({type(error).__name__}: {error}).")

    def _say(self, line: str) -> None:
        self.soon(lambda: self._complain(line))

    def push(self, generation: int, apply: Callable[[], None]) -> None:
        """Run `apply` with the document's lock, unless something newer was asked for meanwhile."""
        self.soon(lambda: apply() if self.current(generation) else None)

    def soon(self, apply: Callable[[], None]) -> None:
        """Run `apply` with the document's lock; at once where there is no document (tests without a server)."""
        if self._document is None:
            apply()
        else:
            try:
                self._document.add_next_tick_callback(apply)
            except AttributeError:
                log.debug("the tab was closed: its document has lost its callbacks, nobody waits for the answer")
