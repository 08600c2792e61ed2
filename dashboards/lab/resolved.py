"""The step from a page's state to its request, with the values that had to be corrected and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from dashboards.lab.pane import R
from dashboards.lab.words import one
from gpvae_core.errors import UserError
from gpvae_core.plots.theme import DARK, LIGHT, Theme

T = TypeVar("T")


@dataclass(frozen=True)
class Resolved(Generic[R]):
    """A request made of a state, with the corrections to the state and the lines that the user is shown."""

    request: R
    corrections: Mapping[str, Any] = field(default_factory=dict)
    """New value of each parameter that was replaced because its value does not exist."""
    complaints: Sequence[str] = ()
    """Why they were replaced; shown until the next choice."""
    lasting: Sequence[str] = ()
    """Warnings that are shown as long as this request is."""
    refused: str = ""
    """Why the request cannot be answered, such as two numbers that contradict one another; '' where it can."""


class Values(dict[str, Any]):
    """The values of a state's parameters, in which those that do not exist are replaced, with a complaint.

    >>> values = Values({"index": 9})
    >>> values.below("index", 5, "test image"), values.resolved("request").corrections, values.complaints
    (0, {'index': 0}, ['wanted a test image from 0 to 4, got 9'])
    """

    def __init__(self, chosen: Mapping[str, Any]) -> None:
        super().__init__(chosen)
        self._chosen = dict(chosen)
        self.complaints: list[str] = []
        self.lasting: list[str] = []
        """Warnings that are shown as long as the request is."""

    @property
    def theme(self) -> Theme:
        """The colours of the figures."""
        return DARK if self["dark"] else LIGHT

    def correct(self, name: str, value: Any, complaint: str = "") -> None:
        """Replace a value, and note the complaint that tells why."""
        self[name] = value
        self.complaints += [complaint] if complaint else []

    def below(self, name: str, size: int, what: str, first: int = 0) -> int:
        """Return the value `name` if it is one of `size` numbers from `first` on; else that, with a complaint."""
        last = first + size - 1
        if self[name] > last:
            self.correct(name, first, f"wanted {one(what)} from {first} to {last}, got {self[name]}")
        return int(self[name])

    def attempt(self, work: Callable[[], T], otherwise: T) -> T:
        """Return what `work` returns; if it raises UserError, note that as a complaint and return `otherwise`."""
        try:
            return work()
        except UserError as error:
            self.complaints.append(str(error))
            return otherwise

    def first(self, names: Iterable[str], load: Callable[[str], T]) -> tuple[str, T] | None:
        """Return the first of these names that `load` accepts, with what it returned; each one before is a complaint.

        What a page chooses by itself is found by this, so that it is none that cannot be shown.
        """
        for name in names:
            if (loaded := self.attempt(partial(load, name), None)) is not None:
                return name, loaded
        return None

    def resolved(self, request: R, refused: str = "") -> Resolved[R]:
        """Return the request with all corrections and complaints."""
        corrections = {name: value for name, value in self.items() if value != self._chosen[name]}
        return Resolved(request, corrections, self.complaints, self.lasting, refused)
