"""From the state of the MAPA Lab to its request: what does not exist is replaced, and said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.mapa_lab.labs import MapaLabs
from dashboards.mapa_lab.state import CONTROLS, DEFAULT, SIGMA, MapaLabState, bandwidth_of, kernel_of, place_of
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.mapa_lab.views import ChosenPoint, MapaSettings
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.mapa_lab.images import ImageLab
    from gpvae_core.inspection.mapa_lab.points import PointLab


@dataclass(frozen=True)
class ImageChoice:
    """The image model, the test image and the kernel."""

    run: str
    lab: ImageLab
    index: int
    kernel: Mapping[str, float] | None
    """None: the best on validation images, sought when it is needed."""


@dataclass(frozen=True)
class MapaLabRequest:
    """The state of the MAPA Lab, resolved."""

    tab: str
    labs: MapaLabs
    lab: PointLab
    chosen: ChosenPoint
    settings: MapaSettings
    values: Mapping[str, Any]
    """All of the state."""
    sets: Mapping[str, str]
    """Name of each set of points -> what it is."""
    point_runs: tuple[str, ...]
    image_runs: tuple[str, ...]
    picture: ImageChoice | None
    theme: Theme

    @property
    def set_key(self) -> tuple[str, int, int]:
        """Stands for the points."""
        return self.lab.name, self.lab.draw, self.lab.size

    @property
    def place_key(self) -> tuple[float, ...]:
        """Stands for the chosen point."""
        return tuple(float(v) for v in self.chosen.x)

    @property
    def own_noise(self) -> float:
        """The noise of the generative process that is shown, where no other is chosen."""
        from gpvae_core.inspection.mapa_lab.process import PAPER_SIGMA

        return PAPER_SIGMA if self.values["example"] == "paper" else self.lab.sigma


class MapaLabPane(Pane[MapaLabRequest]):
    """One card of a tab; without a figure it is low."""

    looks = "tall shrinks"
    tab: str
    width: int
    """Pixels of the figure."""

    def shown(self, request: MapaLabRequest) -> bool:
        return request.tab == self.tab


def resolve(labs: MapaLabs, values: Values) -> Resolved[MapaLabRequest]:
    """Return the request, what of the state had to be corrected for it, and why.

    Raises:
        UserError: the set of points cannot be opened.
    """
    from gpvae_core.inspection.mapa_lab.points import ABOUT, PointLab

    if values["dataset"] not in ABOUT:
        default = MapaLabState.param["dataset"].default
        values.correct("dataset", default, str(unknown("set of points", values["dataset"], ABOUT)))
    lab = PointLab.open(values["dataset"], values["size"], values["draw"])
    index, place = values.below("index", lab.size, "training point"), place_of(values["place"])
    bandwidth = bandwidth_of(values["bandwidth"])
    if bandwidth is None:
        bandwidth = lab.sigma if values["bandwidth"] == SIGMA else lab.best_bandwidth()
    point_runs, image_runs = labs.point_runs(lab), tuple(labs.library.image_names())
    if (learned := values["learned"]) not in point_runs:
        known = not learned or learned in labs.library.ready_names()
        values.correct("learned", "", "" if known else labs.why_not(learned, "run on these points", point_runs))
    request = MapaLabRequest(
        tab=values["tab"], labs=labs, lab=lab, values=values, sets=ABOUT, theme=values.theme,
        chosen=lab.chosen(index) if place is None else lab.chosen_at(*place),
        settings=MapaSettings(bandwidth, values["k"], values["draws"], values["seed"]),
        point_runs=point_runs, image_runs=image_runs,
        picture=_picture(labs, image_runs, values) if values["tab"] == "images" else None,
    )  # fmt: skip
    if "bandwidth" in CONTROLS[request.tab]:
        try:
            lab.check(request.settings)
        except UserError as error:  # such as k > N
            return values.resolved(request, refused=str(error))
    return values.resolved(request)


def _picture(labs: MapaLabs, runs: tuple[str, ...], values: Values) -> ImageChoice | None:
    """Return the image model that is asked for, else the newest that can be loaded; None where there is none."""
    if values["run"] and values["run"] not in runs:
        values.correct("run", "", labs.why_not(values["run"], "run on images", runs))
    for name in dict.fromkeys([values["run"] or runs[0], *runs] if runs else []):
        try:
            lab = labs.images(name)
        except UserError as error:
            values.complaints.append(str(error))
            continue
        values.correct("run", name)
        return ImageChoice(name, lab, values.below("image", lab.size, "test image"), _kernel(lab, values))
    return None


def _kernel(lab: ImageLab, values: Values) -> dict[str, float] | None:
    """Return all hyper-parameters of the run's kernel, None for the best; a name that it does not have is replaced."""
    kernel = kernel_of(values["kernel"])
    if unknown_names := [name for name in kernel or {} if name not in lab.defaults]:
        complaint = str(unknown("hyper-parameter of this run's kernel", unknown_names[0], lab.defaults))
        values.correct("kernel", DEFAULT, complaint)
        kernel = {}
    return None if kernel is None else lab.defaults | kernel
