"""The runs on images given their columns among a server's runs, and the trainings begun for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dashboards.lab.jobs import OF_RUN, JobSlot
from dashboards.lab.library import GP, RunLibrary
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.memo import Memo

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from gpvae_core.inspection.prior_lab.grid import GridLab
    from gpvae_core.inspection.prior_lab.lab import ConditionalLab
    from gpvae_core.inspection.prior_lab.series import SeriesLab
    from gpvae_core.inspection.prior_lab.turn import TurnLab

KEPT = 12
"""Number of runs that are kept in memory."""


class PriorLabs:
    """Finds the runs of a library that model images given their columns.

    All methods may be called from several threads.
    """

    def __init__(self, library: RunLibrary) -> None:
        self.library, self.trainings = library, JobSlot(OF_RUN)
        self._labs = Memo(KEPT)

    def names(self) -> list[str]:
        """Return the names of the runs on images given their columns.

        Those whose training has not ended come last, and before them those without a GP prior.
        """
        names = self.library.conditional_names()
        names.sort(key=lambda name: self.library.summary(name).prior != GP)
        return self.library.finished_first(names)

    def lab(self, name: str) -> ConditionalLab:
        """Return the lab of a run. Raises UserError if it is none of these runs, or cannot be loaded."""
        from gpvae_core.inspection.prior_lab.opening import lab_of

        names = self.library.conditional_names()
        if name not in names:
            if name in self.library.ready_names():
                raise UserError(
                    f"run '{name}' has no GP prior, and is no rival that knows the columns of images: the other pages "
                    "show it"
                )
            raise unknown("run on images given their columns", name, names)
        run = self.library.run(name)
        return self._labs.get((name, run), lambda: lab_of(run, name))

    def mates(self, name: str) -> tuple[str, ...]:
        """Return the other of these runs on the data set of a run's name, newest first."""
        dataset = self.library.summary(name).dataset
        return tuple(
            other for other in self.names() if other != name and self.library.summary(other).dataset == dataset
        )

    def by_points(self, name: str) -> Mapping[int, str]:
        """Return the runs that differ from a run in their number of inducing points m alone, itself among them, by m.

        Epochs and seeds may differ. There are none for a run without inducing points.
        """
        from gpvae_core.figures.compared import EPOCHS
        from gpvae_core.figures.error_setting import POINTS
        from gpvae_core.figures.runs import RunOnDisk, grouped
        from gpvae_core.run_files import read_config

        # Of runs with the same m, the newest is taken, or the run itself, which comes last.
        names = {self.library.summary(other).path: other for other in (*reversed(self.mates(name)), name)}
        runs = [RunOnDisk(path, read_config(path), "") for path in names]
        for group in grouped([run for run in runs if run.points is not None], but=(POINTS.key, EPOCHS)):
            members = {run.path for run in group.runs}
            found = {run.points: names[run.path] for run in runs if run.path in members and run.points is not None}
            if name in found.values():
                return dict(sorted(found.items()))
        return {}

    def series(self, shown: Sequence[ConditionalLab]) -> tuple[SeriesLab, ...]:
        """Return the series of runs of one layout; () where instances are in none."""
        from gpvae_core.inspection.prior_lab.series import SeriesLab

        if shown[0].layout != "series":
            return ()
        return tuple(lab.results.get("series", lambda lab=lab: SeriesLab(lab)) for lab in shown)

    def turns(self, shown: Sequence[ConditionalLab]) -> tuple[TurnLab, ...]:
        """Return the objects of runs of one layout; () where there is no number to turn them by."""
        from gpvae_core.inspection.prior_lab.turn import TurnLab

        if shown[0].layout != "turn":
            return ()
        return tuple(lab.results.get("turns", lambda lab=lab: TurnLab(lab)) for lab in shown)

    def grid(self, lab: ConditionalLab) -> GridLab | None:
        """Return the pairs of two categories of a run, None where its predictions depend on no two."""
        from gpvae_core.inspection.prior_lab.grid import GridLab

        return lab.results.get("grid", lambda: GridLab(lab)) if lab.layout == "grid" else None
