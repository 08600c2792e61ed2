"""Check boxes for methods, each in the colour in which its method is drawn.

Panel's check boxes and pills have one colour for all, and none of them can be removed.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class Chips(Widget):
    """A row of check boxes; the message is 'toggle' ([key, on]), with False also for a box that is removed."""

    items = param.List(
        default=[], doc="Dicts of key, label, help, colour, strokes (of a sample of the line), checked, removable"
    )
