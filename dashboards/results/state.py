"""The state of the Results page: the choices that stand in its address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

import param

from dashboards.lab.address import Checked, PageState
from gpvae_core.errors import UserError

MAX_RUNS = 1000


def dims_of(text: str) -> tuple[int, ...]:
    """Return the latent dimensions of a text such as '10,50'; none for an empty text.

    Raises:
        UserError: the text has another form.
    """
    if not re.fullmatch(r"([0-9]{1,4}(,[0-9]{1,4})*)?", text):
        raise UserError(f"d: wanted latent dimensions such as 10,50, got '{text[:40]}'")
    return tuple(int(part) for part in text.split(",") if part)


class ResultsState(PageState):
    """The choices of one Results page; for '' and 0 the page chooses itself."""

    table = param.String(
        doc="Number of a table, 1-5 or 9-11, or data-NAME or mse-NAME for a data set that no table has"
    )
    file = param.String(doc="Name of the results file")
    setup = param.String(doc="Key of the epochs, preset and settings of our runs")
    dims = Checked(check=dims_of, doc="Latent dimensions shown, as 10,50")
    methods = param.String(doc="Methods shown, as vae,iaf:4")
    runs = param.Integer(default=0, bounds=(0, MAX_RUNS), softbounds=(1, MAX_RUNS), doc="Runs wanted for each cell")
    column = param.String(doc="Column of the table that the figure shows")
    address_names: ClassVar[Mapping[str, str]] = {"dims": "d"}
    steps = ("table", "file")
