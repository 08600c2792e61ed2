"""A registry of classes by name. The modules of a folder register what they define, so a new family is one new file."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Generic, TypeVar

from gpvae_core.errors import unknown

C = TypeVar("C", bound=type)
T = TypeVar("T", bound=type)


def _import_below(package: ModuleType) -> None:
    """Import every module of a package and of the packages in it."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        found = importlib.import_module(module.name)
        if module.ispkg:
            _import_below(found)


class Registry(Generic[C]):
    """Classes by name. The modules of `package`, and of the folders in it, are imported at the first look-up.

    The first line of a class's docstring is its summary in `gpvae list`.

    >>> from gpvae_core.objectives.base import OBJECTIVES
    >>> OBJECTIVES.get("iwae").__name__
    'IwaeConfig'
    """

    def __init__(self, what: str, package: str) -> None:
        self.what = what
        self._package = package
        self._classes: dict[str, C] = {}
        self._discovered = False
        self._lock = threading.RLock()

    def register(self, name: str) -> Callable[[T], T]:
        """Return a class decorator that files the class under `name`."""

        def file(cls: T) -> T:
            if name in self._classes and self._classes[name] is not cls:
                raise ValueError(f"two {self.what}s are called '{name}'")
            self._classes[name] = cls  # pyright: ignore[reportArgumentType]
            return cls

        return file

    def _discover(self) -> None:
        if self._discovered:
            return
        with self._lock:  # a second thread waits until all are there
            _import_below(importlib.import_module(self._package))
            self._discovered = True

    def get(self, name: str) -> C:
        """Return the class filed under `name`. Raises UserError with the nearest right name."""
        self._discover()
        if name not in self._classes:
            raise unknown(self.what, name, self._classes)
        return self._classes[name]

    def summaries(self) -> dict[str, str]:
        """Return the one-line summary of each class by its name, in the order of names."""
        self._discover()
        return {name: (cls.__doc__ or "").strip().splitlines()[0] for name, cls in sorted(self._classes.items())}
