"""The tabs of a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent


class TabList(JSComponent):
    """Calls `choose(key)`."""

    label = param.String(doc="What is chosen, for a screen reader")
    tabs = param.List(default=[], doc="[key, text, help]")
    active = param.String()
    dark = param.Boolean(default=False)

    _esm = HERE / "tabs.js"
    _stylesheets: ClassVar[list[str]] = [(HERE / "tabs.css").read_text(encoding="utf-8")]

    def __init__(self, choose: Callable[[str], None], **params: Any) -> None:
        self._choose = choose
        super().__init__(**params)

    def _handle_msg(self, msg: Any) -> None:
        if "tab" in msg:
            self._choose(str(msg["tab"]))
