"""From the state of the MAPA Lab to its request: what does not exist is replaced, and said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dashboards.lab.hooks import Resolved
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
from gpvae_core.plots.theme import DARK, LIGHT, Theme

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


def resolve(labs: MapaLabs, values: dict[str, Any]) -> Resolved[MapaLabRequest]:
    """Return the request, what of the state had to be corrected for it, and why.

    Raises:
        UserError: there is no such set, or it cannot be opened.
    """
    held, complaints = dict(values), []
    sets = labs.sets()
    if held["dataset"] not in sets:
        complaints.append(str(unknown("set of points", held["dataset"], sets)))
        held["dataset"] = MapaLabState.param["dataset"].default
    lab = labs.points(held["dataset"], held["size"], held["draw"])
    if held["index"] >= lab.size:
        complaints.append(f"wanted a training point from 0 to {lab.size - 1}, got {held['index']}")
        held["index"] = 0
    place = place_of(held["place"])
    chosen = lab.chosen(held["index"]) if place is None else lab.chosen_at(*place)
    settings = MapaSettings(_bandwidth(lab, held["bandwidth"]), held["k"], held["draws"], held["seed"])
    point_runs, image_runs = labs.point_runs(lab.name), labs.image_runs()
    if held["learned"] not in point_runs:
        if held["learned"] and held["learned"] not in labs.library.ready_names():
            complaints.append(labs.why_not(held["learned"], "run on these points", point_runs))
        held["learned"] = ""
    picture = _picture(labs, image_runs, held, complaints) if held["tab"] == "images" else None
    request = MapaLabRequest(
        tab=held["tab"], labs=labs, lab=lab, chosen=chosen, settings=settings,
        source=held["bandwidth"] if held["bandwidth"] in (SIGMA, BEST) else "number",
        values=held, sets=sets, point_runs=point_runs, image_runs=image_runs, picture=picture,
        theme=DARK if held["dark"] else LIGHT,
    )  # fmt: skip
    corrections = {name: value for name, value in held.items() if value != values[name]}
    refused = _refused(lab, settings) if held["tab"] in OF_SETTINGS else ""
    return Resolved(request, corrections, complaints, refused=refused)


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


def _picture(labs: MapaLabs, runs: tuple[str, ...], held: dict[str, Any], complaints: list[str]) -> ImageChoice | None:
    """Return the image model that is asked for, else the newest that can be loaded; None where there is none."""
    if held["run"] and held["run"] not in runs:
        complaints.append(labs.why_not(held["run"], "run on images", runs))
        held["run"] = ""
    lab = None
    for name in dict.fromkeys([held["run"], *runs] if held["run"] else runs):
        try:
            lab = labs.images(name)
        except UserError as error:
            complaints.append(str(error))
            continue
        held["run"] = name
        break
    if lab is None:
        return None
    if held["image"] >= lab.size:
        complaints.append(f"wanted a test image from 0 to {lab.size - 1}, got {held['image']}")
        held["image"] = 0
    kernel = kernel_of(held["kernel"])
    known = {slider.name: slider.default for slider in lab.sliders}
    for name in kernel or {}:
        if name not in known:
            complaints.append(str(unknown("hyper-parameter of this run's kernel", name, known)))
            held["kernel"], kernel = DEFAULT, {}
            break
    merged = None if kernel is None else {**known, **kernel}
    return ImageChoice(held["run"], lab, held["image"], merged, held["shown"])
