"""From the state of the MAPA Lab to its request: what does not exist is replaced, and said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards.lab.resolved import Resolved, Values
from dashboards.mapa_lab.labs import MapaLabs
from dashboards.mapa_lab.state import (
    BEST,
    DEFAULT,
    SIGMA,
    MapaLabState,
    bandwidth_of,
    count_error,
    kernel_of,
    place_of,
)
from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.mapa_lab.views import ChosenPoint, MapaSettings
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.inspection.mapa_lab.images import ImageLab
    from gpvae_core.inspection.mapa_lab.points import PointLab

OF_SETTINGS = ("posterior", "variants", "bound", "passes")
"""Tabs to which bandwidth, k and S matter."""


@dataclass(frozen=True)
class ImageChoice:
    """The image model, the test image and the kernel."""

    run: str
    lab: ImageLab
    index: int
    kernel: Mapping[str, float] | None
    """None: the best on validation images, sought when it is needed."""
    shown: int


@dataclass(frozen=True)
class MapaLabRequest:
    """The state of the MAPA Lab, resolved."""

    tab: str
    labs: MapaLabs
    lab: PointLab
    chosen: ChosenPoint
    settings: MapaSettings
    source: str
    """Where the bandwidth comes from: 'sigma', 'best' or 'number'."""
    values: Mapping[str, Any]
    """All of the state."""
    sets: Mapping[str, str]
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


def resolve(labs: MapaLabs, values: Values) -> Resolved[MapaLabRequest]:
    """Return the request, what of the state had to be corrected for it, and why.

    Raises:
        UserError: there is no such set, or it cannot be opened.
    """
    sets = labs.sets()
    if values["dataset"] not in sets:
        default = MapaLabState.param["dataset"].default
        values.correct("dataset", default, str(unknown("set of points", values["dataset"], sets)))
    lab = labs.points(values["dataset"], values["size"], values["draw"])
    index, place = values.below("index", lab.size, "training point"), place_of(values["place"])
    settings = MapaSettings(_bandwidth(lab, values["bandwidth"]), values["k"], values["draws"], values["seed"])
    point_runs, image_runs = labs.point_runs(lab.name), labs.image_runs()
    if (learned := values["learned"]) not in point_runs:
        known = not learned or learned in labs.library.ready_names()
        values.correct("learned", "", "" if known else labs.why_not(learned, "run on these points", point_runs))
    request = MapaLabRequest(
        tab=values["tab"], labs=labs, lab=lab, settings=settings, values=values, sets=sets, theme=values.theme,
        chosen=lab.chosen(index) if place is None else lab.chosen_at(*place),
        source=values["bandwidth"] if values["bandwidth"] in (SIGMA, BEST) else "number",
        point_runs=point_runs, image_runs=image_runs,
        picture=_picture(labs, image_runs, values) if values["tab"] == "images" else None,
    )  # fmt: skip
    return values.resolved(request, _refused(lab, settings) if values["tab"] in OF_SETTINGS else "")


def _refused(lab: PointLab, settings: MapaSettings) -> str:
    """Say why these numbers do not go together, such as k > N; '' where they do."""
    if wrong := count_error(settings.k, settings.draws, lab.size):
        return wrong
    try:
        lab.check(settings)
    except UserError as error:
        return str(error)
    return ""


def _bandwidth(lab: PointLab, text: str) -> float:
    number = bandwidth_of(text)
    if number is not None:
        return number
    return lab.sigma if text == SIGMA else lab.best_bandwidth()


def _picture(labs: MapaLabs, runs: tuple[str, ...], values: Values) -> ImageChoice | None:
    """Return the image model that is asked for, else the newest that can be loaded; None where there is none."""
    if values["run"] and values["run"] not in runs:
        values.correct("run", "", labs.why_not(values["run"], "run on images", runs))
    lab = None
    for name in dict.fromkeys([values["run"], *runs] if values["run"] else runs):
        try:
            lab = labs.images(name)
        except UserError as error:
            values.complaints.append(str(error))
            continue
        values.correct("run", name)
        break
    if lab is None:
        return None
    index, kernel = values.below("image", lab.size, "test image"), kernel_of(values["kernel"])
    defaults = {slider.name: slider.default for slider in lab.sliders}
    if wrong := [name for name in kernel or {} if name not in defaults]:
        complaint = str(unknown("hyper-parameter of this run's kernel", wrong[0], defaults))
        values.correct("kernel", DEFAULT, complaint)
        kernel = {}
    merged = None if kernel is None else {**defaults, **kernel}
    return ImageChoice(values["run"], lab, index, merged, values["shown"])
