"""A table that is sorted by a click on a heading, with downloads and commands to copy.

Panel's Tabulator gives a screen reader neither headings of rows nor the order of a sorted column, and it sorts missing
values among the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jinja2
import param

from dashboards.widgets.base import Widget

TYPES = {"CSV": "text/csv", "LaTeX": "application/x-tex"}
"""The formats in which the rows shown can be saved, and the media type of each."""
BODY = jinja2.Environment(autoescape=True).from_string("""
{% macro button(act, value, text, label, id) -%}
<button type="button" class="{{ act }}" id="{{ act }}-{{ id }}" data-act="{{ act }}" data-value="{{ value }}"
  title="{{ label }}" aria-label="{{ label }}">{{ text }}</button>
{%- endmacro %}
{% macro copy(command, id) %}{{ button("copy", command, "Copy", "Copy the command: " ~ command, id) }}{% endmacro %}
<div class="head">
  <h2>{{ title }}</h2><span class="sub" title="{{ sub }}">{{ sub }}</span>
  <div class="tools">
    {%- for kind in kinds %}{{ button("save", kind, kind, "Save the rows shown as " ~ kind, kind) }}{% endfor -%}
  </div>
</div>
{% for call in calls %}<p class="call {{ "first" if call.first }}">
  {{ call.words }} <code>{{ call.command }}</code>{{ copy(call.command, loop.index) }}
</p>{% endfor %}
<div class="holder" id="rows" tabindex="0" role="region" aria-label="{{ title }}"><table>
  <thead><tr>{% for column in columns %}{% set sorted = way if column.key == sorted_by else "none" %}
    <th class="{{ "number" if column.numeric }}" scope="col" aria-sort="{{ sorted }}">{{ button(
      "sort", column.key, column.title ~ {"ascending": " ▲", "descending": " ▼"}.get(sorted, ""),
      "Sort by " ~ column.title ~ ". " ~ column.hint, column.key) }}</th>
  {% endfor %}</tr></thead>
  <tbody>{% for line in rows %}
    <tr class="{{ "fresh" if line.id in fresh }} {{ "group" if loop.changed(line.group) and not loop.first }}">
    {% for item in line.cells %}
      {%- set column = columns[loop.index0] %}
      <{{ "td" if loop.index0 else 'th scope="row"'|safe }} class="{{ "number" if column.numeric }} {{ item.mark }}"
        data-key="{{ column.key }}" title="{{ item.title }}">{{ item.text -}}
        {% if item.command %}{{ copy(item.command, line.id) }}{% endif %}</{{ "td" if loop.index0 else "th" }}>
    {%- endfor %}</tr>
  {% endfor %}</tbody>
</table></div>
<p class="key">{{ key }}</p>
""")


@dataclass(frozen=True)
class Heading:
    """The heading of a column: its key, its title with the unit, and a hint about its meaning."""

    key: str
    title: str
    hint: str
    numeric: bool = True


@dataclass(frozen=True)
class Item:
    """The entry of one row in one column, and the value by which it is sorted (None last)."""

    text: str
    sort: float | str | None
    mark: str = ""
    """Style: best, close, soft or warn."""
    title: str = ""
    """The tooltip."""
    command: str = ""
    """A command to copy."""


@dataclass(frozen=True)
class TableLine:
    """A row; unless the table is sorted, the rows of one group are separated from the others by a line."""

    id: str
    cells: tuple[Item, ...]
    group: str = ""


@dataclass(frozen=True)
class Call:
    """A command to copy, and what it is for."""

    words: str
    command: str
    first: bool = False
    """Whether it is the command to begin with."""


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
    """A key of the table: while it stays the same, rows that change are highlighted."""


class ResultsTable(Widget):
    """The widget of the table; it calls `save(kind)` when the user wants a download, which `send` then delivers."""

    body = param.String(doc="The table as HTML")

    def __init__(self, save: Callable[[str], None], **params: Any) -> None:
        self._content, self._sorted_by, self._descending = TableContent(), "", False
        handlers = {"save": lambda kind: save(kind) if kind in TYPES else None, "sort": self._sort}
        super().__init__(handlers, **params)

    def show(self, content: TableContent) -> None:
        """Show new content, sorted as the user has chosen; highlight the rows that have changed."""
        before = {line.id: line.cells for line in self._content.rows if self._content.scope == content.scope}
        self._content = content
        self._draw({line.id for line in content.rows if before.get(line.id, line.cells) != line.cells})

    def send(self, kind: str, name: str, text: str) -> None:
        """Send the browser a file to save."""
        self._send_msg({"text": text, "file": name, "type": TYPES[kind]})

    def _sort(self, key: str) -> None:
        """Sort by a column: numbers in descending, texts in ascending order; then reversed; then not at all."""
        numeric = any(column.numeric for column in self._content.columns if column.key == key)
        if self._sorted_by != key:
            self._sorted_by, self._descending = key, numeric
        elif self._descending == numeric:
            self._descending = not numeric
        else:
            self._sorted_by = ""
        self._draw()

    def _draw(self, fresh: Collection[str] = ()) -> None:
        values, keys = vars(self._content), [column.key for column in self._content.columns]
        way = "descending" if self._descending else "ascending"
        if self._sorted_by in keys:
            rows = in_order(values["rows"], keys.index(self._sorted_by), self._descending)
            values = {**values, "rows": [replace(line, group="") for line in rows]}
        else:
            self._sorted_by = ""
        self.body = BODY.render(kinds=TYPES, fresh=fresh, way=way, sorted_by=self._sorted_by, **values)


def in_order(rows: Sequence[TableLine], column: int, descending: bool) -> list[TableLine]:
    """Return the rows sorted by a column; rows without a value come last in either direction."""

    def natural(line: TableLine) -> Any:
        """Return the key of a row for sorting, by which IAF(4) comes before IAF(16)."""
        value = line.cells[column].sort
        if not isinstance(value, str):
            return value
        return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", value)]

    known = [line for line in rows if line.cells[column].sort is not None]
    unknown = [line for line in rows if line.cells[column].sort is None]
    return [*sorted(known, key=natural, reverse=descending), *unknown]
