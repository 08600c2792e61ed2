"""What a session asks of its page, and what the page answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from dashboards.lab.pane import Pane, R


@dataclass(frozen=True)
class Resolved(Generic[R]):
    """What a state asks for, with all that had to be said about it."""

    request: R
    corrections: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the state that had to be replaced, and by what."""
    complaints: Sequence[str] = ()
    """Said once: why it was corrected."""
    standing: Sequence[str] = ()
    """Said as long as the answer to this state has them."""
    refused: str = ""
    """Why nothing can be shown of it, such as two numbers that do not go together."""


class PageHooks(ABC, Generic[R]):
    """What a session asks of its page."""

    @abstractmethod
    def resolve(self, values: dict[str, Any]) -> Resolved[R] | None:
        """Return what the values of the state ask for, None where there is nothing to ask for yet; in a thread.

        Raises:
            UserError: nothing can be shown; every card says why.
        """

    def line_of(self, request: R) -> str | None:
        """Return the line above the cards as HTML, None to leave the one there is; in a thread."""
        return None

    def improved(self, request: R, current: Callable[[], bool]) -> R | None:
        """Return a request that shows more, after slow work on one that is answered already; in a thread."""
        return None

    # NOTE: what follows runs with the document's lock and may change widgets.

    def offer(self, request: R) -> None:
        """Tell the controls what holds and what there is to choose from."""

    def show_line(self, text: str) -> None:
        """Show the line above the cards."""

    def beside(self, pane: Pane[R], aside: str) -> None:
        """Show what belongs to a card's view but stands elsewhere on the page."""

    def pick(self, index: int) -> None:
        """Follow a click on a point of a figure."""

    def hover(self, pane: Pane[R], index: int) -> None:
        """Follow the pointer over a point of a figure."""

    def select(self, name: str, value: str) -> None:
        """Follow a choice in a card's heading."""

    def act(self, action: str) -> None:
        """Follow a button in a card's heading."""
