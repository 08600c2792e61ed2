"""The interface of figures drawn from runs, and the registry of all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import plotly.graph_objects as go

from gpvae_core.errors import unknown
from gpvae_core.figures.runs import RunOnDisk, runs_at
from gpvae_core.files import check_file, write_text
from gpvae_core.plots.spread_curves import SpreadView
from gpvae_core.plots.spread_curves import figure as spread_figure
from gpvae_core.plots.theme import THEMES, Theme
from gpvae_core.progress import Progress, silent
from gpvae_core.registry import Registry

V = TypeVar("V")
"""What a figure draws, as plain data."""


class RunFigure(ABC, Generic[V]):
    """One figure of runs; the first line of a subclass's docstring is its summary."""

    @abstractmethod
    def view(self, runs: Sequence[RunOnDisk], progress: Progress) -> V:
        """Return what the figure of these runs draws; there is at least one.

        Raises:
            UserError: a run lacks what the figure needs.
        """

    @abstractmethod
    def drawn(self, view: V, theme: Theme) -> go.Figure:
        """Return the figure."""

    def draw(self, runs: Sequence[RunOnDisk], theme: Theme, progress: Progress) -> go.Figure:
        """Return the figure of these runs. Raises UserError as `view` does."""
        return self.drawn(self.view(runs, progress), theme)


class SpreadFigure(RunFigure[SpreadView], ABC):
    """A figure of means over runs that differ in their seeds."""

    def drawn(self, view: SpreadView, theme: Theme) -> go.Figure:
        return spread_figure(view, theme)


FIGURES: Registry[type[RunFigure[Any]]] = Registry("figure", "gpvae_core.figures")


def write_figure(
    name: str, places: Sequence[Path], out: Path, theme: str = "light", progress: Progress = silent
) -> list[RunOnDisk]:
    """Draw the figure called `name` from runs, write it as a self-contained page, and return the runs.

    Args:
        places: run folders, folders of runs, or folders of sweeps.

    Raises:
        UserError: the figure or theme is unknown, there is no such run, one lacks what the figure needs, or the file
            cannot be written.
    """
    figure = FIGURES.get(name)()
    if theme not in THEMES:
        raise unknown("theme", theme, THEMES)
    check_file(out)
    runs = runs_at(places)
    write_text(out, figure.draw(runs, THEMES[theme], progress).to_html())
    return runs
