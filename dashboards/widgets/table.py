"""A table that sorts by its headings, with downloads and commands to copy.

Panel's Tabulator gives a screen reader neither headings of rows nor the way a column is sorted, and sorts what is not
known among the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import param

from dashboards.widgets.base import Widget

TYPES = {"CSV": "text/csv", "LaTeX": "application/x-tex"}
"""What the rows shown can be saved as, and the type of each file."""


@dataclass(frozen=True)
class Heading:
    """A heading: its key, its words with the unit, and what it means."""

    key: str
    title: str
    hint: str
    numeric: bool = True


@dataclass(frozen=True)
class Item:
    """What one row says in one column, and what it is sorted by (None last)."""

    text: str
    sort: float | str | None
    mark: str = ""
    """Style: best, close, soft or warn."""
    title: str = ""
    """More, under the pointer."""


@dataclass(frozen=True)
class TableLine:
    """A row; the command computes what it lacks."""

    id: str
    cells: tuple[Item, ...]
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
    columns: tuple[Heading, ...] = ()
    rows: tuple[TableLine, ...] = ()
    scope: str = ""
    """While it stays the same, a row that changes is shown as fresh."""


class ResultsTable(Widget):
    """The widget; `save(kind)` is called when a download is asked for, and answers by `send`."""

    kinds = param.List(default=list(TYPES), doc="What the rows shown can be saved as")
    content = param.Dict(default={})

    def __init__(self, save: Callable[[str], None], **params: Any) -> None:
        handlers = {"save": lambda kind: save(kind) if kind in TYPES else None}
        super().__init__(handlers, **{"content": asdict(TableContent()), **params})

    def show(self, content: TableContent) -> None:
        """Replace what is shown."""
        self.content = asdict(content)

    def send(self, kind: str, name: str, text: str) -> None:
        """Have the browser save a file."""
        self._send_msg({"text": text, "file": name, "type": TYPES[kind]})
