"""What a card of the MAPA Lab is, and the words that several use."""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dashboards.mapa_lab.choice import Wanted
from dashboards.request import Drawn
from gpvae_core.plots.gaps import nats

if TYPE_CHECKING:
    from gpvae_core.explore.views import Value
    from gpvae_core.progress import Progress


class Pane(Protocol):
    """One card. `slow` ones are computed in a job that shows how far it is and can be cancelled."""

    name: str
    title: str
    tab: str
    slow: bool
    width: int
    """Pixels of the figure."""

    def key(self, wanted: Wanted) -> Hashable:
        """What is computed depends on nothing else; None where there is nothing to compute."""
        ...

    def missing(self, wanted: Wanted) -> Drawn:
        """What is said where there is nothing to compute."""
        ...

    def compute(self, wanted: Wanted, progress: Progress) -> Any: ...

    def draw(self, view: Any, wanted: Wanted) -> Drawn: ...

    def verdict(self, view: Any, wanted: Wanted) -> str:
        """What it says in one line; '' where another card of the tab says it."""
        ...

    def csv(self, view: Any) -> str: ...


def message(text: str, **more: Any) -> Drawn:
    """A card without a figure."""
    return Drawn(figure="", sub="", sentence="", alt="", message=text, visible=False, **more)


def count(number: float) -> str:
    """1,234; one decimal below 10."""
    return f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"


def spread(value: Value) -> str:
    """Mean ± standard error, where there is one."""
    return nats(round(value.mean, 2) + 0.0) + (f" ± {value.se:.2f}" if value.se is not None else "")


def at(values: Sequence[float] | np.ndarray, wanted: float) -> int:
    """Position of the one nearest to `wanted`."""
    return int(np.abs(np.asarray(values, dtype=float) - wanted).argmin())


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """CSV; numbers with all their digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
