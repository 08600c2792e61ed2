"""View 3: MAPA posterior traces."""

from __future__ import annotations

from dashboards.explorer.request import ExplorerPane, ExplorerRequest
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import Instance, TracesView
from gpvae_core.mapa import Bandwidth
from gpvae_core.plots import traces
from gpvae_core.progress import Progress

READ = "Circles: training codes weighed by the model; diamonds: by MAPA, from pixels alone. On the line: traced well."
BANDWIDTH_WORDS = {"sigma_x": "σx of the model", "validation": "best on validation"}


class MapaTraces(ExplorerPane):
    """True line, empiricalized and MAPA points per latent coordinate."""

    name = "traces"
    title = "MAPA traces"
    needs = frozenset({"encodings", "atlas", "reference"})
    to_csv = staticmethod(export.traces)
    depends = ("focal.name", "identity", "bandwidth", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> TracesView:
        return request.focal.explorer.traces_view(request.focal.instance, request.bandwidth)

    def draw(self, view: TracesView, request: ExplorerRequest) -> Content:
        side, d = request.focal, len(view.traces)
        shown = _shown(request.coordinates, d)
        return Content(
            figure=as_json(traces.figure(view, request.theme, shown)),
            sub=side.name,
            sentence=f"{view.note} {READ} Kernel width {view.bandwidth:.3g}; KL(empiricalized ‖ MAPA) = "
            f"{view.kl_mapa:.2f} nats.",
            alt=_alt(side.instance, view, shown),
            selects=(*_coordinates(shown, d), *_kernel(side.explorer.bandwidths, request.bandwidth)),
        )


def _shown(first: int, d: int) -> list[int]:
    """Return the pair of coordinates, counted from 0, that holds coordinate `first`; else the last."""
    start = min(first - 1, d - 1) // 2 * 2
    return list(range(start, min(start + 2, d)))


def _kernel(bandwidths: tuple[Bandwidth, ...], chosen: Bandwidth) -> tuple[Select, ...]:
    """Offer what the kernel takes its width from, where the run leaves a choice."""
    if len(bandwidths) < 2:
        return ()
    return (Select("bandwidth", "kernel", tuple((b, BANDWIDTH_WORDS[b]) for b in bandwidths), chosen),)


def _coordinates(shown: list[int], d: int) -> tuple[Select, ...]:
    """Offer, for d > 2, which pair is shown."""
    if d <= 2:
        return ()
    pairs = [_shown(k, d) for k in range(1, d + 1, 2)]
    options = tuple((str(pair[0] + 1), ", ".join(f"z{k + 1}" for k in pair)) for pair in pairs)
    return (Select("coordinates", "of", options, str(shown[0] + 1)),)


def _alt(instance: Instance, view: TracesView, shown: list[int]) -> str:
    along = " and ".join(view.traces[k].coordinate for k in shown)
    return (
        f"Log posterior of {instance.title} along {along}: the true line and {len(view.traces[0].z)} training codes; "
        f"MAPA is {view.kl_mapa:.2f} nats from the empiricalized model"
    )
