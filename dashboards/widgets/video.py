"""The player of a series of frames: its images, which the browser moves through, and the places of them in figures.

Panel's Player sends every step to the server; here all images are in the browser, in one strip each.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class VideoPlayer(Widget):
    """Images side by side at one instant of a series, with buttons to play and to go back, a slider and a speed."""

    film = param.String(doc="What `video_film.film` gives, as JSON; empty for none")
    stays = param.Boolean(default=False, doc="The next film is shown at the instant of the last, not from its start")
    busy = param.Boolean(default=False)
