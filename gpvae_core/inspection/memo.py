"""Results shared between threads: computed once, kept while recently used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Key -> result. A key that is being computed is waited for, not computed twice; nothing is locked meanwhile.

    A computation that fails or is cancelled leaves no trace: whoever waited for it computes it himself.
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result under `key`, from `compute` where there is none."""
        while True:
            with self._lock:
                entry = self._entries.get(key)
                mine = entry is None
                if entry is None:
                    entry = self._entries[key] = Future()
                self._entries.move_to_end(key)
            if mine:
                return self._fill(key, entry, compute)
            if entry.exception() is None:
                return entry.result()

    def _fill(self, key: Hashable, entry: Future[Any], compute: Callable[[], T]) -> T:
        try:
            value = compute()
        except BaseException as error:
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
        """Return the result under `key` where it is there already, else None."""
        with self._lock:
            entry = self._entries.get(key)
        return entry.result() if entry is not None and entry.done() and entry.exception() is None else None

    def put(self, key: Hashable, value: object) -> None:
        """File a result that came from elsewhere."""
        entry: Future[Any] = Future()
        entry.set_result(value)
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
        self._trim()
