"""A listener for keys anywhere on the page; no widget of Panel's listens to keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dashboards.widgets.base import Widget


class PageKeys(Widget):
    """A widget that shows nothing: the left and right arrow key call `step(-1)` or `step(1)`, Escape `close()`."""

    def __init__(self, step: Callable[[int], None], close: Callable[[], None], **params: Any) -> None:
        handlers = {"step": lambda by: step(1 if by > 0 else -1), "escape": lambda _: close()}
        super().__init__(handlers, **{"width": 0, "height": 0, "margin": 0, **params})
