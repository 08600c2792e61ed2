"""Links to the other pages of the server, for the header of each."""

from __future__ import annotations

import html
from collections.abc import Sequence

import panel as pn

STYLE = """
nav { color: #ffffff; display: flex; gap: 4px; font-size: 13px; align-items: center; }
a { color: inherit; text-decoration: none; white-space: nowrap;
  padding: 3px 10px; border-radius: 4px; border: 1px solid transparent; }
a:hover { border-color: currentColor; }
a:focus-visible { outline: 2px solid currentColor; outline-offset: 1px; }
a[aria-current=page] { background: rgba(255, 255, 255, 0.22); font-weight: 600; }
"""


def navigation(pages: Sequence[tuple[str, str]], current: str) -> pn.pane.HTML:
    """Return links to `pages`, (path, title) each; the page at the path `current` is marked."""
    here = ' aria-current="page"'
    links = [
        f'<a href="{html.escape(path)}"{here if path == current else ""}>{html.escape(title)}</a>'
        for path, title in pages
    ]
    text = f'<nav aria-label="Pages">{"".join(links)}</nav>'
    return pn.pane.HTML(text, stylesheets=[STYLE], margin=(0, 12))
