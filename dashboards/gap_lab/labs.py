"""The decoders among a server's runs and a lab for each, shared by all pages; what is trained for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboards.lab.jobs import JobSlot
from dashboards.lab.library import RunLibrary
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.memo import Memo
from gpvae_core.progress import Progress

# Torch takes a second to import: a page that waits for its first runs is up before it is needed.
if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.lab import GapLab
    from gpvae_core.inspection.gap_lab.methods import Decoder
    from gpvae_core.inspection.gap_lab.teaching import PlannedTraining
    from gpvae_core.runs import Run


@dataclass(frozen=True)
class Trainable:
    """What can be trained on a decoder."""

    families: tuple[str, ...]
    """Methods of the teaching set that fit it."""
    epochs: int
    """Epochs of a short training."""
    numbered: Mapping[str, bool]
    """Method -> whether it takes a number."""


class GapLabs:
    """Loads the runs that the library finds and groups them by decoder. Safe to ask from several threads."""

    def __init__(self, library: RunLibrary) -> None:
        self.library = library
        self._lock = threading.Lock()
        self._labs: dict[str, GapLab] = {}
        self._trainable = Memo()
        self._runs: dict[str, Run] = {}
        self.decoders: list[Decoder] = []
        self.complaints: list[str] = []

    def refresh(self, finished_only: bool) -> None:
        """Look again for runs; one that cannot be loaded is left out, and said in `complaints`."""
        from gpvae_core.inspection.gap_lab.methods import decoders

        with self._lock:
            self.library.rescan(finished_only)
            runs, complaints = {}, list(self.library.damaged)
            # Oldest first: what is new comes last, and changes no colour.
            for name in reversed(self.library.image_names()):
                try:
                    runs[name] = self.library.explorer(name).run
                except UserError as error:
                    complaints.append(str(error))
            self._runs, self.complaints, self.decoders = runs, complaints, decoders(runs)
            for decoder in self.decoders:
                self._labs[decoder.fingerprint] = self._lab(decoder)

    def _lab(self, decoder: Decoder) -> GapLab:
        from gpvae_core.inspection.gap_lab.lab import GapLab

        known = self._labs.get(decoder.fingerprint)
        if known is None:
            return GapLab(decoder, self._runs)
        return known if known.decoder == decoder else known.with_runs(decoder, self._runs)

    def lab(self, decoder: str) -> GapLab:
        """Raises UserError with the nearest right name."""
        found = {one.name: one for one in self.decoders}
        if decoder not in found:
            raise unknown("decoder", decoder, found)
        return self._labs[found[decoder].fingerprint]

    def trainable(self, lab: GapLab) -> Trainable:
        """Return what can be trained on a decoder; it is looked up once."""
        return self._trainable.get(lab.decoder.fingerprint, lambda: _trainable(lab))

    def with_epochs(self, lab: GapLab) -> dict[str, Run]:
        """Return the runs on these data, with this latent dimension, that kept weights of epochs; newest first."""
        data, dim = lab.origin.meta.data_fingerprint, lab.origin.config.latent_dim
        return {
            name: run
            for name, run in reversed(self._runs.items())
            if run.kept_epochs and (run.meta.data_fingerprint, run.config.latent_dim) == (data, dim)
        }


def _trainable(lab: GapLab) -> Trainable:
    from gpvae_core.inspection.gap_lab.teaching import default_epochs, teaching_set
    from gpvae_core.methods import methods

    numbered = {m.name: bool(m.count) for m in methods().values() if m.inference == "amortized"}
    families = tuple(planned.config.method for planned in teaching_set(lab.origin))
    return Trainable(families, default_epochs(lab.origin), numbered)


class Trainings(JobSlot):
    """Trainings that pages begin, one at a time; new runs go beside those of the library."""

    def __init__(self, library: RunLibrary) -> None:
        super().__init__()
        self._root = library.root

    def start(self, name: str, plan: Callable[[], list[PlannedTraining]], decoder: Run) -> None:
        """Train what `plan` says.

        Raises:
            UserError: another training is running.
        """

        def work(progress: Progress) -> None:
            from gpvae_core.inspection.gap_lab.teaching import train_planned

            progress(0, 0, f"starting {name}")
            train_planned(self._root, plan(), decoder, progress)

        if not self.begin(name, work):
            raise UserError("a training is running already: wait for it, or cancel it")
