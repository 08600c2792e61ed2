"""View 5: reconstructions."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.request import Drawn, Request, as_json
from gpvae_core.explore import export
from gpvae_core.plots import reconstructions

READ = (
    "Top: the image decoded from each answer's mean; below: decoded minus input (orange too bright, blue too dark). "
    "Strip: what the posterior leaves open."
)


class Reconstructions:
    """Input, base and marginalised encoder, best Gaussian, mode; errors; posterior samples."""

    name = "reconstructions"
    title = "Reconstructions"
    needs = frozenset({"encodings", "atlas"})

    def key(self, request: Request) -> Hashable:
        return request.focal.name, request.identity, request.theme.name, request.refined

    def draw(self, request: Request) -> Drawn:
        side = request.focal
        view = side.explorer.reconstruction_view(side.instance)
        errors = ", ".join(f"{item.name} {item.rmse:.3f}" for item in view.items)
        return Drawn(
            figure=as_json(reconstructions.figure(view, request.theme)),
            sub=f"{side.name}, {side.instance.title}",
            sentence=f"{READ} {view.samples_note}",
            alt=f"{side.instance.title} and its reconstructions, root mean squared error: {errors}",
        )

    def csv(self, request: Request) -> str:
        return export.reconstructions(request.focal.explorer.reconstruction_view(request.focal.instance))
