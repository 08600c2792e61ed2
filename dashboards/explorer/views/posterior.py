"""View 1: the true posterior."""

from __future__ import annotations

from functools import partial

from dashboards.explorer.request import ExplorerPane, ExplorerRequest, Side, tables
from dashboards.explorer.state import plane_dims
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import Instance, PosteriorView
from gpvae_core.plots import posterior
from gpvae_core.plots.theme import message
from gpvae_core.progress import Progress

READ = (
    "Lines: the smallest regions that hold 50, 90, 99 % of the posterior; shade: log density. The closer an ellipse is "
    "to the 90 % line, the better that Gaussian. Red dots: samples of the base encoder."
)

ONE_DIMENSION = "A run with one latent dimension has no plane: its posterior is the line in the MAPA traces."
READ_SLICE = "The closer an ellipse is to the 90 % line, the better that Gaussian."


class TruePosterior(ExplorerPane):
    """Contours over the latent plane with dots, ellipses, MAPA points and modes."""

    name = "posterior"
    title = "True posterior"
    to_csv = staticmethod(partial(tables, export.posterior))
    depends = ("names", "identity", "plane", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> dict[str, PosteriorView]:
        sides = [side for side in request.sides if side.explorer.run.model.latent_dim > 1]
        return {side.name: posterior_view(side, request.plane) for side in sides}

    def draw(self, view: dict[str, PosteriorView], request: ExplorerRequest) -> Content:
        if not view:
            empty = message(request.theme, "one latent dimension: no plane", posterior.WIDTH, posterior.HEIGHT)
            return Content(as_json(empty), request.focal.name, ONE_DIMENSION, ONE_DIMENSION)
        views, names = list(view.values()), tuple(view)
        left_out = "" if len(view) == len(request.sides) else f"{ONE_DIMENSION} "
        note = views[0].plane.note
        return Content(
            figure=as_json(posterior.figure(views, names, request.theme)),
            sub=" and ".join(names),
            sentence=left_out + (f"{note} {READ_SLICE}" if note else READ),
            alt="; ".join(_alt(name, request.focal.instance, one) for name, one in view.items()),
            selects=_selects(request),
        )


def posterior_view(side: Side, plane: str) -> PosteriorView:
    """Return the view of one run on the plane chosen; d = 2 has only one."""
    kind, dims = plane_dims(plane)
    if side.explorer.run.model.latent_dim == 2:
        kind, dims = "auto", (0, 1)
    return side.explorer.posterior_view(side.instance, side.explorer.plane(side.instance, kind, dims))


def _alt(name: str, instance: Instance, view: PosteriorView) -> str:
    modes = len(view.modes)
    return (
        f"Contours of the true posterior of {instance.title} under {name}: {modes} mode{'s' * (modes != 1)}, "
        f"with {len(view.base_samples)} base encoder samples and the 90 % ellipses of "
        f"{', '.join(shape.name for shape in view.gaussians) or 'no Gaussian yet'}"
    )


def _selects(request: ExplorerRequest) -> tuple[Select, ...]:
    """Offer, for d > 2, the principal directions or two dimensions."""
    d = min(side.explorer.run.model.latent_dim for side in request.sides)
    if d <= 2:
        return ()
    kind, (i, j) = plane_dims(request.plane)
    kinds = (("principal", "main directions"), ("dims", "two dimensions"))
    chosen = (Select("plane_kind", "plane", kinds, kind),)
    if kind == "principal":
        return chosen
    axes = tuple((str(k + 1), f"z{k + 1}") for k in range(d))
    return (*chosen, Select("plane_x", "x", axes, str(i + 1)), Select("plane_y", "y", axes, str(j + 1)))
