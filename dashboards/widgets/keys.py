"""Previous and next by the arrow keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from panel.custom import JSComponent


class ArrowKeys(JSComponent):
    """Calls `step(-1)` or `step(1)` for the left and right arrow key. Shows nothing."""

    _esm = Path(__file__).parent / "keys.js"

    def __init__(self, step: Callable[[int], None], **params: Any) -> None:
        self._step = step
        super().__init__(**{"width": 0, "height": 0, "margin": 0, **params})

    def _handle_msg(self, msg: Any) -> None:
        self._step(1 if msg["step"] > 0 else -1)
