"""The runs and image models that the MAPA Lab pages of a server share."""

from __future__ import annotations

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

IMAGE_LABS = 3
"""Number of image models that are kept in memory."""


class MapaLabs:
    """Finds the runs of a library that the MAPA Lab can show. All methods may be called from several threads."""

    def __init__(self, library: RunLibrary) -> None:
        self.library = library
        self._images = Memo(IMAGE_LABS)
        self._results = ResultFiles(library.places)

    def why_not(self, run: str, kind: str, offered: tuple[str, ...]) -> str:
        """Return why a chosen run cannot be shown: it is not finished, or it is none of those offered."""
        if run in self.library.names():
            try:
                self.library.check_ready(run)
            except UserError as error:
                return str(error)
        return str(unknown(kind, run, offered))

    def point_runs(self, lab: PointLab) -> tuple[str, ...]:
        """Return the runs with d = 1 on the points of the lab's set or of its other variant, newest first."""
        summaries = {name: self.library.summary(name) for name in self.library.ready_names()}
        same_points = lab.siblings()
        return tuple(name for name, run in summaries.items() if run.dataset in same_points and run.latent_dim == 1)

    def images(self, name: str) -> ImageLab:
        """Return the lab of an image model."""
        from gpvae_core.inspection.mapa_lab.images import ImageLab

        run = self.library.run(name)
        return self._images.get(run, lambda: ImageLab(run))

    def test_kl(self, dataset: str) -> KlView | None:
        """Return the test KL against S from the newest comparison on this set, None where there is none.

        Raises:
            UserError: there is none that can be read, but a results file that cannot.
        """
        from gpvae_core.inspection.mapa_lab.kl import kl_curves

        refused: UserError | None = None
        for path in self._results.found().values():
            try:
                view = kl_curves(path if path.is_dir() else path.parent, dataset)
            except UserError as error:
                refused = refused or error
                continue
            if view is not None:
                return view
        if refused is not None:
            raise refused
        return None
