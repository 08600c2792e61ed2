"""A figure with heading, sentence, controls and export buttons, drawn by the plotly.js that panel brings along.

Drawing it ourselves, rather than through panel's pane, gives one redraw for each update instead of two, leaves the
figure's margins and fonts alone, and puts the alternative text where a screen reader finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Select:
    """A choice offered in a card's heading: (key, text) options and the key that holds."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]
    value: str


@dataclass(frozen=True)
class Content:
    """What a card shows beside its figure."""

    sub: str = ""
    """After the heading: which run, which plane."""
    sentence: str = ""
    """What the figure shows and how to read it."""
    alt: str = ""
    message: str = ""
    """What is missing or went wrong; empty for nothing."""
    visible: bool = True
    busy: bool = False
    dark: bool = False
    picks: bool = False
    """A click on a point picks an instance."""
    hovers: bool = False
    """Hovering asks for the instance's picture."""
    pictures: str = ""
    """Whose pictures; a change forgets those already fetched."""
    file: str = "view"
    """File name of an export, without its ending."""
    stamp: int = 0
    """Number of the request this answers."""
    selects: tuple[Select, ...] = ()
    actions: tuple[tuple[str, str], ...] = ()
    """Buttons in the heading: (key, text)."""
    overlay: dict[str, Any] | None = field(default=None)
    """Changes to the layout that need no new figure."""


Handler = Callable[[Any], None]


class Card(JSComponent):
    """The widget. Handlers by message: 'pick' (index), 'hover' (index), 'csv' (True), 'select' ((name, key)),
    'action' (key)."""

    view = param.String(doc="Name of the view, for exports and measurements")
    title = param.String()
    kinds = param.List(default=["PNG", "SVG", "CSV"], doc="What the view can be saved as")
    figure = param.String(doc="The plotly figure as JSON")
    content = param.Dict(default={})

    _esm = HERE / "card.js"
    _stylesheets: ClassVar[list[str]] = [(HERE / "card.css").read_text(encoding="utf-8")]

    def __init__(self, handlers: dict[str, Handler], **params: Any) -> None:
        self._handlers = handlers
        super().__init__(**{"content": asdict(Content()), **params})

    def show(self, content: Content, figure: str | None = None) -> None:
        """Replace the content, and the figure where one is given, in one message."""
        changes: dict[str, Any] = {"content": asdict(content)}
        if figure is not None:
            changes = {"figure": figure} | changes
        self.param.update(**changes)

    def answer(self, **data: Any) -> None:
        """Send data to the browser: a CSV text or a picture that was asked for."""
        self._send_msg(data)

    def _handle_msg(self, msg: Any) -> None:
        for kind, handler in self._handlers.items():
            if kind in msg:
                handler((msg["select"], msg["value"]) if kind == "select" else msg[kind])
