"""What panel-material-ui 0.16 leaves out for the keyboard and for screen readers, and none of its options sets.

Its drop-downs open by a click alone, and their options have the role of a menu's. The buttons of its number fields have
no name, and after the Enter key such a field ignores what is typed until it loses the focus.
"""

from __future__ import annotations

from typing import Any

from dashboards.widgets.base import Widget


class Access(Widget):
    """A widget that shows nothing and mends all others of the page in the browser."""

    def __init__(self, **params: Any) -> None:
        super().__init__({}, **{"width": 0, "height": 0, "margin": 0, **params})
