"""A listener for the left and right arrow keys anywhere on the page; no widget of Panel's listens to keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dashboards.widgets.base import Widget


class ArrowKeys(Widget):
    """A widget that shows nothing and calls `step(-1)` or `step(1)` for the left and right arrow key."""

    def __init__(self, step: Callable[[int], None], **params: Any) -> None:
        handlers = {"step": lambda by: step(1 if by > 0 else -1)}
        super().__init__(handlers, **{"width": 0, "height": 0, "margin": 0, **params})
