"""View 1: the true posterior."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.request import Drawn, Request, Side, as_json, tables
from dashboards.state import plane_dims
from dashboards.widgets.card import Select
from gpvae_core.explore import export
from gpvae_core.explore.views import Instance, PosteriorView
from gpvae_core.plots import posterior
from gpvae_core.plots.theme import message

READ = (
    "Lines: the smallest regions that hold 50, 90, 99 % of the posterior; shade: log density. The closer an ellipse is "
    "to the 90 % line, the better that Gaussian. Red dots: samples of the base encoder."
)

ONE_DIMENSION = "A run with one latent dimension has no plane: its posterior is the line in the MAPA traces."
READ_SLICE = "The closer an ellipse is to the 90 % line, the better that Gaussian."


class Posterior:
    """Contours over the latent plane with dots, ellipses, MAPA points and modes."""

    name = "posterior"
    title = "True posterior"
    needs = frozenset({"encodings", "atlas"})

    def key(self, request: Request) -> Hashable:
        return request.names, request.identity, request.plane, request.theme.name, request.refined

    def draw(self, request: Request) -> Drawn:
        sides = [side for side in request.sides if side.explorer.run.model.latent_dim > 1]
        if not sides:
            empty = message(request.theme, "one latent dimension: no plane", posterior.WIDTH, posterior.HEIGHT)
            return Drawn(as_json(empty), request.focal.name, ONE_DIMENSION, ONE_DIMENSION)
        views = [posterior_view(side, request.plane) for side in sides]
        names = tuple(side.name for side in sides)
        left_out = "" if len(sides) == len(request.sides) else f"{ONE_DIMENSION} "
        note = views[0].plane.note
        return Drawn(
            figure=as_json(posterior.figure(views, names, request.theme)),
            sub=" and ".join(names),
            sentence=left_out + (f"{note} {READ_SLICE}" if note else READ),
            alt="; ".join(_alt(side.name, side.instance, v) for side, v in zip(sides, views, strict=True)),
            selects=_selects(request),
        )

    def csv(self, request: Request) -> str:
        return tables(request, lambda side: export.posterior(posterior_view(side, request.plane)))


def posterior_view(side: Side, plane: str) -> PosteriorView:
    """The view of one run on the plane chosen; d = 2 has only one."""
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


def _selects(request: Request) -> tuple[Select, ...]:
    """d > 2: principal directions, or two dimensions."""
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
