"""A slider with a field for the number beside it.

Panel's editable sliders know no logarithmic scale, no buttons for numbers that have a name, and send every move.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import param

from dashboards.widgets.base import Widget


class Dial(Widget):
    """A slider that calls `moved(value)` as it moves, `typed(text)` for typed text, `picked(key)` for its buttons."""

    label = param.String()
    help = param.String(doc="What it is, and its unit")
    value = param.Number(default=0.0)
    low = param.Number(default=0.0)
    high = param.Number(default=1.0)
    logarithmic = param.Boolean(default=False)
    whole = param.Boolean(default=False, doc="Whole numbers only")
    notches = param.Integer(default=400, doc="Steps of a logarithmic slider")
    note = param.String(doc="Behind the number: its unit, or what it is in another one")
    choices = param.List(default=[], doc="Buttons: [key, text, help, whether it holds]")

    def __init__(
        self,
        moved: Callable[[float], None],
        typed: Callable[[str], None],
        picked: Callable[[str], None] = lambda key: None,
        **params: Any,
    ) -> None:
        handlers = {
            "value": lambda value: moved(value) if isinstance(value, int | float) and math.isfinite(value) else None,
            "typed": lambda text: typed(str(text)[:80]),
            "choice": lambda key: picked(str(key)),
        }
        super().__init__(handlers, **{"margin": (3, 3), **params})

    def settle(self) -> None:
        """Show the number that holds, whatever was typed."""
        self._send_msg({"settle": True})
