"""From a page's state to a checked choice: what does not exist is left out, and said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboards.gap_lab.labs import Labs
from dashboards.gap_lab.panes import Choice
from dashboards.gap_lab.state import BETWEEN, LabState
from gpvae_core.errors import UserError
from gpvae_core.plots.method_styles import method_styles
from gpvae_core.plots.theme import DARK, LIGHT

if TYPE_CHECKING:
    from gpvae_core.explore.gap_lab.lab import Lab

STEPS = 100
"""Of SVI."""
FIRST_METHODS = 4
"""Methods shown where the address names none."""


def resolve(labs: Labs, values: dict[str, Any], again: int) -> tuple[Choice, dict[str, Any], list[str]]:
    """The choice, what of the state had to be corrected for it, and why.

    Raises:
        UserError: no such decoder.
    """
    from gpvae_core.explore.gap_lab.svi import SviSettings

    lab, complaints = labs.lab(values["decoder"]), []
    methods = _methods(lab, values["chosen"], complaints)
    index = values["index"]
    if index >= lab.size:
        complaints.append(f"wanted a validation image from 0 to {lab.size - 1}, got {index}")
        index = 0
    start = values["start"]
    if start not in lab.runs:
        complaints += [f"there is no run '{start}' on this decoder"] if start else []
        start = lab.decoder.runs[0]
    with_epochs = labs.with_epochs(lab)
    epochs_of = values["epochs_of"] if values["epochs_of"] in with_epochs else next(iter(with_epochs), "")
    held = {"chosen": BETWEEN.join(methods), "index": index, "start": start, "epochs_of": epochs_of}
    theme = DARK if values["dark"] else LIGHT
    styles = method_styles([*lab.runs, *(name for name in methods if name not in lab.runs)], lab.decoder.name, theme)
    choice = Choice(
        lab=lab,
        index=index,
        methods=tuple(methods),
        of=values["of"],
        start=start,
        svi=SviSettings(STEPS, values["step_size"], values["momentum"], values["covariance"]),
        quantity=values["quantity"],
        epochs_of=epochs_of,
        with_epochs=with_epochs,
        styles=styles,
        theme=theme,
        again=again,
    )
    return choice, {name: value for name, value in held.items() if value != values[name]}, complaints


def _methods(lab: Lab, chosen: str, complaints: list[str]) -> list[str]:
    """Those that exist; where there is none, the first runs that are no series of sizes."""
    methods = []
    for name in LabState(chosen=chosen).methods:
        try:
            lab.model(name)
            methods.append(name)
        except UserError as error:
            complaints.append(f"{name}: {error}")
    series = set(lab.size_series())
    plain = [name for name in lab.runs if name not in series] or list(lab.runs)
    return methods or plain[:FIRST_METHODS]
