"""What our own widgets have in common: a script and a style sheet beside each class, and answers from the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent
Handlers = Mapping[str, Callable[[Any], None]]


def script(name: str) -> str:
    """Return the text of NAME.js with the functions of `shared.js` in front.

    NOTE: panel hands a component to the browser as one blob, from which nothing relative can be imported.
    """
    return "\n".join((HERE / f"{part}.js").read_text(encoding="utf-8") for part in ("shared", name))


def styles(name: str) -> list[str]:
    """Return the style sheets of a component: the colours of both themes, then its own."""
    return [(HERE / f"{part}.css").read_text(encoding="utf-8") for part in ("shared", name)]


class Widget(JSComponent):
    """A component that calls `handlers[kind](value)` for each `kind: value` in a message from the browser."""

    dark = param.Boolean(default=False)

    def __init__(self, handlers: Handlers, **params: Any) -> None:
        self._handlers = handlers
        super().__init__(**params)

    def _handle_msg(self, msg: Any) -> None:
        for kind, handler in self._handlers.items():
            if kind in msg:
                handler(msg[kind])
