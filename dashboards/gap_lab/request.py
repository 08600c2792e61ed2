"""The request of the Gap Lab: its state, checked, with the lab of the chosen decoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboards.gap_lab.labs import GapLabs
from dashboards.gap_lab.state import SEPARATOR, test_index
from dashboards.lab.address import listed
from dashboards.lab.resolved import Resolved, Values
from gpvae_core.errors import UserError
from gpvae_core.inspection.gap_lab.views import ImageOfTest, LabImage
from gpvae_core.plots.method_styles import MethodStyle, method_styles, short_name
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.lab import GapLab
    from gpvae_core.inspection.gap_lab.svi import SviSettings
    from gpvae_core.runs import Run

STEPS = 100
"""Number of steps of SVI."""
FIRST_FAMILIES = ("vae", "full", "iaf", "gp")
"""Methods of the runs that are shown first, in this order; as many are shown where the address names none."""


@dataclass(frozen=True)
class GapLabRequest:
    """The state of the Gap Lab, checked, with the lab of the decoder and all that can be chosen."""

    lab: GapLab
    index: LabImage
    methods: tuple[str, ...]
    gaps_of: str
    start: str
    svi: SviSettings
    quantity: str
    epochs_of: str
    with_epochs: Mapping[str, Run]
    epoch_options: tuple[tuple[str, str], ...]
    """Name and label of each of these runs."""
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
        values.correct("start", _ended_first(lab)[0], unknown)
    unended = [name for name in lab.partial if any(f"{method}+".startswith(f"{name}+") for method in methods)]
    values.lasting += labs.library.remark([*unended, values["start"]])
    shown = [*dict.fromkeys((*lab.runs, *methods))]
    with_epochs = labs.with_epochs(lab)
    if values["epochs_of"] not in with_epochs:
        values.correct("epochs_of", next(iter(with_epochs), ""))
    request = GapLabRequest(
        lab=lab,
        index=_image(lab, values),
        methods=methods,
        svi=SviSettings(STEPS, values["step_size"], values["momentum"], values["covariance"]),
        with_epochs=with_epochs,
        epoch_options=tuple((name, labs.library.label(name)) for name in with_epochs),
        styles=method_styles(shown, lab.decoder.name, values.theme, lab.partial, labs.looks(lab, shown)),
        theme=values.theme,
        families=labs.families(lab),
        **{name: values[name] for name in ("gaps_of", "start", "quantity", "epochs_of")},
    )
    return values.resolved(request)


def _image(lab: GapLab, values: Values) -> LabImage:
    """Return the chosen image; a test image that does not exist is replaced by the validation image."""
    test = test_index(values["test"])
    if test is not None and test >= lab.test_size:
        values.correct("test", "", f"wanted a test image from 0 to {lab.test_size - 1}, got {test}")
        test = None
    return values.below("index", lab.size, "validation image") if test is None else ImageOfTest(test)


def _ended_first(lab: GapLab) -> list[str]:
    """Return the runs of a lab, those whose training has not ended last."""
    return sorted(lab.runs, key=lambda name: name in lab.partial)


def by_family(lab: GapLab, names: Iterable[str]) -> list[str]:
    """Return the names of runs, first those of FIRST_FAMILIES in their order."""

    def rank(name: str) -> int:
        family = _family(lab, name)
        return FIRST_FAMILIES.index(family) if family in FIRST_FAMILIES else len(FIRST_FAMILIES)

    return sorted(names, key=rank)


def _family(lab: GapLab, name: str) -> str:
    """Return the method of a run without its numbers."""
    return lab.runs[name].config.method.partition(":")[0]


def full_name(lab: GapLab, text: str) -> str:
    """Return the name of a method that may begin with the short name of its run, as its check box has it."""
    short = {short_name(run, lab.decoder.name): run for run in reversed(lab.runs)}
    for names in ({run: run for run in lab.runs}, short):
        fitting = [name for name in names if f"{text}+".startswith(f"{name}+")]
        if fitting:
            name = max(fitting, key=len)
            return names[name] + text[len(name) :]
    return text


def is_of_a_run(lab: GapLab, method: str) -> bool:
    """Return whether a method is a run of the lab, refined or not."""
    return any(f"{method}+".startswith(f"{run}+") for run in lab.runs)


def _methods(lab: GapLab, values: Values) -> tuple[str, ...]:
    """Return the chosen methods that exist, each under its one name; if there are none, some of the decoder's runs.

    These are one of each of FIRST_FAMILIES, outside the series of encoder sizes, whose training has ended, others where
    there are fewer, and the run from which SVI starts.
    """
    methods, strange, complaints = [], [], []
    for chosen in listed(values["chosen"], SEPARATOR):
        name = full_name(lab, chosen)
        strange += [] if is_of_a_run(lab, name) else [chosen]
        try:
            lab.model(name)
            methods.append(lab.canonical(name))
        except UserError as error:
            complaints.append(f"{chosen}: {error}")
    if len(strange) > 1:
        known = [line for line in complaints if not line.startswith(tuple(f"{name}: " for name in strange))]
        which = f"{', '.join(strange[:3])}{' and others' * (len(strange) > 3)}"
        complaints = [f"no runs on the decoder of '{lab.decoder.name}', so left out: {which}", *known]
    values.complaints += complaints
    series = set(lab.size_series())
    ended = [name for name in lab.runs if name not in lab.partial]
    plain = [name for name in ended if name not in series] or ended or list(lab.runs)
    ordered = by_family(lab, plain)
    one_each = {_family(lab, name): name for name in reversed(ordered)}.values()
    shown = sorted(ordered, key=lambda name: name not in one_each)[: len(FIRST_FAMILIES)]
    first = [*by_family(lab, shown), *([values["start"]] if values["start"] in lab.runs else [])]
    methods = list(dict.fromkeys(methods or first))
    values.correct("chosen", SEPARATOR.join(methods))
    return tuple(methods)
