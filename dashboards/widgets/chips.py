"""Methods to tick, each in the colour in which it is drawn.

Panel's check boxes and pills have one colour for all, and none can be taken away again.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class Chips(Widget):
    """A row of check boxes; the messages are 'toggle' ([key, on]) and 'remove' (key)."""

    items = param.List(default=[], doc="Dicts of key, label, colour, checked, removable")
