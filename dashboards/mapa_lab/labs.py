"""What all pages of a server share: a lab for each set of points and each image model, and the runs there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.lab.library import RunLibrary
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.memo import Memo
from gpvae_core.sweep.result_files import ResultFiles

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from gpvae_core.inspection.mapa_lab.curve_views import KlView
    from gpvae_core.inspection.mapa_lab.images import ImageLab
    from gpvae_core.inspection.mapa_lab.points import PointLab
    from gpvae_core.progress import Progress
    from gpvae_core.runs import Run

POINT_LABS, IMAGE_LABS = 16, 3


class MapaLabs:
    """A lab for each set of points and each image model. Safe to ask from several threads."""

    def __init__(self, library: RunLibrary) -> None:
        self.library = library
        self._points, self._images = Memo(POINT_LABS), Memo(IMAGE_LABS)
        self._results = ResultFiles(library.places)
        self.best_kernels: dict[str, Mapping[str, float]] = {}
        """By run: the hyper-parameters that suit its validation images best, once they were sought."""

    def sets(self) -> Mapping[str, str]:
        """Return the name of each set of points -> what it is."""
        from gpvae_core.inspection.mapa_lab.points import ABOUT, SETS

        return {name: ABOUT[name] for name in SETS}

    def points(self, name: str, size: int, draw: int) -> PointLab:
        """Return the lab of one draw of a set. Raises UserError for a set or a size that there is not."""
        from gpvae_core.inspection.mapa_lab.points import SETS, PointLab

        if name not in SETS:
            raise unknown("set of points", name, SETS)
        return self._points.get((name, size, draw), lambda: PointLab.open(name, size=size, draw=draw))

    def why_not(self, run: str, wanted: str, offered: tuple[str, ...]) -> str:
        """Say why a run that is asked for is not among those offered: it is not finished, or there is no such run."""
        if run in self.library.names():
            try:
                self.library.check_ready(run)
            except UserError as error:
                return str(error)
        return str(unknown(wanted, run, offered))

    def image_runs(self) -> tuple[str, ...]:
        """Return the runs on images, newest first."""
        return tuple(self.library.image_names())

    def point_runs(self, same_points_as: str) -> tuple[str, ...]:
        """Return the runs with d = 1 on these points, newest first; a second variant of the set has the same points."""
        from gpvae_core.data.synthetic.examples import get_example

        def root(name: str) -> str:
            return (get_example(name).points_of or get_example(name)).name

        sets, summary, names = self.sets(), self.library.summary, self.library.ready_names()
        fitting = [name for name in names if summary(name).dataset in sets and summary(name).latent_dim == 1]
        return tuple(name for name in fitting if root(summary(name).dataset) == root(same_points_as))

    def run(self, name: str) -> Run:
        """Return the run, loaded at the first use. Raises UserError for an unknown or damaged one."""
        return self.library.explorer(name).run

    def images(self, name: str) -> ImageLab:
        """Return the lab of an image model."""
        from gpvae_core.inspection.mapa_lab.images import ImageLab

        run = self.run(name)
        return self._images.get(run.dir, lambda: ImageLab(run))

    def best_kernel(self, run: str, progress: Progress) -> Mapping[str, float]:
        """Return the hyper-parameters that suit the validation images best."""
        self.best_kernels[run] = self.images(run).best(progress)
        return self.best_kernels[run]

    def test_kl(self, dataset: str) -> KlView | None:
        """Return test KL against S from the newest comparison that has this set; None where there is none."""
        from gpvae_core.inspection.mapa_lab.kl import kl_curves

        for path in self._results.found().values():
            view = kl_curves(_folder(path), dataset)
            if view is not None:
                return view
        return None


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent
