"""A thread-safe cache of results, each of which is computed once; the least recently used ones are dropped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from gpvae_core.progress import checkpoint

T = TypeVar("T")
LOOK_S = 0.1
"""Seconds after which a thread that waits for another checks again whether its own work is still wanted."""


class Memo:
    """Least-recently-used cache of at most `size` results, which threads may share.

    If several threads ask for the same key, one computes the result and the others wait for it. If the computation
    fails or is cancelled, it leaves no entry, and one of the waiting threads computes it again.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result for `key`; call `compute` if there is none."""
        while True:
            # The lock guards the dictionary only: computing and waiting happen outside of it, so that a slow result
            # does not block other keys.
            with self._lock:
                entry = self._entries.get(key)
                mine = entry is None
                if entry is None:
                    entry = self._entries[key] = Future()
                self._entries.move_to_end(key)
            if mine:
                return self._fill(key, entry, compute)
            if _failure(entry) is None:
                return entry.result()

    def _fill(self, key: Hashable, entry: Future[Any], compute: Callable[[], T]) -> T:
        try:
            value = compute()
        except BaseException as error:  # also Cancelled and KeyboardInterrupt: waiting threads must not wait forever
            with self._lock:
                self._entries.pop(key, None)
            entry.set_exception(error)
            raise
        entry.set_result(value)
        self._trim()
        return value

    def _trim(self) -> None:
        with self._lock:
            while self._size is not None and len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def peek(self, key: Hashable) -> Any | None:
        """Return the result for `key` if it is computed already; else None."""
        with self._lock:
            entry = self._entries.get(key)
        return entry.result() if entry is not None and entry.done() and entry.exception() is None else None

    def drop(self, key: Hashable) -> Any | None:
        """Forget the result for `key`, so that it is computed anew; return it if it was computed already."""
        value = self.peek(key)
        with self._lock:
            self._entries.pop(key, None)
        return value

    def put(self, key: Hashable, value: object) -> None:
        """Store a result that was computed elsewhere."""
        entry: Future[Any] = Future()
        entry.set_result(value)
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
        self._trim()


def _failure(entry: Future[Any]) -> BaseException | None:
    """Wait until another thread has finished; return its exception, None for a result."""
    while True:
        try:
            return entry.exception(timeout=LOOK_S)
        except TimeoutError:
            checkpoint()
