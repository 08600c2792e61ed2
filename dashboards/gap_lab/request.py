"""The request of the Gap Lab: its state, checked, with the lab of the chosen decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboards.gap_lab.labs import GapLabs
from dashboards.gap_lab.state import SEPARATOR
from dashboards.lab.address import listed
from dashboards.lab.resolved import Resolved, Values
from gpvae_core.errors import UserError
from gpvae_core.plots.method_styles import MethodStyle, method_styles
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.lab import GapLab
    from gpvae_core.inspection.gap_lab.svi import SviSettings
    from gpvae_core.runs import Run

STEPS = 100
"""Number of steps of SVI."""
FIRST_METHODS = 4
"""Number of methods shown where the address names none."""


@dataclass(frozen=True)
class GapLabRequest:
    """The state of the Gap Lab, checked, with the lab of the decoder and all that can be chosen."""

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
    families: tuple[str, ...]
    """Methods of the teaching set that can be trained on the decoder."""


def resolve(labs: GapLabs, values: Values) -> Resolved[GapLabRequest] | None:
    """Return the request, None where no decoder is chosen; values that do not exist are corrected, with a complaint.

    Raises:
        UserError: no such decoder.
    """
    from gpvae_core.inspection.gap_lab.svi import SviSettings

    if not values["decoder"]:
        return None
    lab = labs.lab(values["decoder"])
    methods = _methods(lab, values)
    if values["start"] not in lab.runs:
        unknown = f"there is no run '{values['start']}' on this decoder" if values["start"] else ""
        values.correct("start", lab.decoder.runs[0], unknown)
    with_epochs = labs.with_epochs(lab)
    if values["epochs_of"] not in with_epochs:
        values.correct("epochs_of", next(iter(with_epochs), ""))
    request = GapLabRequest(
        lab=lab,
        index=values.below("index", lab.size, "validation image"),
        methods=methods,
        svi=SviSettings(STEPS, values["step_size"], values["momentum"], values["covariance"]),
        with_epochs=with_epochs,
        styles=method_styles([*dict.fromkeys((*lab.runs, *methods))], lab.decoder.name, values.theme),
        theme=values.theme,
        families=labs.families(lab),
        **{name: values[name] for name in ("gaps_of", "start", "quantity", "epochs_of")},
    )
    return values.resolved(request)


def _methods(lab: GapLab, values: Values) -> tuple[str, ...]:
    """Return the chosen methods that exist; if there are none, the run from which SVI starts and the first runs outside
    the series of encoder sizes.
    """
    methods = []
    for name in listed(values["chosen"], SEPARATOR):
        try:
            lab.model(name)
            methods.append(name)
        except UserError as error:
            values.complaints.append(f"{name}: {error}")
    series = set(lab.size_series())
    plain = [name for name in lab.runs if name not in series] or list(lab.runs)
    first = [name for name in lab.runs if name in plain[:FIRST_METHODS] or name == values["start"]]
    methods = methods or first
    values.correct("chosen", SEPARATOR.join(methods))
    return tuple(methods)
