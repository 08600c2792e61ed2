"""The interface of figures drawn from runs, and the registry of all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import plotly.graph_objects as go

from gpvae_core.csv_text import csv_text
from gpvae_core.data.base import source_name
from gpvae_core.errors import UserError, unknown
from gpvae_core.figures.runs import RunOnDisk, runs_at
from gpvae_core.files import check_file, write_text
from gpvae_core.plots.spread_curves import SpreadView
from gpvae_core.plots.spread_curves import figure as spread_figure
from gpvae_core.plots.theme import THEMES, Theme
from gpvae_core.progress import Progress, silent
from gpvae_core.registry import Registry

V = TypeVar("V")
"""What a figure draws, as plain data."""
TABLE = ".csv"
"""Ending of a file that takes a figure's numbers."""


@dataclass(frozen=True)
class DrawnRuns:
    """The runs of a figure."""

    runs: list[RunOnDisk]
    left_out: dict[str, str]
    """Names of the runs that lack what the figure needs, with what they lack."""


class RunFigure(ABC, Generic[V]):
    """One figure of runs; the first line of a subclass's docstring is its summary."""

    def lacking(self, run: RunOnDisk) -> str:
        """Return in a line what a run lacks for the figure, by its records alone; '' for nothing."""
        return ""

    @abstractmethod
    def view(self, runs: Sequence[RunOnDisk], progress: Progress) -> V:
        """Return what the figure of these runs draws; there is at least one, and none lacks anything.

        Raises:
            UserError: a run lacks what the figure needs.
        """

    @abstractmethod
    def drawn(self, view: V, theme: Theme) -> go.Figure:
        """Return the figure."""

    @abstractmethod
    def table(self, view: V) -> str:
        """Return the numbers of the figure as CSV text."""

    def suited(self, runs: Sequence[RunOnDisk]) -> DrawnRuns:
        """Return which of these runs the figure is of.

        Raises:
            UserError: none has what the figure needs, or they are on several sources of data.
        """
        lacks = {run.path: self.lacking(run) for run in runs}
        having = [run for run in runs if not lacks[run.path]]
        if not having:
            raise UserError(lacks[runs[0].path])
        if len(sources := sorted({source_name(run.config.data.name) for run in having})) > 1:
            raise UserError(f"wanted runs on one data set, got runs on {' and '.join(sources)}: name those of one")
        return DrawnRuns(having, {run.name: lacks[run.path] for run in runs if lacks[run.path]})

    def draw(self, runs: Sequence[RunOnDisk], theme: Theme, progress: Progress) -> go.Figure:
        """Return the figure of those of these runs that suit it. Raises UserError as `suited` and `view` do."""
        return self.drawn(self.view(self.suited(runs).runs, progress), theme)


class SpreadFigure(RunFigure[SpreadView], ABC):
    """A figure of means over runs that differ in their seeds."""

    def drawn(self, view: SpreadView, theme: Theme) -> go.Figure:
        return spread_figure(view, theme)

    def table(self, view: SpreadView) -> str:
        return spread_table(view)


def spread_table(view: SpreadView) -> str:
    """Return one row for each mark of a figure of runs as CSV text."""
    rows = (
        [panel.y, curve.name, x, y, sd, runs]
        for panel in view.panels
        for curve in panel.curves
        for x, y, sd, runs in zip(curve.x, curve.y, curve.sd, curve.runs, strict=True)
    )
    levels = (
        [panel.y, level.name, None, level.value, level.sd, None] for panel in view.panels for level in panel.levels
    )
    return csv_text(["what", "curve", view.x, "mean", "sd", "runs"], [*rows, *levels])


FIGURES: Registry[type[RunFigure[Any]]] = Registry("figure", "gpvae_core.figures")


def write_figure(
    name: str, places: Sequence[Path], out: Path, theme: str = "light", progress: Progress = silent
) -> DrawnRuns:
    """Draw the figure called `name` from runs, write it as a self-contained page, and return its runs.

    Args:
        places: run folders, folders of runs, or folders of sweeps.
        out: file of the page; where it ends in .csv, the numbers of the figure are written instead.

    Raises:
        UserError: the figure or theme is unknown, there is no such run, none has what the figure needs, they are on
            several data sets, or the file cannot be written.
    """
    figure = FIGURES.get(name)()
    if theme not in THEMES:
        raise unknown("theme", theme, THEMES)
    check_file(out)
    found = figure.suited(runs_at(places))
    view = figure.view(found.runs, progress)
    is_table = out.suffix.lower() == TABLE
    write_text(out, figure.table(view) if is_table else figure.drawn(view, THEMES[theme]).to_html())
    return found
