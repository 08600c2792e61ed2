"""The state of the Posterior Explorer: the choices that stand in its address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import param

from dashboards.lab.address import Checked, PageState
from gpvae_core.errors import UserError
from gpvae_core.inspection.views import Array
from gpvae_core.mapa import BANDWIDTHS
from gpvae_core.plots.tsne import COLOURS

AGAINST = ("inference gap", "approximation gap", "amortization gap", "negentropy", "number of modes")
PRINCIPAL = "principal"


def plane_dims(plane: str) -> tuple[str, tuple[int, int]]:
    """Return the kind of plane and its two dimensions, counted from 0, of 'principal' or '3,7' (counted from 1).

    Raises:
        UserError: the text is neither.
    """
    if plane == PRINCIPAL:
        return PRINCIPAL, (0, 1)
    if not re.fullmatch(r"[1-9][0-9]{0,8},[1-9][0-9]{0,8}", plane):
        raise UserError(f"plane: wanted 'principal' or two dimensions such as '1,2', got '{plane[:40]}'")
    first, second = plane.split(",")
    return "dims", (int(first) - 1, int(second) - 1)


class ExplorerState(PageState):
    """The choices of one Explorer page."""

    run = param.String(doc="Name of the run shown")
    other = param.String(doc="Name of the run compared with; empty for none")
    focus = param.Selector(default="first", objects=["first", "second"], doc="Run in the views of one run")
    index = param.Integer(default=0, bounds=(0, None), doc="Test image")
    of_class = param.String(doc="Class whose test images one steps through; empty for all")
    plane = Checked(PRINCIPAL, check=plane_dims, doc="Plane for d > 2")
    colour = param.Selector(default="class", objects=list(COLOURS), doc="Colour of the map")
    against = param.Selector(default=AGAINST[0], objects=list(AGAINST), doc="Quantity plotted against uncertainty")
    bandwidth = param.Selector(default=BANDWIDTHS[0], objects=list(BANDWIDTHS), doc="Width of MAPA's kernel")
    coordinates = param.Integer(
        default=1, bounds=(1, None), doc="First of the two coordinates of the traces, for d > 2"
    )
    own_image = param.Parameter(precedence=-1, doc="(source, (C, H, W) image) drawn or uploaded, None for a test image")
    unasked = param.String(precedence=-1, doc="Run that the page has chosen by itself, until it is opened; else empty")
    address_names: ClassVar[Mapping[str, str]] = {"other": "with", "of_class": "class"}
    steps = ("run", "other", "index")

    @property
    def names(self) -> tuple[str, ...]:
        """The chosen runs, one or two."""
        return names_of(self.run, self.other)

    @staticmethod
    def picked(index: int) -> dict[str, Any]:
        """Return the parameters that change where a test image is picked."""
        return {"index": index, "own_image": None}

    def pick(self, index: int) -> None:
        """Show a test image."""
        self.param.update(**self.picked(index))

    def place(self, source: str, image: Array) -> None:
        """Show an image that was drawn or uploaded."""
        self.own_image = (source, image)


def names_of(run: str, other: str) -> tuple[str, ...]:
    """Return the chosen runs; a run is not compared with itself."""
    return (run, other) if other and other != run else (run,)
