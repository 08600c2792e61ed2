"""What the Results page shows: everything a person can choose, and how it is written into the address."""

from __future__ import annotations

from collections.abc import Mapping

import param

from gpvae_core.errors import UserError

IN_ADDRESS = {
    "table": "table",
    "file": "file",
    "setup": "setup",
    "dims": "d",
    "methods": "methods",
    "runs": "runs",
    "column": "column",
}
"""Parameter -> its name in the address."""
MAX_RUNS = 1000


class ResultsState(param.Parameterized):
    """The choices of one page; '' and 0 stand for what suits best."""

    table = param.String(doc="1-5, 9-11, or data-NAME for a data set that is in no table of the paper")
    file = param.String(doc="Name of the results file")
    setup = param.String(doc="Key of the setup (epochs, preset, settings)")
    dims = param.String(regex=r"^(\d{1,4}(,\d{1,4})*)?$", doc="Latent dimensions shown, as 10,50")
    methods = param.String(doc="Methods shown, as vae,iaf:4")
    runs = param.Integer(default=0, bounds=(0, MAX_RUNS), doc="Runs wanted for each cell")
    column = param.String(doc="Column of the table that the figure shows")
    dark = param.Boolean(default=False)

    @property
    def chosen_dims(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.dims.split(",") if part)

    @property
    def chosen_methods(self) -> tuple[str, ...]:
        return tuple(part for part in self.methods.split(",") if part)


def read_address(state: ResultsState, query: Mapping[str, list[str]]) -> list[str]:
    """Set the state from an address's query; returns a line for each value that was wrong and left as it was."""
    complaints = []
    for name, key in IN_ADDRESS.items():
        if key not in query:
            continue
        text = query[key][0][:300]
        try:
            _set(state, name, key, text)
        except UserError as error:
            complaints.append(str(error))
    return complaints


def _set(state: ResultsState, name: str, key: str, text: str) -> None:
    if name == "runs":
        if not text.isdecimal() or len(text) > 4 or int(text) > MAX_RUNS:
            raise UserError(f"{key}: wanted a whole number from 1 to {MAX_RUNS}, got '{text[:40]}'")
        state.runs = int(text)
        return
    try:
        setattr(state, name, text)
    except ValueError:
        raise UserError(f"{key}: wanted latent dimensions such as 10,50, got '{text[:40]}'") from None
