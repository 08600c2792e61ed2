"""The runs a server shows: found in folders, loaded when asked for, shared by all pages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dashboards.lab.jobs import WatchedJob
from gpvae_core.errors import UserError, unknown
from gpvae_core.progress import Progress

# Torch takes a second to import: a page that waits for its first runs is up before it is needed.
if TYPE_CHECKING:
    from gpvae_core.inspection.explorer import Explorer
    from gpvae_core.runs import RunSummary

DEFAULT_ROOT = Path("runs")
T = TypeVar("T")


def _display_names(found: Sequence[RunSummary]) -> dict[str, RunSummary]:
    """Return the runs under their folder's name; where two are the same, with the parent's."""
    names = [summary.path.name for summary in found]
    return {
        name if names.count(name) == 1 else f"{summary.path.parent.name}/{name}": summary
        for name, summary in zip(names, found, strict=True)
    }


def _on_images(summary: RunSummary) -> bool:
    from gpvae_core.data.base import DATASETS, parse_name

    return DATASETS.get(parse_name(summary.dataset)[0]).is_images


def _has_best(summary: RunSummary) -> bool:
    """Return whether there are weights to show: inference that finishes its weights has none before (see RAW)."""
    from gpvae_core.run_files import snapshot_folder

    return snapshot_folder(summary.path / "best") is not None


def _opened(path: Path) -> Explorer:
    from gpvae_core.inspection.explorer import Explorer
    from gpvae_core.runs import load_run

    return Explorer(load_run(path))


def _runs_at(place: Path) -> tuple[list[RunSummary], list[str]]:
    """Return the runs of a run folder or a folder of runs, and one line for each that is damaged.

    Raises:
        UserError: it was named and is neither, or is a damaged run.
    """
    if place == DEFAULT_ROOT and not place.is_dir():
        return [], []
    from gpvae_core.run_files import existing_run
    from gpvae_core.runs import list_runs, summarize

    if (existing_run(place) / "config.json").is_file():
        return [summarize(place)], []
    return list_runs(place)


def _check_place(place: Path) -> None:
    """Raises UserError for a folder of other things, among which the default pair would be trained."""
    if place == DEFAULT_ROOT or not any(not path.name.startswith(".") for path in place.iterdir()):
        return
    runs, damaged = _runs_at(place)
    if not runs:
        raise UserError(damaged[0] if damaged else f"'{place}' holds no runs: wanted a run, or a folder of runs")


class RunLibrary:
    """Runs in `places`, each a run folder or a folder of runs, newest first; `opened` makes an Explorer of a folder.

    Raises:
        UserError: a place that does not exist or is neither, or that holds only damaged runs.
    """

    def __init__(self, places: Sequence[Path], opened: Callable[[Path], Explorer] | None = None) -> None:
        self._places = list(places)
        self._opened = opened or _opened
        self._lock, self._one_at_a_time = threading.Lock(), threading.Lock()
        self._explorers: dict[Path, Explorer] = {}
        self._jobs: dict[Path, WatchedJob] = {}
        self._broken: set[Path] = set()
        self._shared: dict[Any, Any] = {}
        self.damaged: list[str] = []
        self._found: dict[str, RunSummary] = {}
        self._ready: frozenset[str] = frozenset()
        self.rescan()
        for place in self._places:
            _check_place(place)

    @property
    def root(self) -> Path:
        """Where new runs go."""
        return self._places[0]

    @property
    def places(self) -> tuple[Path, ...]:
        """Where it looks."""
        return tuple(self._places)

    def shared(self, make: Callable[[RunLibrary], T]) -> T:
        """Return what all pages over this library share; it is made at the first call."""
        with self._lock:
            if make not in self._shared:
                self._shared[make] = make(self)
            return self._shared[make]

    def rescan(self, finished_only: bool = False) -> None:
        """Look again for runs that can be shown: those with weights of at least one epoch, or trained to the end."""
        found: list[RunSummary] = []
        damaged: list[str] = []
        for place in self._places:
            runs, broken = _runs_at(place)
            named = [run for run in runs if run.path == place]
            found += named or [run for run in runs if run.finished or (run.epochs > 0 and not finished_only)]
            damaged += broken
        found.sort(key=lambda run: (run.path / "config.json").stat().st_mtime, reverse=True)
        with self._lock:
            self._found, self.damaged = _display_names(found), damaged
            self._ready = frozenset(name for name, summary in self._found.items() if _has_best(summary))

    def look(self, finished_only: bool) -> list[str]:
        """Look again for runs; return a line for each that is damaged."""
        try:
            self.rescan(finished_only)
        except UserError as error:
            return [str(error)]
        return list(self.damaged)

    def names(self) -> list[str]:
        """Return the names of all runs, newest first."""
        return list(self._found)

    def summary(self, name: str) -> RunSummary:
        """Raises UserError with the nearest right name."""
        if name not in self._found:
            raise unknown("run", name, self._found)
        return self._found[name]

    def ready_names(self) -> list[str]:
        """Return the runs with weights to show, newest first; one that its inference has to finish has none before."""
        return [name for name in self._found if name in self._ready]

    def check_ready(self, name: str) -> None:
        """Raises UserError for a run that there is not, or that has no weights to show yet."""
        path = self.summary(name).path
        if name not in self._ready:
            raise UserError(
                f"run '{name}' has no weights to show before it is finished: wait for its training, or go on with it "
                f"by gpvae train --resume {path}"
            )

    def image_names(self) -> list[str]:
        """Return the runs on images that have weights to show, newest first; others are on points, or not finished."""
        return [name for name in self.ready_names() if _on_images(self._found[name])]

    def image_summary(self, name: str) -> RunSummary:
        """Raises UserError with the nearest right name, or where the run is on points or has no weights yet."""
        summary = self.summary(name)
        if not _on_images(summary):
            raise UserError(f"run '{name}' is on points ({summary.dataset}), not on images: the MAPA Lab shows it")
        self.check_ready(name)
        return summary

    def without_images(self) -> str:
        """Say what is missing where there are runs, but none on images that can be shown; else ''."""
        if not self._found or self.image_names():
            return ""
        if waiting := [name for name, summary in self._found.items() if _on_images(summary)]:
            return f"no run on images is finished yet: {', '.join(waiting)}; those in training appear when they are"
        return (
            "the runs here are on points: the MAPA Lab shows them; for the other pages train on images, "
            "for example with 'gpvae train --dataset digits', and name that run as well"
        )

    def default_choice(self) -> tuple[str, str]:
        """Return the newest run on images, and the next if it has the same data and dimension; '' for none."""
        names = self.image_names()
        if len(names) < 2:
            return (names[0] if names else "", "")
        first, second = (self._found[name] for name in names[:2])
        same = (first.dataset, first.latent_dim) == (second.dataset, second.latent_dim)
        return names[0], names[1] if same else ""

    def explorer(self, name: str) -> Explorer:
        """Return the run's explorer, loaded at the first use. Raises UserError for an unknown or damaged run."""
        path = self.summary(name).path
        with self._lock:
            if path not in self._explorers:
                try:
                    self._explorers[path] = self._opened(path)
                except UserError:
                    self._broken.add(path)
                    raise
            return self._explorers[path]

    def is_open(self, name: str) -> bool:
        """Return whether `explorer(name)` needs no loading."""
        return self.summary(name).path in self._explorers

    def is_broken(self, name: str) -> bool:
        """Return whether it could not be loaded."""
        return self.summary(name).path in self._broken

    def preparation(self, name: str) -> WatchedJob:
        """Return the job that computes ahead what the explorer needs; it begins at the first call."""
        explorer, path = self.explorer(name), self.summary(name).path
        with self._lock:
            if path not in self._jobs:
                self._jobs[path] = WatchedJob(
                    f"preparing {name}", lambda progress: self._prepare(explorer, progress)
                ).start()
            return self._jobs[path]

    def _prepare(self, explorer: Explorer, progress: Progress) -> None:
        """Prepare one run after the other: two at a time would both be late."""
        with self._one_at_a_time:
            explorer.prepare(progress)
