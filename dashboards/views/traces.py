"""View 3: MAPA posterior traces."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.request import Drawn, Request, as_json
from dashboards.state import BANDWIDTHS, plane_dims
from dashboards.widgets.card import Select
from gpvae_core.explore import export
from gpvae_core.explore.views import Instance, TracesView
from gpvae_core.plots import traces

READ = "Circles: training codes weighed by the model; diamonds: by MAPA, from pixels alone. On the line: traced well."
BANDWIDTH_WORDS = {"sigma_x": "σx of the model", "validation": "best on validation"}


class Traces:
    """True line, empiricalized and MAPA points per latent coordinate."""

    name = "traces"
    title = "MAPA traces"
    needs = frozenset({"encodings", "atlas", "reference"})

    def key(self, request: Request) -> Hashable:
        return request.focal.name, request.identity, request.bandwidth, request.plane, request.theme.name

    def draw(self, request: Request) -> Drawn:
        side = request.focal
        view = side.explorer.traces_view(side.instance, request.bandwidth)
        shown = [k for k in plane_dims(request.plane)[1] if k < len(view.traces)]
        more = f" Shown: {len(shown)} of {len(view.traces)} coordinates, those of the plane chosen." * (
            len(view.traces) > 2
        )
        return Drawn(
            figure=as_json(traces.figure(view, request.theme, shown)),
            sub=f"{side.name}, kernel width {view.bandwidth:.3g}",
            sentence=f"{view.note} {READ} KL(empiricalized ‖ MAPA) = {view.kl_mapa:.2f} nats.{more}",
            alt=_alt(side.instance, view, shown),
            selects=(
                Select("bandwidth", "kernel", tuple((b, BANDWIDTH_WORDS[b]) for b in BANDWIDTHS), request.bandwidth),
            ),
        )

    def csv(self, request: Request) -> str:
        return export.traces(request.focal.explorer.traces_view(request.focal.instance, request.bandwidth))


def _alt(instance: Instance, view: TracesView, shown: list[int]) -> str:
    along = " and ".join(view.traces[k].coordinate for k in shown)
    return (
        f"Log posterior of {instance.title} along {along}: the true line and {len(view.traces[0].z)} training codes; "
        f"MAPA is {view.kl_mapa:.2f} nats from the empiricalized model"
    )
