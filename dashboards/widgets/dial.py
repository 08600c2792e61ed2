"""A slider with a field for the number beside it.

Panel's editable sliders know no logarithmic scale, no buttons for numbers that have a name, and send every move.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class Dial(Widget):
    """A slider; the messages are 'typed' (the number as text, typed or moved to) and 'choice' (key of a button)."""

    label = param.String()
    help = param.String(doc="Meaning and unit of the value; the tooltip of the label")
    value = param.Number(default=0.0)
    low = param.Number(default=0.0)
    high = param.Number(default=1.0)
    logarithmic = param.Boolean(default=False)
    whole = param.Boolean(default=False, doc="Whole numbers only")
    notches = param.Integer(default=400, doc="Steps of a logarithmic slider")
    note = param.String(doc="Text behind the field: the unit, or the value in another unit")
    choices = param.List(default=[], doc="Buttons that set a named value: [key, text, tooltip, whether it is set]")
