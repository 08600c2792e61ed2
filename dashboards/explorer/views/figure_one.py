"""Fig. 1 made live."""

from __future__ import annotations

from dashboards.explorer.request import ExplorerPane, ExplorerRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import FigureOneItem
from gpvae_core.plots import figure_one
from gpvae_core.plots.theme import message
from gpvae_core.progress import Progress

READ = (
    "Fig. 1 of Kim & Pavlovic (2021), live: six test images from the most to the least certain. If being unsure "
    "means being hard, posteriors turn less Gaussian to the right. Click a panel to pick its image."
)
SLICES = (
    "Each panel is a slice through its own posterior's mode along its two main directions, whatever plane is chosen "
    "above."
)
NONE = "Six images in order of uncertainty appear here for a run whose encoder states its uncertainty (--method gp)."


class FigureOne(ExplorerPane):
    """Six instances in order of uncertainty."""

    name = "figure_one"
    title = "Uncertainty and posterior shape"
    looks = ""
    to_csv = staticmethod(export.figure_one)
    depends = ("focal.name",)

    def compute(self, request: ExplorerRequest, progress: Progress) -> tuple[FigureOneItem, ...]:
        return request.focal.explorer.figure_one()

    def draw(self, view: tuple[FigureOneItem, ...], request: ExplorerRequest) -> Content:
        name = request.focal.name
        if not view:
            empty = message(request.theme, "no uncertainty stated by this encoder", figure_one.WIDTH, 60)
            return Content(as_json(empty), name, NONE, NONE)
        listed = ", ".join(f"image {item.index}: {item.uncertainty:.3g}" for item in view)
        return Content(
            figure=as_json(figure_one.figure(view, request.theme)),
            sub=name,
            sentence=f"{READ} {SLICES}" if view[0].posterior.plane.note else READ,
            alt=f"True posteriors of six images by uncertainty: {listed}",
            picks=True,
        )
