"""The request of the GP-Prior Lab: its state, checked, with the runs that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboards.lab.asked import Asked
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.prior_lab.labs import PriorLabs
from dashboards.prior_lab.state import place_of
from gpvae_core.errors import UserError
from gpvae_core.inspection.prior_lab.views import SeriesView, TurnView
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.prior_lab.grid import GridLab, Pair
    from gpvae_core.inspection.prior_lab.lab import ConditionalLab
    from gpvae_core.inspection.prior_lab.series import SeriesLab
    from gpvae_core.inspection.prior_lab.turn import TurnLab


@dataclass(frozen=True)
class PriorLabRequest:
    """The state of the GP-Prior Lab, checked, with the labs of the run and of the one beside it."""

    labs: PriorLabs
    lab: ConditionalLab
    other: ConditionalLab | None
    series: tuple[SeriesLab, ...]
    """The series of both runs; () where instances are in no series."""
    turns: tuple[TurnLab, ...]
    """The objects of both runs; () where there is no number to turn them by."""
    grid: GridLab | None
    """The pairs of two categories of the run; None where its predictions depend on no two."""
    runs: tuple[str, ...]
    mates: tuple[str, ...]
    by_points: Mapping[int, str]
    """The runs that differ from the one shown in their number of inducing points m alone, itself among them, by m."""
    item: int
    """Position of the series, object or first row, from 0 on."""
    pair: int
    """Place of the chosen pair among those of the grid, along its rows, from 0 on."""
    hide: str
    at: float
    """Value of the number at which an object is looked at."""
    colour: str
    error: str
    time: str
    asked: frozenset[Asked]
    """Views that take long and were asked for by a button, see `AskedPane.asked_by`."""
    theme: Theme

    @property
    def both(self) -> tuple[ConditionalLab, ...]:
        """The labs of the runs shown."""
        return (self.lab,) if self.other is None else (self.lab, self.other)

    def series_views(self) -> tuple[SeriesView, ...]:
        """Return the chosen series under each run; each is computed once."""
        key = ("series", self.item, self.hide)
        return tuple(s.lab.results.get(key, lambda s=s: s.view(self.item, self.hide)) for s in self.series)

    def turn_views(self) -> tuple[TurnView, ...]:
        """Return the chosen object under each run; each is computed once."""
        key = ("turn", self.item, self.at)
        return tuple(t.lab.results.get(key, lambda t=t: t.view(self.item, self.at)) for t in self.turns)

    def chosen_pair(self) -> Pair:
        """Return the chosen pair of the grid."""
        assert self.grid is not None
        return self.grid.pairs(self.item)[self.pair]


class PriorLabPane(Pane[PriorLabRequest]):
    """One card of the GP-Prior Lab."""

    def subject(self, request: PriorLabRequest) -> str:
        return " and ".join(lab.name for lab in request.both)


def resolve(labs: PriorLabs, values: Values, asked: frozenset[Asked]) -> Resolved[PriorLabRequest] | None:
    """Return the request, None where there is no run on images given their columns; what does not exist is corrected.

    Args:
        asked: the views that take long and were asked for.

    Raises:
        UserError: none can be loaded.
    """
    names = labs.names()
    if not names:
        return None
    chosen = [values["run"]] if values["run"] else []
    found = values.first(dict.fromkeys([*chosen, *names]), labs.lab)
    if found is None:
        raise UserError(values.complaints[0])
    name, lab = found
    values.correct("run", name)
    other = _other(labs, name, lab, values)
    shown = (lab,) if other is None else (lab, other)
    values.lasting += labs.library.remark([each.name for each in shown])
    series, turns, grid = labs.series(shown), labs.turns(shown), labs.grid(lab)
    if series:
        values.below("item", len(series[0]), f"{lab.group} of the test images", first=1)
    if turns:
        values.below("item", len(turns[0]), turns[0].what, first=1)
    if grid is not None:
        values.below("item", len(grid), grid.row.name, first=1)
        values.below("pair", len(grid.pairs(values["item"] - 1)) + 1, "pair")
    request = PriorLabRequest(
        labs=labs, lab=lab, other=other, series=series, turns=turns, grid=grid,
        runs=tuple(names), mates=labs.mates(name), by_points=labs.by_points(name),
        item=values["item"] - 1, pair=_pair(grid, values), hide=values["hide"], at=_place(turns, values),
        theme=values.theme, asked=asked,
        **{name: values[name] for name in ("colour", "error", "time")},
    )  # fmt: skip
    return values.resolved(request)


def _pair(grid: GridLab | None, values: Values) -> int:
    """Return the place of the chosen pair, by default the first of which the model saw no image."""
    if grid is None or values["pair"]:
        return max(0, values["pair"] - 1)
    return grid.first_generated(values["item"] - 1)


def _place(turns: tuple[TurnLab, ...], values: Values) -> float:
    """Return the chosen value of the number, by default that of a test image of the object.

    One beyond the period is brought back into it, and one beyond the training images is replaced, with a complaint.
    """
    at = place_of(values["at"])
    if not turns:
        return 0.0
    (low, high), turn = turns[0].range, turns[0]
    if at is not None and turn.number.period:
        return low + (at - low) % turn.number.period
    if at is not None and low <= at <= high:
        return at
    if at is not None:
        values.correct("at", "", f"wanted a {turn.number.name} from {low:.4g} to {high:.4g}, got {at:.4g}")
    return turn.first_place(values["item"] - 1)


def _other(labs: PriorLabs, name: str, lab: ConditionalLab, values: Values) -> ConditionalLab | None:
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


def _stand_together(left: ConditionalLab, right: ConditionalLab) -> bool:
    """Return whether two runs are on the same data and looked at in the same way."""
    same_data = left.run.meta.data_fingerprint == right.run.meta.data_fingerprint
    return same_data and _looked_at(left) == _looked_at(right)


def _looked_at(lab: ConditionalLab) -> tuple[object, ...]:
    return lab.layout, lab.number, lab.group, frozenset(column.name for column in lab.categories)
