"""The tabs of a page.

Panel's Tabs hold what they show, without room for a bar between the two, explain no tab under the pointer, and wait
for the Enter key once an arrow key has moved on.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class TabList(Widget):
    """A list of tabs; the message is 'tab' (key)."""

    label = param.String(doc="What is chosen, for a screen reader")
    tabs = param.List(default=[], doc="[key, text, help]")
    active = param.String()
