"""The request of the GP-Prior Lab: its state, checked, with the runs that it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.prior_lab.labs import PriorLabs
from gpvae_core.errors import UserError
from gpvae_core.inspection.prior_lab.views import SeriesView
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.prior_lab.lab import PriorLab
    from gpvae_core.inspection.prior_lab.series import SeriesLab


@dataclass(frozen=True)
class PriorLabRequest:
    """The state of the GP-Prior Lab, checked, with the labs of the run and of the one beside it."""

    labs: PriorLabs
    lab: PriorLab
    other: PriorLab | None
    series: tuple[SeriesLab, ...]
    """The series of both runs; () where instances are in no series."""
    runs: tuple[str, ...]
    mates: tuple[str, ...]
    item: int
    hide: str
    theme: Theme

    @property
    def both(self) -> tuple[PriorLab, ...]:
        """The labs of the runs shown."""
        return (self.lab,) if self.other is None else (self.lab, self.other)

    def series_views(self) -> tuple[SeriesView, ...]:
        """Return the chosen series under each run; each is computed once."""
        key = ("series", self.item, self.hide)
        return tuple(s.lab.results.get(key, lambda s=s: s.view(self.item, self.hide)) for s in self.series)


class PriorLabPane(Pane[PriorLabRequest]):
    """One card of the GP-Prior Lab."""

    def subject(self, request: PriorLabRequest) -> str:
        return " and ".join(lab.name for lab in request.both)


def resolve(labs: PriorLabs, values: Values) -> Resolved[PriorLabRequest] | None:
    """Return the request, None where there is no run with a GP prior; what does not exist is corrected.

    Raises:
        UserError: no run with a GP prior can be loaded.
    """
    from gpvae_core.inspection.prior_lab.series import SeriesLab

    names = labs.names()
    if not names:
        return None
    asked = [values["run"]] if values["run"] else []
    found = values.first(dict.fromkeys([*asked, *names]), labs.lab)
    if found is None:
        raise UserError(values.complaints[0])
    name, lab = found
    values.correct("run", name)
    other = _other(labs, name, lab, values)
    series = tuple(SeriesLab(each) for each in (lab, *([other] if other else []))) if lab.layout == "series" else ()
    values.lasting += labs.library.remark([each.name for each in (lab, other) if each is not None])
    if series:
        values.below("item", len(series[0]), f"{lab.group} of the test images")
    request = PriorLabRequest(
        labs=labs, lab=lab, other=other, series=series, runs=tuple(names), mates=labs.mates(name),
        item=values["item"], hide=values["hide"], theme=values.theme,
    )  # fmt: skip
    return values.resolved(request)


def _other(labs: PriorLabs, name: str, lab: PriorLab, values: Values) -> PriorLab | None:
    """Return the run to be shown beside, None for none; one that does not fit is taken back, with a complaint."""
    if not values["other"] or values["other"] == name:
        values.correct("other", "")
        return None
    other = values.attempt(lambda: labs.lab(values["other"]), None)
    if other is not None and not _stand_together(lab, other):
        values.complaints.append(f"'{other.name}' cannot stand beside '{name}': their data or columns differ")
        other = None
    if other is None:
        values.correct("other", "")
    return other


def _stand_together(left: PriorLab, right: PriorLab) -> bool:
    """Return whether two runs are on the same data and looked at in the same way."""
    same_data = left.run.meta.data_fingerprint == right.run.meta.data_fingerprint
    return same_data and (left.layout, left.number, left.group) == (right.layout, right.number, right.group)
