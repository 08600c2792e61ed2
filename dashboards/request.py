"""What a page asks for at one moment, and what a view answers."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import plotly.graph_objects as go

from dashboards.widgets.card import Select
from gpvae_core.explore.views import Instance
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.explore.explorer import Explorer
    from gpvae_core.mapa import Bandwidth

READY_WORDS = {
    "encodings": "the test images are being encoded",
    "atlas": "the latent grid is being decoded",
    "reference": "the training images are being encoded",
    "map": "the t-SNE map is being laid out",
    "gaps": "the gaps of a sample are being computed",
    "correlations": "the correlations are being computed",
}


@dataclass(frozen=True)
class Side:
    """One of the runs compared, with the image as an instance of it."""

    name: str
    explorer: Explorer
    instance: Instance


@dataclass(frozen=True)
class Request:
    """The state of a page, resolved: runs loaded, names checked."""

    sides: tuple[Side, ...]
    focus: int
    plane: str
    colour: str
    against: str
    bandwidth: Bandwidth
    coordinates: int
    """The first of the two coordinates that the traces show, from 1; d = 2 has no other."""
    theme: Theme
    stamp: int
    identity: Hashable
    """Stands for the image: its index, or a number for one drawn or uploaded."""
    refined: bool = False
    """The best Gaussians have been optimised for this request."""

    @property
    def focal(self) -> Side:
        """The run that the single views show."""
        return self.sides[self.focus]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(side.name for side in self.sides)


@dataclass(frozen=True)
class Drawn:
    """A view's answer: the figure as JSON, texts, and what the card needs to know."""

    figure: str
    sub: str
    sentence: str
    alt: str
    message: str = ""
    selects: tuple[Select, ...] = ()
    actions: tuple[tuple[str, str], ...] = ()
    overlay: dict[str, Any] | None = None
    picks: bool = False
    hovers: bool = False
    visible: bool = True
    pending: bool = field(default=False)
    """More of it comes by itself."""


class View(Protocol):
    """One card of the page."""

    name: str
    title: str
    needs: frozenset[str]
    """What the explorer must have ready."""

    def key(self, request: Request) -> Hashable:
        """Two requests with the same key get the same answer."""
        ...

    def draw(self, request: Request) -> Drawn: ...

    def csv(self, request: Request) -> str:
        """The numbers shown."""
        ...


def tables(request: Request, of: Callable[[Side], str]) -> str:
    """The CSV of each run compared; where there are two, under a line that names the run."""
    if len(request.sides) == 1:
        return of(request.sides[0])
    named = {side.name.replace('"', '""'): of(side) for side in request.sides}
    return "\n".join(f'run,"{name}"\n{text}' for name, text in named.items())


def as_json(figure: go.Figure) -> str:
    """The figure as plotly.js reads it, arrays in base64."""
    return str(figure.to_json(validate=False))
