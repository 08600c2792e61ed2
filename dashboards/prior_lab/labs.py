"""The runs with a GP prior among a server's runs, and the trainings begun for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dashboards.lab.jobs import OF_RUN, JobSlot
from dashboards.lab.library import RunLibrary
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.memo import Memo

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from gpvae_core.inspection.prior_lab.grid import GridLab
    from gpvae_core.inspection.prior_lab.lab import PriorLab
    from gpvae_core.inspection.prior_lab.series import SeriesLab
    from gpvae_core.inspection.prior_lab.turn import TurnLab

KEPT = 12
"""Number of runs that are kept in memory."""


class PriorLabs:
    """Finds the runs of a library that have a GP prior. All methods may be called from several threads."""

    def __init__(self, library: RunLibrary) -> None:
        self.library, self.trainings = library, JobSlot(OF_RUN)
        self._labs = Memo(KEPT)

    def names(self) -> list[str]:
        """Return the names of the runs with a GP prior, those whose training has not ended last."""
        return self.library.finished_first(self.library.prior_names())

    def lab(self, name: str) -> PriorLab:
        """Return the lab of a run. Raises UserError if there is none with a GP prior, or it cannot be loaded."""
        from gpvae_core.inspection.prior_lab.lab import PriorLab

        names = self.library.prior_names()
        if name not in names:
            if name in self.library.ready_names():
                raise UserError(f"run '{name}' has no GP prior over its images: the other pages show it")
            raise unknown("run with a GP prior", name, names)
        run = self.library.run(name)
        return self._labs.get((name, run), lambda: PriorLab(run, name))

    def mates(self, name: str) -> tuple[str, ...]:
        """Return the other runs with a GP prior on the data set of a run's name, newest first."""
        dataset = self.library.summary(name).dataset
        return tuple(
            other for other in self.names() if other != name and self.library.summary(other).dataset == dataset
        )

    def series(self, shown: Sequence[PriorLab]) -> tuple[SeriesLab, ...]:
        """Return the series of runs of one layout; () where instances are in none."""
        from gpvae_core.inspection.prior_lab.series import SeriesLab

        if shown[0].layout != "series":
            return ()
        return tuple(lab.results.get("series", lambda lab=lab: SeriesLab(lab)) for lab in shown)

    def turns(self, shown: Sequence[PriorLab]) -> tuple[TurnLab, ...]:
        """Return the objects of runs of one layout; () where there is no number to turn them by."""
        from gpvae_core.inspection.prior_lab.turn import TurnLab

        if shown[0].layout != "turn":
            return ()
        return tuple(lab.results.get("turns", lambda lab=lab: TurnLab(lab)) for lab in shown)

    def grid(self, lab: PriorLab) -> GridLab | None:
        """Return the pairs of two categories of a run, None where its prior takes no two."""
        from gpvae_core.inspection.prior_lab.grid import GridLab

        return lab.results.get("grid", lambda: GridLab(lab)) if lab.layout == "grid" else None
