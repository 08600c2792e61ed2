"""The decoders among a server's runs, with a Gap Lab for each, and the trainings begun for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dashboards.lab.jobs import OF_RUN, JobSlot
from dashboards.lab.library import RunLibrary
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.memo import Memo

# Torch takes a second to import: a page that waits for its first runs is up before it is needed.
if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.lab import GapLab
    from gpvae_core.runs import Run


class GapLabs:
    """The runs on images of a library, grouped by their decoder.

    All pages of a server share one. `refresh` may be called from several threads: its lock lets one of them load runs
    at a time. Readers need no lock.
    """

    def __init__(self, library: RunLibrary) -> None:
        self.library, self.trainings = library, JobSlot(OF_RUN)
        self._lock = threading.Lock()
        self._families = Memo()
        self._looks_lock = threading.Lock()
        self._looks: dict[str, dict[str, int]] = {}
        """Fingerprint of each decoder -> the number of each method's looks."""
        self._runs: dict[str, Run] = {}
        self.labs: dict[str, GapLab] = {}
        """Name of each decoder -> its lab; `refresh` replaces the mapping as a whole and never changes it."""
        self.complaints: list[str] = []

    def refresh(self, finished_only: bool) -> None:
        """Look again for runs and load them; those that cannot be loaded are left out and named in `complaints`."""
        from gpvae_core.inspection.gap_lab.lab import GapLab
        from gpvae_core.inspection.gap_lab.methods import decoders

        with self._lock:
            self.library.rescan(finished_only)
            runs, complaints = {}, list(self.library.damaged)
            # Oldest first: a new run comes last, so that the colours of the others stay.
            for name in reversed(self.library.image_names()):
                try:
                    runs[name] = self.library.run(name)
                except UserError as error:
                    complaints.append(str(error))
            known, labs = {lab.decoder.fingerprint: lab for lab in self.labs.values()}, {}
            partial = frozenset(name for name in runs if self.library.partial(name))
            for decoder in decoders(runs):
                lab = known.get(decoder.fingerprint) or GapLab(decoder, runs)
                labs[decoder.name] = lab.with_runs(decoder, runs, partial)
            # Others read these without the lock: each is complete when it is assigned.
            self._runs, self.complaints, self.labs = runs, complaints, labs

    def lab(self, decoder: str) -> GapLab:
        """Return the lab of a decoder. Raises UserError, with the nearest name there is, for one that there is not."""
        labs = self.labs
        if decoder not in labs:
            raise unknown("decoder", decoder, labs)
        return labs[decoder]

    def families(self, lab: GapLab) -> tuple[str, ...]:
        """Return the methods of the teaching set that can be trained on a decoder; they are looked up once."""
        from gpvae_core.inspection.gap_lab.teaching import teaching_set

        names = lambda: tuple(planned.config.method for planned in teaching_set(lab.origin))  # noqa: E731
        return self._families.get(lab.decoder.fingerprint, names)

    def looks(self, lab: GapLab, methods: Sequence[str]) -> dict[str, int]:
        """Return the number of the looks of each run of a lab and of these methods on it.

        It stays as it is whatever else is trained or shown. Runs count up, in the order in which they appeared, and
        refined runs down from -1, so that the few that are usually shown together differ in colour.
        """
        with self._looks_lock:
            known = self._looks.setdefault(lab.decoder.fingerprint, {})
            for name in (*lab.runs, *methods):
                if name not in known:
                    refined = sum(number < 0 for number in known.values())
                    known[name] = len(known) - refined if name in lab.runs else -1 - refined
            return dict(known)

    def with_epochs(self, lab: GapLab) -> dict[str, Run]:
        """Return the runs on the lab's data and latent dimension that kept the weights of epochs.

        The newest comes first, and runs whose training has not ended come last.
        """
        data, dim = lab.origin.meta.data_fingerprint, lab.origin.config.latent_dim
        kept = {
            name: run
            for name, run in reversed(self._runs.items())
            if run.kept_epochs and (run.meta.data_fingerprint, run.config.latent_dim) == (data, dim)
        }
        return {name: kept[name] for name in self.library.finished_first([*kept])}

    def offered(self) -> dict[str, str]:
        """Return the name of each decoder by its label, those whose training has not ended last."""
        known = {name: name in lab.partial for name, lab in self.labs.items()}
        return {f"{name} (partial)" if known[name] else name: name for name in sorted(known, key=known.__getitem__)}
