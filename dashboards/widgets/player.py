"""The player of a film over the figures of cards: its buttons, and the frames, which the browser shows.

Panel's Player sends every step to the server; here the frames are in the browser, and a step redraws shapes alone.
"""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class FilmPlayer(Widget):
    """The film, with buttons to play and to go back, a slider through its steps and a choice of its speed."""

    frames = param.String(doc="What `film.film` gives, as JSON; empty for none")
    label = param.String(doc="What is played, for screen readers")
    back = param.String(doc="Where the film begins; the tooltip of the button that goes there")
    stays = param.Boolean(default=False, doc="The next film is shown at the step of the last, not from its start")
    from_end = param.Boolean(default=False, doc="The first film is shown at its last step, and a longer one as well")
    busy = param.Boolean(default=False)
