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
        self._standing: tuple[str, ...] = ()

    def say(self, line: str) -> None:
        """Say a line in place of what was said; '' clears it."""
        self._said = (line,)
        self._show()

    def add(self, *lines: str) -> None:
        """Say lines, those that are not empty, beside what was said."""
        self._said = (*self._said, *lines)
        self._show()

    def stand(self, lines: Sequence[str]) -> None:
        """Say these lines as long as they stand, whatever else is said."""
        self._standing = tuple(lines)
        self._show()

    def _show(self) -> None:
        lines = tuple(dict.fromkeys(filter(None, (*self._said, *self._standing))))
        text = html.escape(" · ".join(lines))
        self.pane.object = f'<div class="notice" role="alert">{text}</div>'  # before it is shown, never after
        self.pane.visible = bool(lines)
