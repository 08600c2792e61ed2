"""What a page needs of its browser beside its widgets: the history of addresses, the theme, the links to other pages.

Panel keeps the address up to date but does not listen to Back, and panel-material-ui forgets the theme with the page.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import FOLDER, Widget

THEME = "gpvae-theme"
"""Name of the cookie of the theme: 'dark' or 'light' as chosen, 'system-dark' or 'system-light' as in the system."""
LOST = (FOLDER / "lost.js").read_text(encoding="utf-8")
"""Script for the browser that has lost its server: it says so, and loads the page again once the server answers."""


class Browser(Widget):
    """A widget that shows nothing; messages are 'address' (query of the entry of the history that Back or Forward has
    reached), 'dark' (whether the system's theme is dark, where the user has chosen none) and 'lost' (the page was
    loaded again while it showed something that is not in its address).
    """

    steps = param.Integer(default=0, doc="Raised before the address changes to something that Back shall return from")
    unkept = param.Boolean(default=False, doc="Whether the page shows something that is not in its address")
    places = param.Dict(default={}, doc="For each page, the names that the run and the image have in its address")
    ready = param.Boolean(default=False, doc="Whether the server listens")
    theme = param.String(default=THEME, constant=True)
