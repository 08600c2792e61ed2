"""Methods to tick, each in the colour in which it is drawn.

Panel's check boxes and pills have one colour for all, and none can be taken away again.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class Chips(Widget):
    """A row of check boxes; the message is 'toggle' ([key, on]), with False also for one that is taken away."""

    items = param.List(default=[], doc="Dicts of key, label, colour, checked, removable")
