"""What one page shows: everything a person can choose, and how it is written into the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import param

from gpvae_core.errors import UserError
from gpvae_core.explore.views import Array
from gpvae_core.mapa import BANDWIDTHS
from gpvae_core.plots.tsne import COLOURS

AGAINST = ("inference gap", "approximation gap", "amortization gap", "negentropy", "number of modes")
IN_ADDRESS = {
    "run": "run",
    "other": "with",
    "focus": "focus",
    "index": "index",
    "plane": "plane",
    "colour": "colour",
    "against": "against",
    "bandwidth": "bandwidth",
    "coordinates": "coordinates",
}
"""Parameter -> its name in the address."""


class PageState(param.Parameterized):
    """The choices of one page."""

    run = param.String(doc="Name of the run shown")
    other = param.String(doc="Name of the run compared with; empty for none")
    focus = param.Selector(default="first", objects=["first", "second"], doc="Which of the two the single views show")
    index = param.Integer(default=0, bounds=(0, None), doc="Test image")
    plane = param.String(default="principal", regex=r"^(principal|[1-9]\d*,[1-9]\d*)$", doc="Plane for d > 2")
    colour = param.Selector(default="class", objects=list(COLOURS), doc="Colour of the map")
    against = param.Selector(default=AGAINST[0], objects=list(AGAINST), doc="What uncertainty is compared with")
    bandwidth = param.Selector(default=BANDWIDTHS[0], objects=list(BANDWIDTHS), doc="Width of MAPA's kernel")
    coordinates = param.Integer(
        default=1, bounds=(1, None), doc="First of the two coordinates of the traces, for d > 2"
    )
    dark = param.Boolean(default=False)
    own_image = param.Parameter(doc="(source, (C, H, W) image) drawn or uploaded, None for a test image")

    @property
    def names(self) -> tuple[str, ...]:
        """The runs chosen, one or two."""
        return (self.run, self.other) if self.other and self.other != self.run else (self.run,)

    def pick(self, index: int) -> None:
        """Look at a test image."""
        self.param.update(index=index, own_image=None)

    def place(self, source: str, image: Array) -> None:
        """Look at an image that is not in the data set."""
        self.own_image = (source, image)


def plane_dims(plane: str) -> tuple[str, tuple[int, int]]:
    """'principal' or '3,7' (counted from 1) -> kind of plane and the two dimensions counted from 0."""
    if plane == "principal":
        return "principal", (0, 1)
    first, second = plane.split(",")
    return "dims", (int(first) - 1, int(second) - 1)


def _parsed(state: PageState, name: str, text: str) -> Any:
    key, wanted = IN_ADDRESS[name], state.param[name]
    if isinstance(wanted, param.Integer):
        lowest = int((wanted.bounds or (0,))[0] or 0)
        if not text.isdecimal() or len(text) > 9 or int(text) < lowest:
            raise UserError(f"{key}: wanted a whole number from {lowest} on, got '{text[:40]}'")
        return int(text)
    if isinstance(wanted, param.Selector) and text not in wanted.objects:
        raise UserError(f"{key}: wanted one of {', '.join(wanted.objects)}, got '{text}'")
    return text


def read_address(state: PageState, query: Mapping[str, list[str]]) -> list[str]:
    """Set the state from an address's query; returns a line for each value that was wrong and left as it was."""
    complaints = []
    if IN_ADDRESS["run"] in query and IN_ADDRESS["other"] not in query:
        state.other = ""  # an address that names one run means that one alone
    for name, key in IN_ADDRESS.items():
        if key not in query:
            continue
        try:
            setattr(state, name, _parsed(state, name, query[key][0][:200]))
        except UserError as error:
            complaints.append(str(error))
        except ValueError:
            complaints.append(f"{key}: wanted 'principal' or two dimensions such as '1,2', got '{query[key][0][:40]}'")
    return complaints
