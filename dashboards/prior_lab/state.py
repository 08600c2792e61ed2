"""The state of the GP-Prior Lab: the choices that stand in its address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import param

from dashboards.lab.address import Checked, PageState, real_number
from gpvae_core.errors import UserError
from gpvae_core.evaluation.hidden_frames import HIDDEN
from gpvae_core.inspection.prior_lab.views import ERRORS, TIMES


def place_of(text: str) -> float | None:
    """Return the number that a place is, None for an empty text. Raises UserError for any other."""
    value = real_number(text) if text else None
    if text and value is None:
        raise UserError(f"at: wanted a number, got '{text[:40]}'")
    return value


class PriorLabState(PageState):
    """The choices of one GP-Prior Lab page."""

    run = param.String(doc="Run with a GP prior, or a rival that knows the columns of images")
    other = param.String(doc="Run on the same data shown beside it")
    item = param.Integer(default=1, bounds=(1, None), doc="Series of the test images, object or first row, from 1 on")
    pair = param.Integer(
        default=0, bounds=(0, None), doc="Pair of the grid, along its rows; 0: the first not trained on"
    )
    hide = param.Selector(default="none", objects=list(HIDDEN), doc="Frames of the series that the model is not given")
    at = Checked("", check=place_of, doc="Value of the number, such as the angle; empty for that of a test image")
    colour = param.String(doc="Column by which the map of the latents is coloured")
    error = param.Selector(default="mse", objects=list(ERRORS), doc="Error that runs are compared by")
    time = param.Selector(default="total", objects=list(TIMES), doc="Time that runs are compared by")
    address_names: ClassVar[Mapping[str, str]] = {"other": "with"}
    steps = ("run", "item")
