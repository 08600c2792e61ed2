"""A registry of classes by name. Each module of a package registers its classes, so a new family is one new file."""

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
    """Import every module of a package and of its subpackages."""
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        if info.ispkg:
            _import_below(module)


class Registry(Generic[C]):
    """Classes by name. The modules of `package` and its subpackages are imported at the first look-up.

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
        """Return a class decorator that registers the class as `name`.

        Raises:
            ValueError: another class has the name.
        """

        def register_class(cls: T) -> T:
            if name in self._classes and self._classes[name] is not cls:
                raise ValueError(f"two {self.what}s are called '{name}'")
            self._classes[name] = cls  # pyright: ignore[reportArgumentType]
            return cls

        return register_class

    def _discover(self) -> None:
        if self._discovered:
            return
        # NOTE: a second thread waits here until all classes are registered. The lock is re-entrant because a module
        # that is being imported may look up a class itself.
        with self._lock:
            _import_below(importlib.import_module(self._package))
            self._discovered = True

    def get(self, name: str) -> C:
        """Return the class registered as `name`. Raises UserError, with the closest name, if there is none."""
        self._discover()
        if name not in self._classes:
            raise unknown(self.what, name, self._classes)
        return self._classes[name]

    def summaries(self) -> dict[str, str]:
        """Return the one-line summary of each class, sorted by name."""
        self._discover()
        return {name: (cls.__doc__ or "").strip().splitlines()[0] for name, cls in sorted(self._classes.items())}
