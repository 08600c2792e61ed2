"""What the runs on a page are: method, data, epochs, noise and state of each, one click away."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import panel as pn

from dashboards.lab.library import RunLibrary

STYLE = """
details { font-size: 12px; line-height: 1.45; }
summary { cursor: pointer; width: fit-content; }
.holder { overflow-x: auto; }
table { border-collapse: collapse; margin: 2px 0 4px 0; }
th, td { text-align: left; vertical-align: top; padding: 1px 12px 1px 0; }
th { font-weight: 600; white-space: nowrap; }
td { overflow-wrap: anywhere; min-width: 60px; }
"""


class AboutRuns:
    """A line that opens to a table with a row for each run shown; hidden where a page shows none."""

    def __init__(self, library: RunLibrary) -> None:
        self._library = library
        self.panel = pn.pane.HTML(
            "", visible=False, stylesheets=[STYLE], sizing_mode="stretch_width", margin=(0, 12), max_width=1400
        )

    def show(self, names: Sequence[str]) -> None:
        """Describe these runs; a table that stays the same stays open."""
        known = set(self._library.names())
        rows = [self._library.about(name) for name in dict.fromkeys(names) if name in known]
        if rows:
            lines = [_line("th", rows[0]), *(_line("td", row.values()) for row in rows)]
            table = f'<div class="holder"><table>{"".join(lines)}</table></div>'
            what = "About this run" if len(rows) == 1 else f"About these {len(rows)} runs"
            self.panel.object = f'<details class="about"><summary>{what}</summary>{table}</details>'
        self.panel.visible = bool(rows)


def _line(tag: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(text)}</{tag}>' for text in texts)}</tr>"
