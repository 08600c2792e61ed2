"""What the cards of the MAPA Lab share, and the words that several use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.lab.pane import Pane
from dashboards.mapa_lab.request import MapaLabRequest
from gpvae_core.plots.gaps import nats

if TYPE_CHECKING:
    from gpvae_core.inspection.views import Value


class MapaLabPane(Pane[MapaLabRequest]):
    """One card of a tab; without a figure it is low."""

    looks = "tall shrinks"
    tab: str
    width: int
    """Pixels of the figure."""

    def shown(self, request: MapaLabRequest) -> bool:
        return request.tab == self.tab


def count(number: float) -> str:
    """Return 1,234; one decimal below 10."""
    return f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"


def spread(value: Value) -> str:
    """Return mean ± standard error, where there is one."""
    return nats(round(value.mean, 2) + 0.0) + (f" ± {value.se:.2f}" if value.se is not None else "")
