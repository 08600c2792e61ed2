"""Panes whose views take long: they are computed once the user presses a button in the card."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from typing import ClassVar, Protocol, TypeVar

from dashboards.lab.pane import Pane
from dashboards.widgets.card import Content

Asked = tuple[str, Hashable]
"""A pane's name, and what the view that was asked for is of."""


class WithAsked(Protocol):
    """A request that knows what was asked for."""

    @property
    def asked(self) -> frozenset[Asked]:
        """The views that take long and were asked for by a button, see `AskedPane.asked_by`."""
        ...


A = TypeVar("A", bound=WithAsked)


class AskedPane(Pane[A]):
    """One card with a button; the view is computed in a job, whose progress is shown and which can be cancelled."""

    in_job = True
    button: ClassVar[str] = "Compute"

    @abstractmethod
    def of(self, request: A) -> Hashable:
        """Return all that the view depends on, without computing anything."""

    @abstractmethod
    def lacking(self, request: A) -> Content | None:
        """Return what says what there must be before the view can be computed; None for nothing."""

    @abstractmethod
    def offered(self, request: A) -> str:
        """Return what the button computes, and how long that takes, in a sentence or two."""

    def asked_by(self, request: A) -> Asked:
        """Return what a press of the button asks for."""
        return self.name, self.of(request)

    def key(self, request: A) -> Hashable:
        return self.of(request) if self.asked_by(request) in request.asked else None

    def missing(self, request: A) -> Content:
        if (lacking := self.lacking(request)) is not None:
            return lacking
        return Content(sentence=self.offered(request), actions=((self.name, self.button),))
