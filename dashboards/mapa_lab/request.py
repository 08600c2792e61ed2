"""The request of the MAPA Lab: its state, checked, with the set of points and the image model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.lab.words import MAPA_HELP
from dashboards.mapa_lab.labs import MapaLabs
from dashboards.mapa_lab.state import CONTROLS, DEFAULT, SIGMA, MapaLabState, bandwidth_of, kernel_of, place_of
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.mapa_lab.views import ChosenPoint, MapaSettings
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.mapa_lab.images import ImageLab
    from gpvae_core.inspection.mapa_lab.points import PointLab


TWO_DECODERS = "circle"
"""The set of points shown beside a second decoder where the chosen one has none."""


@dataclass(frozen=True)
class ImageChoice:
    """The chosen image model, test image and kernel."""

    run: str
    lab: ImageLab
    index: int
    kernel: Mapping[str, float] | None
    """Hyper-parameters of the kernel; None for the best on validation images, which a pane's job finds."""


@dataclass(frozen=True)
class MapaLabRequest:
    """The state of the MAPA Lab, checked, with the data and runs that it names."""

    tab: str
    labs: MapaLabs
    lab: PointLab
    chosen: ChosenPoint
    settings: MapaSettings
    values: Mapping[str, Any]
    """The value of each parameter of the state."""
    sets: Mapping[str, str]
    """A description of each set of points, by its name."""
    point_runs: tuple[str, ...]
    image_runs: tuple[str, ...]
    density_of: str
    """The run whose density is shown: the chosen one, else the newest that can be loaded; '' for none."""
    picture: ImageChoice | None
    theme: Theme

    @property
    def set_key(self) -> tuple[str, int, int]:
        """A key of the training points: the name of the set, the draw and the number of points."""
        return self.lab.name, self.lab.draw, self.lab.size

    @property
    def place_key(self) -> tuple[float, ...]:
        """A key of the chosen point: its coordinates."""
        return tuple(float(v) for v in self.chosen.x)

    @property
    def own_noise(self) -> float:
        """The standard deviation of the noise of the process shown, unless another is chosen."""
        from gpvae_core.inspection.mapa_lab.process import PAPER_SIGMA

        return PAPER_SIGMA if self.values["example"] == "paper" else self.lab.sigma


class MapaLabPane(Pane[MapaLabRequest]):
    """One card of a tab."""

    help = MAPA_HELP
    tab: str
    width: int
    """Width of the figure in pixels."""

    def subject(self, request: MapaLabRequest) -> str:
        return request.lab.name

    def shown(self, request: MapaLabRequest) -> bool:
        return request.tab == self.tab


def resolve(labs: MapaLabs, values: Values) -> Resolved[MapaLabRequest]:
    """Return the request; values that do not exist are corrected, with a complaint.

    Raises:
        UserError: the set of points cannot be opened.
    """
    from gpvae_core.inspection.mapa_lab.points import ABOUT, PointLab

    if values["dataset"] not in ABOUT:
        default = MapaLabState.param["dataset"].default
        values.correct("dataset", default, str(unknown("set of points", values["dataset"], ABOUT)))
    lab = PointLab.open(values["dataset"], values["size"], values["draw"])
    if values["tab"] == "variants" and len(lab.siblings()) < 2 and not values["learned"]:
        lab = _with_a_second_decoder(labs, lab, values)
    index, chosen = values.below("index", lab.size, "training point"), _place(lab, values)
    bandwidth = bandwidth_of(values["bandwidth"])
    if bandwidth is None:
        bandwidth = lab.sigma if values["bandwidth"] == SIGMA else lab.best_bandwidth()
    point_runs = tuple(labs.library.finished_first(labs.point_runs(lab)))
    image_runs = tuple(labs.library.image_names())
    if (learned := values["learned"]) not in point_runs:
        known = not learned or learned in labs.library.ready_names()
        values.correct("learned", "", "" if known else labs.why_not(learned, "run on these points", point_runs))
    if values["learned"]:
        values.lasting += labs.library.remark([values["learned"]])
    request = MapaLabRequest(
        tab=values["tab"], labs=labs, lab=lab, values=values, sets=ABOUT, theme=values.theme,
        chosen=chosen or lab.chosen(index),
        settings=MapaSettings(bandwidth, values["k"], values["draws"], values["seed"]),
        point_runs=point_runs, image_runs=image_runs, density_of=_density_of(labs, point_runs, values),
        picture=_picture(labs, image_runs, values) if values["tab"] == "images" else None,
    )  # fmt: skip
    if "bandwidth" in CONTROLS[request.tab]:
        try:
            lab.check(request.settings)
        except UserError as error:  # such as k > N
            return values.resolved(request, refused=str(error))
    return values.resolved(request)


def _place(lab: PointLab, values: Values) -> ChosenPoint | None:
    """Return the chosen place, None for none and, with a complaint, for one that is too far from the data."""
    place = place_of(values["place"])
    chosen = None if place is None else values.attempt(lambda: lab.chosen_at(*place), None)
    if chosen is None:
        values.correct("place", "")
    return chosen


def _with_a_second_decoder(labs: MapaLabs, lab: PointLab, values: Values) -> PointLab:
    """Return a set of points of which two decoders are known: with a run on this one, else another set."""
    if found := values.first(labs.point_runs(lab), labs.library.run):
        values.correct("learned", found[0])
        return lab
    complaint = f"of {lab.name} one decoder is known and none is trained here: {TWO_DECODERS}, of which two are known"
    values.correct("dataset", TWO_DECODERS, f"{complaint}, is shown")
    return type(lab).open(TWO_DECODERS, values["size"], values["draw"])


def _density_of(labs: MapaLabs, runs: tuple[str, ...], values: Values) -> str:
    """Return the run whose density the tab shows; where none can be loaded, the newest, whose card tells why."""
    if values["learned"] or values["tab"] != "bound":
        return str(values["learned"])
    found = values.first(runs, labs.library.run)
    return found[0] if found else next(iter(runs), "")


def _picture(labs: MapaLabs, runs: tuple[str, ...], values: Values) -> ImageChoice | None:
    """Return the chosen image model or, if it cannot be loaded, the newest that can; None if there is none."""
    if values["run"] and values["run"] not in runs:
        values.correct("run", "", labs.why_not(values["run"], "run on images", runs))
    offered = labs.library.finished_first(runs)
    found = values.first(dict.fromkeys([values["run"] or offered[0], *offered] if runs else []), labs.images)
    if found is None:
        return None
    name, lab = found
    values.correct("run", name)
    values.lasting += labs.library.remark([name])
    return ImageChoice(name, lab, values.below("image", lab.size, "test image"), _kernel(lab, values))


def _kernel(lab: ImageLab, values: Values) -> dict[str, float] | None:
    """Return the chosen hyper-parameters of the kernel, None for the best; the defaults if it cannot have them."""
    kernel = kernel_of(values["kernel"])
    if unknown_names := [name for name in kernel or {} if name not in lab.defaults]:
        complaint = str(unknown("hyper-parameter of this run's kernel", unknown_names[0], lab.defaults))
        values.correct("kernel", DEFAULT, complaint)
        kernel = {}
    if kernel is None:
        return None
    try:
        lab.check(lab.defaults | kernel)
    except UserError as error:
        values.correct("kernel", DEFAULT, f"kernel: {error}")
        kernel = {}
    return lab.defaults | kernel
