"""A pane: the view that one card of a page computes for a request, the figure drawn of it, and its CSV file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeVar

from dashboards.widgets.card import Content, Select
from gpvae_core.progress import Progress

R = TypeVar("R")
"""The request of a page: its state, checked, with the runs and data that it names."""


def one_file(write: Callable[[Any], str]) -> Mapping[str, Callable[[Any], str]]:
    """Return the `Pane.to_csv` of a view whose numbers are one table."""
    return {"": write}


class Pane(ABC, Generic[R]):
    """One card of a page. The session calls all of its methods in a thread.

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
    help: ClassVar[str] = ""
    """What an abbreviation in the title stands for."""
    nothing: ClassVar[str] = "Nothing is chosen here."
    """The card's message where there is nothing to compute."""
    depends: ClassVar[tuple[str, ...]] = ()
    """Attributes of the request on which the view depends, such as 'index' or 'lab.name'."""
    in_job: ClassVar[bool] = False
    """Whether the view is computed in a job, whose progress is shown and which can be cancelled."""
    to_csv: Mapping[str, Callable[[Any], str]] = one_file(str)
    """What the CSV files of a view hold, one table each -> function that writes it; the name of an only file is ''."""

    def key(self, request: R) -> Hashable:
        """Return all that the view depends on: it is computed again only when this changes. None for no view."""
        return attrgetter(*self.depends)(request)

    @abstractmethod
    def compute(self, request: R, progress: Progress) -> Any:
        """Return the view: plain data, of which the figure and the CSV file are made."""

    @abstractmethod
    def draw(self, view: Any, request: R) -> Content:
        """Return the card's content: the figure of the view with its sentence and alternative text."""

    def slow(self, request: R) -> bool:
        """Return whether the view for this request is computed in a job."""
        return self.in_job

    def shown(self, request: R) -> bool:
        """Return whether the card is part of the page for this request."""
        return True

    def drawing_key(self, request: R) -> Hashable:
        """Return all that the drawing depends on beside the key, such as the theme; None to draw at every request."""
        return None

    def subject(self, request: R) -> str:
        """Return the run and image that the view is about, for the exported figure and the names of files.

        What stands after the card's title is added, unless it says the same.
        """
        return ""

    def selects(self, request: R) -> tuple[Select, ...]:
        """Return the drop-downs that the heading has even while the card shows only a message."""
        return ()

    def waits_for(self, request: R) -> str:
        """Return a message about what has to be prepared before the view can be computed; '' for nothing."""
        return ""

    def missing(self, request: R) -> Content:
        """Return the card's content where `key` is None."""
        return Content(message=self.nothing)

    def aside(self, view: Any, request: R) -> str:
        """Return a text for `Page.beside`, such as a line about the view to show above the cards; '' for none."""
        return ""
