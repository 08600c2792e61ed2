"""The base class of our own widgets, which loads each one's script and styles and handles the browser's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

FOLDER = Path(__file__).parent
Handlers = Mapping[str, Callable[[Any], None]]


def _read(*names: str) -> list[str]:
    """Return the texts of those of these files that exist, in the folder of this module."""
    paths = (FOLDER / name for name in names)
    return [path.read_text(encoding="utf-8") for path in paths if path.is_file()]


class Widget(JSComponent):
    """A component that calls `handlers[kind](value)` for each `kind: value` in a message from the browser.

    Its script and styles lie beside its module under the same name; `shared.js`, `shared.css` and, of a component that
    saves files, a script with `_files` in its name go before them.
    """

    dark = param.Boolean(default=False)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        name = cls.__module__.rpartition(".")[2]
        # NOTE: panel hands a component to the browser as one blob, from which nothing relative can be imported.
        cls._esm = "\n".join(_read("shared.js", f"{name}_files.js", f"{name}.js"))
        cls._stylesheets = _read("shared.css", f"{name}.css")

    def __init__(self, handlers: Handlers, **params: Any) -> None:
        self._handlers = handlers
        super().__init__(**params)

    def settle(self) -> None:
        """Have the browser show the widget's value again, in place of what was typed or ticked but refused."""
        self._send_msg({"settle": True})

    def _handle_msg(self, msg: Any) -> None:
        for kind, handler in self._handlers.items():
            if kind in msg:
                handler(msg[kind])
