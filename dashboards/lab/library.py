"""The runs that a server shows: found in folders, loaded at their first use, shared by all pages."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dashboards.lab.jobs import JOB_S, OF_STEP, Report, WatchedJob
from dashboards.lab.places import ListedRun, check_place, listed, names_of, runs_at, weights_of, written
from dashboards.lab.words import method_words
from gpvae_core.errors import UserError, shown, unknown
from gpvae_core.files import real_path, with_name
from gpvae_core.guards import is_being_trained
from gpvae_core.inspection.memo import Memo
from gpvae_core.plots.gaps import nats

# Torch takes a second to import: a page that waits for its first runs is up before it is needed.
if TYPE_CHECKING:
    from gpvae_core.inspection.explorer import Explorer
    from gpvae_core.run_summaries import RunSummary
    from gpvae_core.runs import Run

T = TypeVar("T")
GP = "gp"
"""Kind of the prior of runs that have one over the columns of their images."""


def _opened(path: Path) -> Explorer:
    from gpvae_core.inspection.explorer import Explorer
    from gpvae_core.runs import load_run

    return Explorer(load_run(path))


class RunLibrary:
    """The runs in `places`, each a run folder or a folder of runs; `opened` loads a run folder as an Explorer.

    Raises:
        UserError: a place that does not exist or is neither, or that holds only damaged runs.
    """

    def __init__(self, places: Sequence[Path], opened: Callable[[Path], Explorer] | None = None) -> None:
        self.places = tuple(map(with_name, places))
        self._opened = opened or _opened
        self._explorers, self._shared = Memo(), Memo()
        self._preparing = threading.Lock()
        """Guards the two fields below."""
        self._preparations: dict[Path, WatchedJob] = {}
        self._watched: weakref.WeakKeyDictionary[object, frozenset[Path]] = weakref.WeakKeyDictionary()
        """The runs that each page watches."""
        self._broken: set[Path] = set()
        self._loaded: dict[Path, Hashable] = {}
        """What `weights_of` was when each run was loaded, or could not be."""
        self.version = 0
        """How often `renew` has forgotten a run: by it a page notices that it shows old weights."""
        self._runs: dict[str, ListedRun] = {}
        self.damaged: list[str] = []
        self.rescan()
        for place in self.places:
            check_place(place)

    @property
    def root(self) -> Path:
        """The folder in which new runs are trained."""
        return self.places[0]

    def shared(self, make: Callable[[RunLibrary], T]) -> T:
        """Return `make(self)`, made at the first call and shared by all pages over this library."""
        return self._shared.get(make, lambda: make(self))

    def rescan(self, finished_only: bool = False) -> None:
        """Look again for runs: those that are finished or, unless `finished_only`, have the weights of an epoch."""
        summaries: list[RunSummary] = []
        damaged: list[str] = []
        for place in self.places:
            try:
                runs, broken = runs_at(place)
            except UserError as error:
                damaged.append(str(error))
                continue
            named = [run for run in runs if run.path == place]
            summaries += named or [run for run in runs if run.finished or (run.epochs > 0 and not finished_only)]
            damaged += broken
        once: dict[Path, RunSummary] = {}
        for run in summaries:
            once.setdefault(real_path(run.path), run)  # a run that is found twice, in two places or by a link, is one
        found = sorted(once.values(), key=lambda run: written(run.path / "config.json"), reverse=True)
        names = names_of([run.path for run in found])
        self._runs, self.damaged = dict(zip(names, map(listed, found), strict=True)), damaged

    def look(self, finished_only: bool) -> list[str]:
        """Look again for runs; return a line for each that is damaged."""
        self.rescan(finished_only)
        return list(self.damaged)

    def names(self) -> list[str]:
        """Return the names of all runs, newest first."""
        return list(self._runs)

    def ready_names(self) -> list[str]:
        """Return the names of the runs that have weights, newest first."""
        return [name for name, run in self._runs.items() if run.ready]

    def image_names(self) -> list[str]:
        """Return the names of the runs on images alone that have weights, newest first."""
        return [name for name, run in self._runs.items() if run.ready and run.on_images and not run.summary.conditional]

    def conditional_names(self) -> list[str]:
        """Return the names of the runs on images given their columns that have weights, newest first."""
        return [name for name, run in self._runs.items() if run.ready and run.summary.conditional]

    def summary(self, name: str) -> RunSummary:
        """Return the summary of a run. Raises UserError, with the nearest name there is, for an unknown run."""
        if name not in self._runs:
            raise unknown("run", name, self._runs)
        return self._runs[name].summary

    def check_ready(self, name: str) -> None:
        """Raise UserError if the run is unknown, has no weights yet, or models images given their columns."""
        path = self.summary(name).path
        if self.summary(name).conditional:
            raise UserError(
                f"run '{name}' models images given their columns, so that none has a log p(x) of its own: the GP-Prior "
                "Lab shows it"
            )
        if not self._runs[name].ready:
            raise UserError(
                f"run '{name}' has no weights to show before it is finished: wait for its training, or go on with it "
                f"by gpvae train --resume {path}"
            )

    def image_summary(self, name: str) -> RunSummary:
        """Return the summary of a run on images. Raises UserError if it is on points, or as `check_ready` does."""
        summary = self.summary(name)
        if not self._runs[name].on_images:
            raise UserError(f"run '{name}' is on points ({summary.dataset}), not on images: the MAPA Lab shows it")
        self.check_ready(name)
        return summary

    def partial(self, name: str) -> str:
        """Return how far a run has come whose training has not ended, see `RunSummary.partial`; '' for any other."""
        return self.summary(name).partial

    def label(self, name: str) -> str:
        """Return a run's name as a page lists it, with a mark where its training has not ended."""
        return f"{name} ({partial})" if (partial := self.partial(name)) else name

    def remark(self, names: Sequence[str]) -> list[str]:
        """Return a line about those of the runs shown whose training has not ended; none where all have."""
        partial = list(dict.fromkeys(name for name in names if name in self._runs and self.partial(name)))
        goes_on = [name for name in partial if is_being_trained(self.summary(name).path)]
        stopped = [name for name in partial if name not in goes_on]
        lines = [f"{', '.join(map(self.label, goes_on))}: being trained now"] if goes_on else []
        if stopped:
            resume = " and ".join(f"gpvae train --resume {self.summary(name).path}" for name in stopped)
            lines.append(f"{', '.join(map(self.label, stopped))}: training was stopped; go on with it by {resume}")
        return lines

    def finished_first(self, names: Sequence[str]) -> list[str]:
        """Return the names of runs, those whose training has not ended last: none of these is chosen by itself."""
        return sorted(names, key=lambda name: bool(self.partial(name)))

    def without_images(self) -> str:
        """Return why no run on images can be shown although there are runs; '' where there are none, or one can."""
        if not self._runs or self.image_names():
            return ""
        if all(run.summary.conditional for run in self._runs.values()):
            return (
                "the runs here model images given their columns: the GP-Prior Lab shows them; for the "
                "other pages train on images alone, for example with 'gpvae train --dataset digits'"
            )
        if waiting := [name for name, run in self._runs.items() if run.on_images and not run.summary.conditional]:
            return f"no run on images is finished yet: {', '.join(waiting)}; those in training appear when they are"
        return (
            "the runs here are on points: the MAPA Lab shows them; for the other pages train on images, "
            "for example with 'gpvae train --dataset digits', and name that run as well"
        )

    def default_choice(self, damaged: Sequence[str] = ()) -> tuple[str, str]:
        """Return the newest run on images, and the second newest if it has the same data and dimension; '' for none.

        A run whose training has not ended is chosen only where there is no other, and none is compared with it.
        Those that are known to be `damaged` are chosen never.
        """
        names = [name for name in self.image_names() if name not in damaged]
        finished = [name for name in names if not self.partial(name)]
        first, second, *_ = [*(finished or names[:1]), "", ""]
        kinds = [(run.dataset, run.latent_dim) for run in map(self.summary, filter(None, (first, second)))]
        return first, second if len(set(kinds)) == 1 else ""

    def about(self, name: str) -> dict[str, str]:
        """Return what the run is, heading -> text. Raises UserError for an unknown run."""
        summary = self.summary(name)
        score = summary.best_elbo if summary.best_elbo is not None else summary.score
        scored = "best ELBO" if summary.best_elbo is not None else f"best {summary.score_name}"
        best = f", best weights of epoch {summary.best_epoch}" if summary.best_epoch else ""
        return {
            "run": name,
            "folder": shown(str(summary.path)),
            "method": f"{summary.method}: {method_words(summary.method)}",
            "data": summary.dataset,
            "d": str(summary.latent_dim),
            "epochs": f"{summary.epochs} of {summary.epochs_wanted}{best}",
            "state": self._state(summary),
            "σx": self._noise(name),
            "validation": "–" if score is None else f"{scored} {nats(score)} nats",
        }

    @staticmethod
    def _state(summary: RunSummary) -> str:
        if summary.finished:
            return "finished"
        return "being trained" if is_being_trained(summary.path) else "not finished"

    def _noise(self, name: str) -> str:
        """Return sigma_x of the run's likelihood in pixel units; '–' where it has none or is not loaded."""
        explorer = self._explorers.peek(self.summary(name).path)
        scale = None if explorer is None else explorer.run.model.likelihood.noise_scale()
        if explorer is None or scale is None:
            return "–"
        learned = explorer.run.config.likelihood.model_dump().get("learn_sigma_x", False)
        return f"{scale:.3g}{' (learned)' * bool(learned)}"

    def explorer(self, name: str) -> Explorer:
        """Return the run's explorer, loaded at the first use. Raises UserError for an unknown or damaged run."""
        path = self.summary(name).path

        def load() -> Explorer:
            self._loaded[path] = weights_of(path)  # before the weights: what is written in between is noticed
            try:
                return self._opened(path)
            except UserError:
                self._broken.add(path)
                raise

        return self._explorers.get(path, load)

    def run(self, name: str) -> Run:
        """Return the run, loaded at the first use. Raises UserError for an unknown or damaged run."""
        return self.explorer(name).run

    def renew(self, in_training: bool) -> list[str]:
        """Forget the loaded runs whose weights on disk are others by now; they are loaded again at their next use.

        Runs that are still in training are kept unless `in_training`: their weights change with every epoch, and to
        prepare the views can take longer than one. Return the names of those.
        """
        from gpvae_core.run_summaries import summarize

        kept = set()
        for path, loaded in list(self._loaded.items()):
            weights = weights_of(path)
            if weights in (None, loaded):
                continue
            try:
                summary = summarize(path)
            except UserError:  # it is being written
                continue
            if summary.finished or in_training:
                self._forget(path)
                self._runs = {
                    name: listed(summary) if run.summary.path == path else run for name, run in self._runs.items()
                }
                self.version += 1
            else:
                kept.add(path)
        return [name for name, run in self._runs.items() if run.summary.path in kept]

    def _forget(self, path: Path) -> None:
        del self._loaded[path]
        self._broken.discard(path)
        self._explorers.drop(path)
        with self._preparing:
            if (job := self._preparations.pop(path, None)) is not None:
                job.cancel()

    def weights(self, name: str) -> Hashable:
        """Return a value that changes with the weights by which the run's views are computed."""
        path = self.summary(name).path
        return self._loaded.get(path) or weights_of(path)

    def is_open(self, name: str) -> bool:
        """Return whether the run is loaded."""
        return self._explorers.peek(self.summary(name).path) is not None

    def is_broken(self, name: str) -> bool:
        """Return whether an attempt to load the run has failed."""
        return self.summary(name).path in self._broken

    def prepare(self, page: object, names: Sequence[str], again: bool = False) -> None:
        """Compute what the views of these runs, which are loaded, need, and of no others for this page.

        What no page watches any more is cancelled. A run that the user has cancelled waits until it is asked for
        `again`. Runs are prepared side by side, so that none waits for another.
        """
        with self._preparing:
            names = [name for name in names if name in self._runs]
            self._watched[page] = frozenset(self.summary(name).path for name in names)
            for path in self._preparations.keys() - frozenset().union(*self._watched.values()):
                self._preparations.pop(path).cancel()
            for name in names:
                path, work = self.summary(name).path, self.explorer(name).prepare
                known = self._preparations.get(path)
                if known is None or (again and not known.report().running):
                    self._preparations[path] = WatchedJob(f"preparing {name}", work, JOB_S, OF_STEP).start()

    def cancel_preparation(self, name: str) -> None:
        """Cancel what is computed for a run, for all pages."""
        with self._preparing:
            if (job := self._preparations.get(self.summary(name).path)) is not None:
                job.cancel()

    def preparation(self, name: str) -> Report:
        """Return the progress of what is computed for a run; its outcome is idle where no page has asked for it."""
        job = self._preparations.get(self.summary(name).path)
        return Report("idle") if job is None else job.report()
