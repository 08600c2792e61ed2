"""Fig. 1 made live."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.request import Drawn, Request, as_json
from gpvae_core.explore import export
from gpvae_core.plots import figure_one
from gpvae_core.plots.theme import message

READ = (
    "Fig. 1 of Kim & Pavlovic (2021), live: six test images from the most to the least certain. If being unsure "
    "means being hard, posteriors turn less Gaussian to the right. Click a panel to pick its image."
)
SLICES = (
    "Each panel is a slice through its own posterior's mode along its two main directions, whatever plane is chosen "
    "above."
)
NONE = "Six images in order of uncertainty appear here for a run whose encoder states its uncertainty (--method gp)."


class FigureOne:
    """Six instances in order of uncertainty."""

    name = "figure_one"
    title = "Uncertainty and posterior shape"
    needs = frozenset({"encodings", "atlas"})

    def key(self, request: Request) -> Hashable:
        return request.focal.name, request.theme.name

    def draw(self, request: Request) -> Drawn:
        side = request.focal
        items = side.explorer.figure_one()
        if not items:
            empty = message(request.theme, "no uncertainty stated by this encoder", figure_one.WIDTH, 60)
            return Drawn(as_json(empty), side.name, NONE, NONE)
        listed = ", ".join(f"image {item.index}: {item.uncertainty:.3g}" for item in items)
        return Drawn(
            figure=as_json(figure_one.figure(items, request.theme)),
            sub=side.name,
            sentence=f"{READ} {SLICES}" if items[0].posterior.plane.note else READ,
            alt=f"True posteriors of six images by uncertainty: {listed}",
            picks=True,
            hovers=False,
        )

    def csv(self, request: Request) -> str:
        return export.figure_one(request.focal.explorer.figure_one())
