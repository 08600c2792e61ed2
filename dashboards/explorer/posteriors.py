"""Panes of the true posterior: over a latent plane, along each coordinate, and of six images side by side."""

from __future__ import annotations

from functools import partial

from dashboards.explorer.request import ComparedRun, ExplorerPane, ExplorerRequest, tables
from dashboards.explorer.state import plane_dims
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import FigureOneItem, Instance, PosteriorView, TracesView
from gpvae_core.mapa import Bandwidth
from gpvae_core.plots import figure_one, posterior, traces
from gpvae_core.progress import Progress

CONTOURS_READ = (
    "Lines: the smallest regions that hold 50, 90, 99 % of the posterior; shade: log density. The closer an ellipse is "
    "to the 90 % line, the better that Gaussian. Red dots: samples of the base encoder."
)
ONE_DIMENSION = "A run with one latent dimension has no plane: its posterior is the line in the MAPA traces."
SLICE_READ = "The closer an ellipse is to the 90 % line, the better that Gaussian."
TRACES_READ = (
    "Circles: training codes weighed by the model; diamonds: by MAPA, from pixels alone. On the line: traced well."
)
BANDWIDTH_WORDS = {"sigma_x": "σx of the model", "validation": "best on validation"}
FIGURE_ONE_READ = (
    "Fig. 1 of Kim & Pavlovic (2021), live: six test images from the most to the least certain. If uncertain "
    "images are the hard ones, posteriors become less Gaussian to the right. Click a panel to pick its image."
)
SLICES = (
    "Each panel is a slice through its own posterior's mode along its two main directions, whatever plane is chosen "
    "above."
)
UNORDERED = (
    "Six images in order of uncertainty appear here for a run whose encoder reports its uncertainty (--method gp)."
)


class TruePosterior(ExplorerPane):
    """Contours of the true posterior over the latent plane, with samples, ellipses, MAPA points and modes."""

    name = "posterior"
    title = "True posterior"
    to_csv = staticmethod(partial(tables, export.posterior))
    depends = ("names", "identity", "plane", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> dict[str, PosteriorView]:
        compared = [run for run in request.compared if run.latent_dim > 1]
        return {run.name: posterior_view(run, request.plane) for run in compared}

    def draw(self, view: dict[str, PosteriorView], request: ExplorerRequest) -> Content:
        if not view:
            return Content(sub=request.focal.name, message=ONE_DIMENSION)
        views, names = list(view.values()), tuple(view)
        left_out = "" if len(view) == len(request.compared) else f"{ONE_DIMENSION} "
        note = views[0].plane.note
        return Content(
            figure=as_json(posterior.figure(views, names, request.theme)),
            sub=" and ".join(names),
            sentence=left_out + (f"{note} {SLICE_READ}" if note else CONTOURS_READ),
            alt="; ".join(_contours_alt(name, request.focal.instance, of_run) for name, of_run in view.items()),
            selects=_planes(request),
        )


def posterior_view(run: ComparedRun, plane: str) -> PosteriorView:
    """Return the view of one run on the chosen plane; d = 2 has only one plane."""
    kind, dims = plane_dims(plane)
    if run.latent_dim == 2:
        kind, dims = "auto", (0, 1)
    return run.explorer.posterior_view(run.instance, run.explorer.plane(run.instance, kind, dims))


def _contours_alt(name: str, instance: Instance, view: PosteriorView) -> str:
    modes = len(view.modes)
    return (
        f"Contours of the true posterior of {instance.title} under {name}: {modes} mode{'s' * (modes != 1)}, "
        f"with {len(view.base_samples)} base encoder samples and the 90 % ellipses of "
        f"{', '.join(shape.name for shape in view.gaussians) or 'no Gaussian yet'}"
    )


def _planes(request: ExplorerRequest) -> tuple[Select, ...]:
    """Return, for d > 2, the choice between the plane of the principal directions and that of two dimensions."""
    d = min(run.latent_dim for run in request.compared)
    if d <= 2:
        return ()
    kind, (i, j) = plane_dims(request.plane)
    kinds = (("principal", "main directions"), ("dims", "two dimensions"))
    chosen = (Select("plane_kind", "plane", kinds, kind),)
    if kind == "principal":
        return chosen
    axes = tuple((str(k + 1), f"z{k + 1}") for k in range(d))
    return (*chosen, Select("plane_x", "x", axes, str(i + 1)), Select("plane_y", "y", axes, str(j + 1)))


class MapaTraces(ExplorerPane):
    """The true log posterior along each latent coordinate, with the empiricalized model's and MAPA's points."""

    name = "traces"
    title = "MAPA traces"
    needs = frozenset({"encodings", "atlas", "reference"})
    to_csv = staticmethod(export.traces)
    depends = ("focal.name", "identity", "bandwidth", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> TracesView:
        return request.focal.explorer.traces_view(request.focal.instance, request.bandwidth)

    def draw(self, view: TracesView, request: ExplorerRequest) -> Content:
        run, d = request.focal, len(view.traces)
        shown = _pair(request.coordinates, d)
        along = " and ".join(view.traces[k].coordinate for k in shown)
        return Content(
            figure=as_json(traces.figure(view, request.theme, shown)),
            sub=run.name,
            sentence=f"{view.note} {TRACES_READ} Kernel width {view.bandwidth:.3g}; KL(empiricalized ‖ MAPA) = "
            f"{view.kl_mapa:.2f} nats.",
            alt=f"Log posterior of {run.instance.title} along {along}: the true line and "
            f"{len(view.traces[0].z)} training codes; MAPA is {view.kl_mapa:.2f} nats from the empiricalized model",
            selects=(*_coordinates(shown, d), *_kernel(run.explorer.bandwidths, request.bandwidth)),
        )


def _pair(first: int, d: int) -> list[int]:
    """Return the pair of coordinates, counted from 0, with the coordinate `first`, counted from 1; at most the last."""
    start = min(first - 1, d - 1) // 2 * 2
    return list(range(start, min(start + 2, d)))


def _kernel(bandwidths: tuple[Bandwidth, ...], chosen: Bandwidth) -> tuple[Select, ...]:
    """Return the choice of the kernel's bandwidth, where the run has several."""
    if len(bandwidths) < 2:
        return ()
    return (Select("bandwidth", "kernel", tuple((b, BANDWIDTH_WORDS[b]) for b in bandwidths), chosen),)


def _coordinates(shown: list[int], d: int) -> tuple[Select, ...]:
    """Return, for d > 2, the choice of the pair of coordinates shown."""
    if d <= 2:
        return ()
    pairs = [_pair(k, d) for k in range(1, d + 1, 2)]
    options = tuple((str(pair[0] + 1), ", ".join(f"z{k + 1}" for k in pair)) for pair in pairs)
    return (Select("coordinates", "of", options, str(shown[0] + 1)),)


class FigureOne(ExplorerPane):
    """The true posteriors of six images in order of the encoder's uncertainty."""

    name = "figure_one"
    title = "Uncertainty and posterior shape"
    to_csv = staticmethod(export.figure_one)
    depends = ("focal.name",)

    def compute(self, request: ExplorerRequest, progress: Progress) -> tuple[FigureOneItem, ...]:
        return request.focal.explorer.figure_one()

    def draw(self, view: tuple[FigureOneItem, ...], request: ExplorerRequest) -> Content:
        name = request.focal.name
        if not view:
            return Content(sub=name, message=UNORDERED)
        listed = ", ".join(f"image {item.index}: {item.uncertainty:.3g}" for item in view)
        return Content(
            figure=as_json(figure_one.figure(view, request.theme)),
            sub=name,
            sentence=f"{FIGURE_ONE_READ} {SLICES}" if view[0].posterior.plane.note else FIGURE_ONE_READ,
            alt=f"True posteriors of six images by uncertainty: {listed}",
            picks=True,
            chosen=request.focal.instance.index,
        )
