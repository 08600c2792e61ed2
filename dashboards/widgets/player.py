"""The player of the film of SVI: its buttons, and the frames, which the browser shows.

Panel's Player sends every step to the server; here the frames are in the browser, and a step redraws shapes alone.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class FilmPlayer(Widget):
    """The film, with buttons to play and to go back, a slider through its steps and a choice of its speed."""

    frames = param.String(doc="What `svi_path.frames` gives, as JSON; empty for none")
    stays = param.Boolean(default=False, doc="The next film is shown at the step of the last, not from its start")
    busy = param.Boolean(default=False)
