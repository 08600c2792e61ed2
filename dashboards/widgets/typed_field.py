"""A text field in the looks of the other fields, which keeps what is being typed when its value changes.

Panel's text fields take each new value from the server at once, over what the user is typing.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class TypedField(Widget):
    """A labelled text field; the message is 'typed' (the text), once it is entered or the field is left."""

    label = param.String()
    help = param.String(doc="Tooltip of the field")
    value = param.String()
