"""The player of SVI: buttons, sliders, and the film itself, which plays in the browser.

Panel's Player sends every step to the server; here the frames are in the browser, and a step redraws shapes alone.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget, script, styles


class FilmPlayer(Widget):
    """The messages are 'settings', with those that the person changed, by their names in the page's state."""

    frames = param.String(doc="What `svi_path.frames` gives, as JSON; empty for none")
    settings = param.Dict(default={"starts": [], "chosen": {}}, doc="Runs to start from, and the settings that hold")
    busy = param.Boolean(default=False)

    _esm = script("player")
    _stylesheets = styles("player")
