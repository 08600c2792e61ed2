"""Panes of the true posterior: over a latent plane, along each coordinate, and of six images side by side."""

from __future__ import annotations

from dashboards.explorer.request import ComparedRun, ExplorerPane, ExplorerRequest
from dashboards.explorer.state import plane_dims
from dashboards.lab.words import MAPA_HELP, mapa_words
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.line_views import LineView
from gpvae_core.inspection.uncertainty_views import FigureOneItem
from gpvae_core.inspection.views import Instance, PosteriorView, TracesView
from gpvae_core.mapa import Bandwidth
from gpvae_core.plots import figure_one, posterior, traces
from gpvae_core.progress import Progress

CONTOURS_READ = (
    "Contours: the highest-density regions of 50, 90 and 99 % of the true posterior; shade: its log density. Other "
    "lines: 90 % regions of the approximate posteriors."
)
LINE_READ = (
    "The density along the latent line, by quadrature; bars below it: the highest-density regions of 50, 90 and 99 % "
    "of the true posterior; diamonds: MAPA points."
)
TRACES_READ = (
    "Circles: index posterior of the empiricalized model at the training codes; diamonds: that of MAPA, the "
    "model-agnostic posterior approximation, by the distances of pixels alone."
)
BANDWIDTH_WORDS = {"sigma_x": "σx of the model", "validation": "by validation density"}
FIGURE_ONE_READ = (
    "As Fig. 1 of Kim & Pavlovic (2021): six test images in ascending order of the encoder's uncertainty. Where "
    "uncertainty goes with a complex posterior, posteriors are less Gaussian to the right. A click on a panel picks "
    "its image."
)
SLICES = (
    "Each panel is a slice through its own posterior's mode along its two widest directions, whatever plane is chosen "
    "above; the dots are projected onto it."
)


class TruePosterior(ExplorerPane):
    """Contours of the true posterior over the latent plane, with samples, ellipses, MAPA points and modes."""

    name = "posterior"
    title = "True posterior"
    of_both = True
    to_csv = export.POSTERIOR
    depends = ("explorers", "identity", "plane", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> dict[str, PosteriorView | LineView]:
        return {run.name: posterior_view(run, request.plane) for run in request.compared}

    def draw(self, view: dict[str, PosteriorView | LineView], request: ExplorerRequest) -> Content:
        views, names = list(view.values()), tuple(view)
        mark = "strokes" if request.focal.latent_dim == 1 else "dots"
        each = [
            f"of {r.name}: {r.explorer.family}, {mark}: samples of {view[r.name].base_name}" for r in request.compared
        ]
        return Content(
            figure=as_json(posterior.figure(views, names, request.theme)),
            sub=" and ".join(names),
            sentence=f"{_read(view)} Approximate posterior {'; '.join(each)}.",
            alt="; ".join(_alt(name, request.focal.instance, of_run) for name, of_run in view.items()),
            selects=_planes(request),
        )


def _read(view: dict[str, PosteriorView | LineView]) -> str:
    """Return how to read the panels: contours, which are a slice at d > 2, or a line at d = 1."""
    notes = {name: of_run.plane.note for name, of_run in view.items() if isinstance(of_run, PosteriorView)}
    slices = [(name, note) for name, note in notes.items() if note]
    read = [CONTOURS_READ] * (len(slices) < len(notes))
    read += [note if len(slices) == len(view) else f"{name}: {note}" for name, note in slices[:1]]
    return " ".join(read + [LINE_READ] * (len(notes) < len(view)))


def posterior_view(run: ComparedRun, plane: str) -> PosteriorView | LineView:
    """Return the view of one run on the chosen plane; d = 2 has only one plane, and d = 1 the latent line."""
    if run.latent_dim == 1:
        return run.explorer.line_view(run.instance)
    kind, dims = plane_dims(plane)
    if run.latent_dim == 2:
        kind, dims = "auto", (0, 1)
    return run.explorer.posterior_view(run.instance, run.explorer.plane(run.instance, kind, dims))


def _alt(name: str, instance: Instance, view: PosteriorView | LineView) -> str:
    modes, line = len(view.modes), isinstance(view, LineView)
    return (
        f"{'Density' if line else 'Contours'} of the true posterior of {instance.title} under {name}: "
        f"{modes} mode{'s' * (modes != 1)}, with {len(view.base_samples)} samples of {view.base_name} and the "
        f"{'densities' if line else '90 % regions'} of "
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
    help = MAPA_HELP
    needs = frozenset({"encodings", "atlas", "reference"})
    to_csv = export.TRACES
    depends = ("focal.explorer", "identity", "bandwidth", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> TracesView:
        return request.focal.explorer.traces_view(request.focal.instance, request.bandwidth)

    def draw(self, view: TracesView, request: ExplorerRequest) -> Content:
        run, d = request.focal, len(view.traces)
        shown = _pair(request.coordinates, d)
        along = " and ".join(view.traces[k].coordinate for k in shown)
        return Content(
            figure=as_json(traces.figure(view, request.theme, shown)),
            sub=run.name,
            sentence=f"{view.note} {TRACES_READ} Kernel width {view.bandwidth:.3g} ({view.bandwidth_source}). "
            f"{mapa_words(view.kl_mapa, view.kl_uniform, 'training images')}",
            alt=f"Log posterior of {run.instance.title} along {along}: the true line and "
            f"{len(view.traces[0].z)} training codes; KL(empiricalized ‖ MAPA) {view.kl_mapa:.2f} nats, "
            f"KL(empiricalized ‖ uniform) {view.kl_uniform:.2f} nats",
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
    to_csv = export.FIGURE_ONE
    depends = ("focal.explorer",)

    def shown(self, request: ExplorerRequest) -> bool:
        return request.focal.explorer.reports_uncertainty

    def subject(self, request: ExplorerRequest) -> str:
        return request.focal.name

    def compute(self, request: ExplorerRequest, progress: Progress) -> tuple[FigureOneItem, ...]:
        return request.focal.explorer.figure_one()

    def draw(self, view: tuple[FigureOneItem, ...], request: ExplorerRequest) -> Content:
        name = request.focal.name
        listed = ", ".join(f"image {item.index}: {item.uncertainty:.3g}" for item in view)
        shares = [100 * item.uncertainty / item.variance for item in view]
        scale = f"Tr V = Tr V[f] + Tr V[h] is {min(shares):.2g} to {max(shares):.2g} % of Tr v, the variance of q(z|x)."
        return Content(
            figure=as_json(figure_one.figure(view, request.theme)),
            sub=name,
            sentence=f"{FIGURE_ONE_READ} {scale}{f' {SLICES}' * (request.focal.latent_dim > 2)}",
            alt=f"True posteriors of six images by uncertainty: {listed}",
            picks=True,
            chosen=request.focal.instance.index,
        )
