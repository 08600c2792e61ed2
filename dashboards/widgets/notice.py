"""The line at the top of a page that shows errors, corrections and warnings."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import chain

import panel as pn

STYLE = """
.notice { font-size: 13px; padding: 6px 10px; border-radius: 4px;
  border: 1px solid #c2410c; background: #fff4e5; color: #7c2d12; }
"""


class Notice:
    """A line of messages, hidden while there are none."""

    def __init__(self) -> None:
        self.pane = pn.pane.HTML("", visible=False, stylesheets=[STYLE], sizing_mode="stretch_width", margin=(2, 12))
        self._messages: tuple[str, ...] = ()
        self._lasting: dict[str, tuple[str, ...]] = {}

    def show(self, line: str) -> None:
        """Show a message in place of those so far; '' removes them."""
        self._messages = (line,)
        self._draw()

    def add(self, *lines: str) -> None:
        """Add messages to those that are shown; empty ones are left out."""
        self._messages = (*self._messages, *lines)
        self._draw()

    def set_lasting(self, lines: Sequence[str], about: str = "request") -> None:
        """Replace the warnings about something, which stay beside all messages until they are replaced again."""
        if self._lasting.get(about, ()) != tuple(lines):
            self._lasting[about] = tuple(lines)
            self._draw()

    def _draw(self) -> None:
        lines = tuple(dict.fromkeys(filter(None, (*self._messages, *chain.from_iterable(self._lasting.values())))))
        text = html.escape(" · ".join(lines))
        # The text first: a notice that becomes visible before it is shown empty for a moment.
        self.pane.object = f'<div class="notice" role="alert">{text}</div>'
        self.pane.visible = bool(lines)
