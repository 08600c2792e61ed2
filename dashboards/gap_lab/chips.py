"""The methods of a decoder, to be ticked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent


class Chips(JSComponent):
    """`items` are dicts of key, label, colour, checked, removable. Calls `toggle(key, on)` and `remove(key)`."""

    items = param.List(default=[])
    dark = param.Boolean(default=False)

    _esm = HERE / "chips.js"
    _stylesheets: ClassVar[list[str]] = [(HERE / "chips.css").read_text(encoding="utf-8")]

    def __init__(self, toggle: Callable[[str, bool], None], remove: Callable[[str], None], **params: Any) -> None:
        self._toggle, self._remove = toggle, remove
        super().__init__(**params)

    def _handle_msg(self, msg: Any) -> None:
        if "toggle" in msg:
            self._toggle(str(msg["toggle"]), bool(msg.get("on")))
        elif "remove" in msg:
            self._remove(str(msg["remove"]))
