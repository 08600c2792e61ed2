"""What a card is: which request it answers, what it computes, what it draws, and the numbers behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar

from dashboards.widgets.card import Content, Select
from gpvae_core.progress import Progress

R = TypeVar("R")
"""The request of a page: its state, resolved and checked."""


class Pane(ABC, Generic[R]):
    """One card of a page.

    >>> class Square(Pane[int]):
    ...     name, title = "square", "Square"
    ...     key = lambda self, request: request
    ...     compute = lambda self, request, progress: request**2
    ...     draw = lambda self, view, request: Content(sentence=f"{request} squared is {view}")
    >>> Square().draw(Square().compute(3, print), 3).sentence
    '3 squared is 9'
    """

    name: str
    title: str
    looks: ClassVar[str] = "tall"
    """How the card is styled, see `Card.looks`."""
    nothing: ClassVar[str] = "Nothing is chosen here."
    """What the card says where there is nothing to compute."""
    depends: ClassVar[tuple[str, ...]] = ()
    """Attributes of the request on which the computing depends, dotted where they are attributes of an attribute."""
    in_job: ClassVar[bool] = False
    """Whether the view is computed in a job that shows how far it is and can be cancelled."""
    to_csv: Callable[[Any], str] = staticmethod(str)
    """Writes the numbers of the view."""

    def key(self, request: R) -> Hashable:
        """Return what the computing depends on, and nothing else; None where there is nothing to compute."""
        return attrgetter(*self.depends)(request)

    @abstractmethod
    def compute(self, request: R, progress: Progress) -> Any:
        """Return the view: plain data, from which the figure and the CSV file are made."""

    @abstractmethod
    def draw(self, view: Any, request: R) -> Content:
        """Return the figure with its words."""

    def slow(self, request: R) -> bool:
        """Return whether this request is computed in a job."""
        return self.in_job

    def shown(self, request: R) -> bool:
        """Return whether the card is on the screen."""
        return True

    def drawing_key(self, request: R) -> Hashable:
        """Return what the drawing depends on beside the key, with the theme; None for anything: it is drawn anew."""
        return None

    def file(self, request: R) -> str:
        """Return the name of an exported file, without its ending."""
        return self.name

    def selects(self, request: R) -> tuple[Select, ...]:
        """Return the choices that stand in the heading whatever the card shows."""
        return ()

    def waits_for(self, request: R) -> str:
        """Return in words what is not ready yet; '' where all is."""
        return ""

    def missing(self, request: R) -> Content:
        """Return what the card shows where there is nothing to compute."""
        return Content(message=self.nothing)

    def aside(self, view: Any, request: R) -> str:
        """Return what the page shows of the view outside the card: a line, a film; '' for nothing."""
        return ""
