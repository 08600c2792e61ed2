"""The decoders among a server's runs and a lab for each, shared by all pages; what is trained for them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards.jobs import Job, Report
from dashboards.library import RunLibrary
from gpvae_core.errors import UserError, unknown
from gpvae_core.progress import Progress

# Torch takes a second to import: a page that waits for its first runs is up before it is needed.
if TYPE_CHECKING:
    from gpvae_core.explore.gap_lab.lab import Lab
    from gpvae_core.explore.gap_lab.methods import Decoder
    from gpvae_core.explore.gap_lab.teaching import Planned
    from gpvae_core.runs import Run


class Labs:
    """Loads the runs that the library finds and groups them by decoder. Safe to ask from several threads."""

    def __init__(self, library: RunLibrary) -> None:
        self.library = library
        self._lock = threading.Lock()
        self._labs: dict[str, Lab] = {}
        self._runs: dict[str, Run] = {}
        self.decoders: list[Decoder] = []
        self.complaints: list[str] = []

    def refresh(self, finished_only: bool) -> None:
        """Look again for runs; one that cannot be loaded is left out, and said in `complaints`."""
        from gpvae_core.explore.gap_lab.methods import decoders

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

    def _lab(self, decoder: Decoder) -> Lab:
        from gpvae_core.explore.gap_lab.lab import Lab

        known = self._labs.get(decoder.fingerprint)
        if known is None:
            return Lab(decoder, self._runs)
        return known if known.decoder == decoder else known.with_runs(decoder, self._runs)

    def lab(self, decoder: str) -> Lab:
        """Raises UserError with the nearest right name."""
        found = {one.name: one for one in self.decoders}
        if decoder not in found:
            raise unknown("decoder", decoder, found)
        return self._labs[found[decoder].fingerprint]

    def with_epochs(self, lab: Lab) -> dict[str, Run]:
        """Runs on the same data, of the same latent dimension, that kept weights of their epochs; newest first."""
        data, dim = lab.origin.meta["data_fingerprint"], lab.origin.config.latent_dim
        return {
            name: run
            for name, run in reversed(self._runs.items())
            if run.kept_epochs and (run.meta["data_fingerprint"], run.config.latent_dim) == (data, dim)
        }


class Trainings:
    """At most one training at a time, for all pages; new runs go to `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._job: Job | None = None
        self.number = 0
        """Counts trainings, so that a page knows one that it has not seen the end of."""

    def start(self, name: str, plan: Callable[[], list[Planned]], decoder: Run) -> None:
        """Train what `plan` says. Raises UserError while another training runs."""

        def work(progress: Progress) -> None:
            from gpvae_core.explore.gap_lab.teaching import train_planned

            progress(0, 0, f"starting {name}")
            train_planned(self._root, plan(), decoder, progress)

        with self._lock:
            if self.running:
                raise UserError("a training is running already: wait for it, or cancel it")
            self.number += 1
            self._job = Job(name, work).start()

    @property
    def running(self) -> bool:
        return self.report().running and self._job is not None

    def cancel(self) -> None:
        """Stop at the next step; what is trained so far is kept and goes on from there."""
        if self._job is not None:
            self._job.cancel()

    def report(self) -> Report:
        """Where it stands."""
        return self._job.report() if self._job is not None else Report("waiting")


_SHARED: weakref.WeakKeyDictionary[RunLibrary, tuple[Labs, Trainings]] = weakref.WeakKeyDictionary()
_SHARING = threading.Lock()


def shared(library: RunLibrary) -> tuple[Labs, Trainings]:
    """The labs and trainings of all pages over this library."""
    with _SHARING:
        if library not in _SHARED:
            _SHARED[library] = Labs(library), Trainings(library.root)
        return _SHARED[library]
