"""What a state asks for: the values that hold, the request made of them, and what had to be said about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dashboards.lab.pane import R
from gpvae_core.errors import UserError
from gpvae_core.plots.theme import DARK, LIGHT, Theme

T = TypeVar("T")


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


class Values(dict[str, Any]):
    """The values of a state as they hold: what does not exist is replaced, and said.

    >>> values = Values({"index": 9})
    >>> values.below("index", 5, "test image"), values.resolved("request").corrections, values.complaints
    (0, {'index': 0}, ['wanted a test image from 0 to 4, got 9'])
    """

    def __init__(self, chosen: Mapping[str, Any]) -> None:
        super().__init__(chosen)
        self._chosen = dict(chosen)
        self.complaints: list[str] = []

    @property
    def theme(self) -> Theme:
        """The colours of the figures."""
        return DARK if self["dark"] else LIGHT

    def correct(self, name: str, value: Any, complaint: str = "") -> None:
        """Replace a value, and say why."""
        self[name] = value
        self.complaints += [complaint] if complaint else []

    def below(self, name: str, size: int, what: str) -> int:
        """Return the number `name` if it is below `size`, else correct it to 0."""
        if self[name] >= size:
            self.correct(name, 0, f"wanted a {what} from 0 to {size - 1}, got {self[name]}")
        return int(self[name])

    def attempt(self, work: Callable[[], T], otherwise: T) -> T:
        """Return what `work` returns; where it raises UserError, say why and return `otherwise`."""
        try:
            return work()
        except UserError as error:
            self.complaints.append(str(error))
            return otherwise

    def resolved(self, request: R, refused: str = "") -> Resolved[R]:
        """Return the request with all that was corrected and said."""
        corrections = {name: value for name, value in self.items() if value != self._chosen[name]}
        return Resolved(request, corrections, self.complaints, refused=refused)
