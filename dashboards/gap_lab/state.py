"""The state of the Gap Lab: the choices that stand in its address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import param

from dashboards.lab.address import Checked, PageState, listed, whole_number
from gpvae_core.errors import UserError
from gpvae_core.plots.accuracy_time import QUANTITIES

SEPARATOR = ";"
"""Stands between two methods in the address; a comma stands between the settings of a refiner."""


def test_index(text: str) -> int | None:
    """Return the index of the test image that a text names, None for an empty one. Raises UserError for any other."""
    index = whole_number(text) if text else None
    if text and (index is None or index < 0):
        raise UserError(f"test: wanted the number of a test image, got '{text[:40]}'")
    return index


class GapLabState(PageState):
    """The choices of one Gap Lab page."""

    decoder = param.String(doc="Name of the decoder, that of the run it was trained in")
    index = param.Integer(default=0, bounds=(0, None), doc="Validation image")
    test = Checked("", check=test_index, doc="Test image shown in place of a validation image; empty for none")
    chosen = param.String(doc="Methods shown, with ';' between them")
    gaps_of = param.Selector(default="image", objects=["image", "sample"], doc="Gaps of one image, or of a sample")
    start = param.String(doc="Run from whose approximate posterior SVI starts")
    step_size = param.Number(
        default=0.1, bounds=(1e-4, 2.0), doc="Length of a step, in standard deviations of the current Gaussian"
    )
    momentum = param.Number(default=0.5, bounds=(0.0, 0.99), doc="Share of the last step that the next one keeps")
    covariance = param.Selector(default="diagonal", objects=["diagonal", "full"], doc="Family of the refined Gaussian")
    quantity = param.Selector(default=QUANTITIES[0], objects=list(QUANTITIES), doc="Accuracy against time")
    epochs_of = param.String(doc="Run whose kept epochs are drawn")
    address_names: ClassVar[Mapping[str, str]] = {
        "chosen": "methods", "gaps_of": "of", "step_size": "step", "quantity": "y", "epochs_of": "epochs",
    }  # fmt: skip

    steps = ("decoder", "index", "test")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods shown, in their order."""
        return listed(self.chosen, SEPARATOR)

    def show(self, methods: tuple[str, ...]) -> None:
        """Show these methods, each once."""
        self.chosen = SEPARATOR.join(dict.fromkeys(methods))
