"""The decoders among a server's runs and a lab for each, shared by all pages; what is trained for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dashboards.lab.jobs import JobSlot
from dashboards.lab.library import RunLibrary
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.memo import Memo

# Torch takes a second to import: a page that waits for its first runs is up before it is needed.
if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.lab import GapLab
    from gpvae_core.inspection.gap_lab.methods import Decoder
    from gpvae_core.runs import Run


class GapLabs:
    """Loads the runs that the library finds and groups them by decoder. Safe to ask from several threads."""

    def __init__(self, library: RunLibrary) -> None:
        self.library, self.trainings = library, JobSlot()
        self._lock = threading.Lock()
        self._labs: dict[str, GapLab] = {}
        self._families = Memo()
        self._runs: dict[str, Run] = {}
        self.decoders: list[Decoder] = []
        self.complaints: list[str] = []

    def refresh(self, finished_only: bool) -> None:
        """Look again for runs; one that cannot be loaded is left out, and said in `complaints`."""
        from gpvae_core.inspection.gap_lab.lab import GapLab
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
                known = self._labs.get(decoder.fingerprint)
                if known is None or known.decoder != decoder:
                    lab = GapLab(decoder, runs) if known is None else known.with_runs(decoder, runs)
                    self._labs[decoder.fingerprint] = lab

    def lab(self, decoder: str) -> GapLab:
        """Raises UserError with the nearest right name."""
        fingerprints = {known.name: known.fingerprint for known in self.decoders}
        if decoder not in fingerprints:
            raise unknown("decoder", decoder, fingerprints)
        return self._labs[fingerprints[decoder]]

    def families(self, lab: GapLab) -> tuple[str, ...]:
        """Return the methods of the teaching set that fit a decoder; they are looked up once."""
        from gpvae_core.inspection.gap_lab.teaching import teaching_set

        names = lambda: tuple(planned.config.method for planned in teaching_set(lab.origin))  # noqa: E731
        return self._families.get(lab.decoder.fingerprint, names)

    def with_epochs(self, lab: GapLab) -> dict[str, Run]:
        """Return the runs on these data, with this latent dimension, that kept weights of epochs; newest first."""
        data, dim = lab.origin.meta.data_fingerprint, lab.origin.config.latent_dim
        return {
            name: run
            for name, run in reversed(self._runs.items())
            if run.kept_epochs and (run.meta.data_fingerprint, run.config.latent_dim) == (data, dim)
        }
