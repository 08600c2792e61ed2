"""View 5: reconstructions."""

from __future__ import annotations

from dashboards.explorer.request import ExplorerPane, ExplorerRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import ReconstructionView
from gpvae_core.plots import reconstructions
from gpvae_core.progress import Progress

READ = (
    "Top: the image decoded from each answer's mean; below: decoded minus input (orange too bright, blue too dark). "
    "Strip: what the posterior leaves open."
)


class Reconstructions(ExplorerPane):
    """Input, base and marginalised encoder, best Gaussian, mode; errors; posterior samples."""

    name = "reconstructions"
    title = "Reconstructions"
    to_csv = staticmethod(export.reconstructions)
    depends = ("focal.name", "identity", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> ReconstructionView:
        return request.focal.explorer.reconstruction_view(request.focal.instance)

    def draw(self, view: ReconstructionView, request: ExplorerRequest) -> Content:
        name, title = request.focal.name, request.focal.instance.title
        errors = ", ".join(f"{item.name} {item.rmse:.3f}" for item in view.items)
        return Content(
            figure=as_json(reconstructions.figure(view, request.theme)),
            sub=f"{name}, {title}",
            sentence=f"{READ} {view.samples_note}",
            alt=f"{title} and its reconstructions, root mean squared error: {errors}",
        )
