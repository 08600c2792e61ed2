"""The line above a page's views that says what is wrong."""

from __future__ import annotations

import html
from collections.abc import Sequence

import panel as pn

STYLE = """
.notice { font-size: 13px; padding: 6px 10px; border-radius: 4px;
  border: 1px solid #c2410c; background: #fff4e5; color: #7c2d12; }
"""


class Notice:
    """What a person is told; hidden while there is nothing to say."""

    def __init__(self) -> None:
        self.pane = pn.pane.HTML("", visible=False, stylesheets=[STYLE], sizing_mode="stretch_width", margin=(2, 12))
        self._said: tuple[str, ...] = ()

    def say(self, line: str) -> None:
        """A line in place of what was said; '' clears it."""
        self.tell((line,) if line else ())

    def add(self, line: str) -> None:
        """A line beside what was said."""
        if line not in self._said:
            self.tell((*self._said, line))

    def tell(self, lines: Sequence[str]) -> None:
        """These lines, each once, in place of what was said."""
        self._said = tuple(dict.fromkeys(lines))
        text = html.escape(" · ".join(self._said))
        self.pane.object = f'<div class="notice" role="alert">{text}</div>'  # before it is shown, never after
        self.pane.visible = bool(self._said)
