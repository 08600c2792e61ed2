"""A figure with heading, sentence, controls and export menu, drawn by the plotly.js that panel brings along.

Drawing it ourselves, rather than through panel's pane, gives one redraw for each update instead of two, leaves the
figure's margins and fonts alone, and puts the alternative text where a screen reader finds it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import param
import plotly.graph_objects as go

from dashboards.widgets.base import Widget
from gpvae_core.formatting import typographic


@dataclass(frozen=True)
class Select:
    """A drop-down in a card's heading: its options, (key, text) each, and the key that is chosen."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]
    value: str


@dataclass(frozen=True)
class Content:
    """Everything that a card shows."""

    figure: str = ""
    """The plotly figure as JSON; without one the card holds texts alone."""
    sub: str = ""
    """Stands after the heading, such as the run's name."""
    sentence: str = ""
    """What the figure shows and how to read it."""
    alt: str = ""
    message: str = ""
    """A message about what is missing or went wrong; empty for none."""
    commands: tuple[str, ...] = ()
    """Commands for a terminal of which the message or the sentence speaks; each has a button that copies it."""
    busy: bool = False
    """Whether the card is still being computed."""
    dark: bool = False
    picks: bool = False
    """Whether a click on a point, or the Enter key at it, picks its image or point."""
    chosen: int | None = None
    """Index of the image or point that is shown, from which the arrow keys go to another that can be picked."""
    hovers: bool = False
    """Whether the pointer over a point shows its image."""
    pictures: str = ""
    """Name of the source of these images; the browser drops those it has when the name changes."""
    about: str = ""
    """The run and image, for the exported figure."""
    file: str = "view"
    """File name of an export, without its ending."""
    stamp: int = 0
    """Generation of the request that the content answers."""
    selects: tuple[Select, ...] = ()
    actions: tuple[tuple[str, str], ...] = ()
    """Buttons in the heading: (key, text)."""
    overlay: dict[str, Any] | None = None
    """Changes to the figure's layout, such as shapes, for which the figure need not be sent again."""


def as_json(figure: go.Figure) -> str:
    """Return the figure as JSON for plotly.js, with its arrays in base64."""
    return str(figure.to_json(validate=False))


def _as_dict(content: Content) -> dict[str, Any]:
    """Return the content without its figure, which stays in the browser until it changes; signs are as in figures."""
    values = asdict(content)
    figure = values.pop("figure")
    signs = {name: typographic(values[name]) for name in ("sub", "sentence", "alt")}
    return {**values, **signs, "visible": bool(figure)}


class Card(Widget):
    """A card; messages are 'pick' and 'hover' (index), 'csv' (kind), 'select' ([name, key]), 'action' (key)."""

    view = param.String(doc="Name of the view, for exports and measurements")
    title = param.String()
    help = param.String(doc="What an abbreviation in the title stands for; its tooltip")
    kinds = param.List(doc="What the view can be saved as: PNG, SVG, CSV or, for each of several tables, CSV: table")
    figure = param.String(doc="The figure shown last: it stays in the browser while messages hide it")
    content = param.Dict(default=_as_dict(Content()))

    def show(self, content: Content) -> None:
        """Show new content, in one message; a figure that has not changed is not sent again."""
        self.param.update(content=_as_dict(content), **({"figure": content.figure} if content.figure else {}))

    def answer(self, **data: Any) -> None:
        """Send the browser a CSV text or an image that it has asked for."""
        self._send_msg(data)
