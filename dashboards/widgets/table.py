"""A table that sorts by its headings, with downloads and commands to copy.

Panel's Tabulator gives a screen reader neither headings of rows nor the way a column is sorted, and sorts what is not
known among the numbers.
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
"""What the rows shown can be saved as, and the type of each file."""
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
    command: str = ""
    """A command to copy."""


@dataclass(frozen=True)
class TableLine:
    """A row; those of one group stand together, under a rule, in the table's own order."""

    id: str
    cells: tuple[Item, ...]
    group: str = ""


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

    body = param.String(doc="The table as HTML")

    def __init__(self, save: Callable[[str], None], **params: Any) -> None:
        self._content, self._sorted_by, self._descending = TableContent(), "", False
        handlers = {"save": lambda kind: save(kind) if kind in TYPES else None, "sort": self._sort}
        super().__init__(handlers, **params)

    def show(self, content: TableContent) -> None:
        """Replace what is shown; rows that arrive later fall into the order of sorting."""
        before = {line.id: line.cells for line in self._content.rows if self._content.scope == content.scope}
        self._content = content
        self._draw({line.id for line in content.rows if before.get(line.id, line.cells) != line.cells})

    def send(self, kind: str, name: str, text: str) -> None:
        """Have the browser save a file."""
        self._send_msg({"text": text, "file": name, "type": TYPES[kind]})

    def _sort(self, key: str) -> None:
        """Sort numbers by the largest first, words from A to Z; then the other way; then in the table's own order."""
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
    """Return the rows sorted by a column; what is not known comes last in either direction."""

    def natural(line: TableLine) -> Any:
        """Return a number itself, and a text such that IAF(4) comes before IAF(16)."""
        value = line.cells[column].sort
        if not isinstance(value, str):
            return value
        return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", value)]

    known = [line for line in rows if line.cells[column].sort is not None]
    unknown = [line for line in rows if line.cells[column].sort is None]
    return [*sorted(known, key=natural, reverse=descending), *unknown]
