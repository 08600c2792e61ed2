"""A table that sorts by its headings, with downloads and commands to copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

HERE = Path(__file__).parent
TYPES = {"CSV": "text/csv", "LaTeX": "application/x-tex"}
"""What the rows shown can be saved as, and the type of each file."""


@dataclass(frozen=True)
class Column:
    """A heading: its key, its words with the unit, and what it means."""

    key: str
    title: str
    hint: str
    numeric: bool = True


@dataclass(frozen=True)
class Entry:
    """What one row says in one column, and what it is sorted by (None last)."""

    text: str
    sort: float | str | None
    mark: str = ""
    """Style: best, close, soft or warn."""
    title: str = ""
    """More, under the pointer."""


@dataclass(frozen=True)
class Line:
    """A row; the command computes what it lacks."""

    id: str
    cells: tuple[Entry, ...]
    command: str = ""
    group: str = ""
    """Rows of one group stand together, under a rule, in the table's own order."""


@dataclass(frozen=True)
class Call:
    """A command to copy, and what it is for."""

    words: str
    command: str
    first: bool = False
    """It is what to begin with."""


@dataclass(frozen=True)
class TableContent:
    """Everything the table shows."""

    title: str = ""
    sub: str = ""
    key: str = ""
    """What the marks mean."""
    calls: tuple[Call, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[Line, ...] = ()
    scope: str = ""
    """While it stays the same, a row that changes is shown as fresh."""
    dark: bool = False


class ResultsTable(JSComponent):
    """The widget; `save(kind)` is called when a download is asked for, and answers by `send`."""

    kinds = param.List(default=list(TYPES), doc="What the rows shown can be saved as")
    content = param.Dict(default={})

    _esm = HERE / "table.js"
    _stylesheets: ClassVar[list[str]] = [(HERE / "table.css").read_text(encoding="utf-8")]

    def __init__(self, save: Callable[[str], None], **params: Any) -> None:
        self._save = save
        super().__init__(**{"content": asdict(TableContent()), **params})

    def show(self, content: TableContent) -> None:
        """Replace what is shown."""
        self.content = asdict(content)

    def send(self, kind: str, name: str, text: str) -> None:
        """Have the browser save a file."""
        self._send_msg({"text": text, "file": name, "type": TYPES[kind]})

    def _handle_msg(self, msg: Any) -> None:
        if msg.get("save") in TYPES:
            self._save(msg["save"])
