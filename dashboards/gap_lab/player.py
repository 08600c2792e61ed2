"""The player of SVI: buttons, sliders, and the film itself, which plays in the browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent
SETTINGS = ("start", "step_size", "momentum", "covariance")


class Player(JSComponent):
    """Calls `choose(values)` with the settings that the person changed, by their names in the page's state."""

    frames = param.String(doc="What `svi_path.frames` gives, as JSON; empty for none")
    settings = param.Dict(default={"starts": [], "chosen": {}}, doc="Runs to start from, and the settings that hold")
    busy = param.Boolean(default=False)
    dark = param.Boolean(default=False)

    _esm = HERE / "player.js"
    _stylesheets: ClassVar[list[str]] = [(HERE / "player.css").read_text(encoding="utf-8")]

    def __init__(self, choose: Callable[[dict[str, Any]], None], **params: Any) -> None:
        self._choose = choose
        super().__init__(**params)

    def _handle_msg(self, msg: Any) -> None:
        wanted = msg.get("settings")
        if isinstance(wanted, dict):
            self._choose({name: value for name, value in wanted.items() if name in SETTINGS})
