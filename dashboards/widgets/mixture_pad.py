"""A plane on which the Gaussians of a mixture are placed with the mouse or by keys; Panel has none."""

from __future__ import annotations

import param

from dashboards.widgets.base import Widget


class MixturePad(Widget):
    """The plane; the message is 'components', their text x:y:sd:weight with spaces between them, after each change."""

    components = param.String(doc="Means, standard deviations and relative weights of the Gaussians")
    most = param.Integer(default=1, doc="Largest number of Gaussians")
    reach = param.Number(default=5.0, doc="Half the side of the plane")
