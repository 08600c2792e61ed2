"""A slider with a field for the number beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent


class Dial(JSComponent):
    """Calls `moved(value)` while it is moved, `typed(text)` for what is typed, `picked(key)` for its buttons."""

    label = param.String()
    help = param.String(doc="What it is, and its unit")
    value = param.Number(default=0.0)
    low = param.Number(default=0.0)
    high = param.Number(default=1.0)
    logarithmic = param.Boolean(default=False)
    whole = param.Boolean(default=False, doc="Whole numbers only")
    note = param.String(doc="Behind the number: its unit, or what it is in another one")
    choices = param.List(default=[], doc="Buttons: [key, text, help, whether it holds]")
    dark = param.Boolean(default=False)

    _esm = HERE / "dial.js"
    _stylesheets: ClassVar[list[str]] = [(HERE / "dial.css").read_text(encoding="utf-8")]

    def __init__(
        self,
        moved: Callable[[float], None],
        typed: Callable[[str], None],
        picked: Callable[[str], None] | None = None,
        **params: Any,
    ) -> None:
        self._moved, self._typed, self._picked = moved, typed, picked
        super().__init__(**{"margin": (3, 3), **params})

    def settle(self) -> None:
        """Show the number that holds, whatever was typed."""
        self._send_msg({"settle": True})

    def _handle_msg(self, msg: Any) -> None:
        value = msg.get("value")
        if isinstance(value, int | float) and math.isfinite(value):
            self._moved(value)
        elif "typed" in msg:
            self._typed(str(msg["typed"])[:80])
        elif "choice" in msg and self._picked is not None:
            self._picked(str(msg["choice"]))
