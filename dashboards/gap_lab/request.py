"""From the state of the Gap Lab to its request: what does not exist is left out, and said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards.gap_lab.labs import GapLabs, Trainable
from dashboards.gap_lab.state import BETWEEN, methods_of
from dashboards.lab.hooks import Resolved
from gpvae_core.errors import UserError
from gpvae_core.plots.method_styles import MethodStyle, method_styles
from gpvae_core.plots.theme import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.lab import GapLab
    from gpvae_core.inspection.gap_lab.svi import SviSettings
    from gpvae_core.runs import Run

STEPS = 100
"""Steps of SVI."""
FIRST_METHODS = 4
"""Methods shown where the address names none."""


@dataclass(frozen=True)
class GapLabRequest:
    """The state of the Gap Lab, resolved."""

    lab: GapLab
    index: int
    methods: tuple[str, ...]
    gaps_of: str
    start: str
    svi: SviSettings
    quantity: str
    epochs_of: str
    with_epochs: Mapping[str, Run]
    styles: Mapping[str, MethodStyle]
    theme: Theme
    trainable: Trainable


def resolve(labs: GapLabs, values: dict[str, Any]) -> Resolved[GapLabRequest] | None:
    """Return the request with what had to be corrected for it.

    Raises:
        UserError: no such decoder.
    """
    from gpvae_core.inspection.gap_lab.svi import SviSettings

    if not values["decoder"]:
        return None
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
    names = [*lab.runs, *(name for name in methods if name not in lab.runs)]
    request = GapLabRequest(
        lab=lab,
        index=index,
        methods=tuple(methods),
        gaps_of=values["gaps_of"],
        start=start,
        svi=SviSettings(STEPS, values["step_size"], values["momentum"], values["covariance"]),
        quantity=values["quantity"],
        epochs_of=epochs_of,
        with_epochs=with_epochs,
        styles=method_styles(names, lab.decoder.name, theme),
        theme=theme,
        trainable=labs.trainable(lab),
    )
    return Resolved(request, {name: value for name, value in held.items() if value != values[name]}, complaints)


def _methods(lab: GapLab, chosen: str, complaints: list[str]) -> list[str]:
    """Return those that exist; where there is none, the first runs that are no series of sizes."""
    methods = []
    for name in methods_of(chosen):
        try:
            lab.model(name)
            methods.append(name)
        except UserError as error:
            complaints.append(f"{name}: {error}")
    series = set(lab.size_series())
    plain = [name for name in lab.runs if name not in series] or list(lab.runs)
    return methods or plain[:FIRST_METHODS]
