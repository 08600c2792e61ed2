"""The bar of the MAPA Lab, in which data set, point and hyper-parameters are chosen, as far as a tab uses them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

import panel as pn
import panel_material_ui as pmui
import param

from dashboards.lab.controls import BAR, FIELD, Controls, Stepper
from dashboards.lab.looks import WIDE
from dashboards.mapa_lab.request import ImageChoice, MapaLabRequest
from dashboards.mapa_lab.state import BEST, CONTROLS, DEFAULT, SIGMA, MapaLabState, kernel_of, place_of
from dashboards.widgets.dial import Dial
from gpvae_core.errors import UserError

if TYPE_CHECKING:
    from gpvae_core.inspection.mapa_lab.image_views import Slider
    from gpvae_core.inspection.mapa_lab.images import ImageLab
    from gpvae_core.inspection.mapa_lab.points import PointLab

Widgets = dict[str, list[pn.viewable.Viewable]]
"""The widgets by which each parameter of the state is chosen."""
SLIDER_REACH = 20.0
"""The sliders of bandwidth and noise go from sigma / SLIDER_REACH to SLIDER_REACH * sigma."""
BEST_KERNEL_HELP = "The smallest mean KL(empiricalized ‖ MAPA) on validation images"
BEST_BANDWIDTH_HELP = "The largest kernel density of validation points; MAPA's KL need not be smallest there"
NOISE_HELP = "Standard deviation of epsilon, in units of x"
MOST_DRAWS, MOST_SHOWN = 500, 20


class MapaLabControls(Controls):
    """Widgets that set the page's state and follow it."""

    def __init__(self, state: MapaLabState, complain: Callable[[str], None]) -> None:
        super().__init__(state, complain)
        self._lab: PointLab | None = None
        self._image_lab: ImageLab | None = None
        self._kernel_dials: dict[str, Dial] = {}
        rows = self._make_fields(), self._make_dials()
        self._widgets = rows[0] | rows[1]
        bars = [pn.FlexBox(*chain.from_iterable(row.values()), **BAR) for row in rows]
        self.bar = pn.Column(*bars, **WIDE)
        self.arrange("posterior")

    def _make_fields(self) -> Widgets:
        state = self.state
        self.dataset = pmui.Select(
            label="Set", options=[state.dataset], value=state.dataset, width=190, description="Points and their model",
            **FIELD,
        )  # fmt: skip
        self.run = pmui.Select(label="Run", options=[], width=180, **FIELD)
        self.size = self.field("size", "N, points", width=128)
        self.point = Stepper(
            self, "Point", "training point", "index", {"place": ""}, width=130,
            read_other=self._typed_place, other_form=", or x1, x2",
            help="Its number, or any place in the plane: x1, x2",
        )  # fmt: skip
        self.image = Stepper(self, "Test image", "test image", "image", {}, width=130)
        return {
            "dataset": [self.bind(self.dataset, "dataset")],
            "size": [self.size],
            "draw": [self.field("draw", "Data draw", width=112)],
            "index": [*self.point.widgets, self.point.random()],
            "run": [self.bind(self.run, "run")],
            "image": [*self.image.widgets],
            "seed": [self.field("seed", "Seed", width=112)],
        }

    def _make_dials(self) -> Widgets:
        params = self.state.param
        set_bandwidth = lambda text: self.set(bandwidth=text)  # noqa: E731
        self.bandwidth = self.slider(params.bandwidth, "Bandwidth", set_bandwidth, set_bandwidth, logarithmic=True)
        # In the address 0 stands for the noise of the process itself; typed, it would be a noise that nothing can show.
        noise = param.Number(1.0, bounds=params.noise.bounds, inclusive_bounds=(False, True), doc=NOISE_HELP)
        self.noise = self.slider(
            noise, "Noise", lambda value: self.set(noise=value), lambda _: self.set(noise=0.0), logarithmic=True
        )
        self.k = self.dial("k", "k", logarithmic=True)
        self.draws = self.dial("draws", "S", logarithmic=True, high=MOST_DRAWS, note="draws")
        self.kernel = pn.Row(margin=0)
        return {
            "bandwidth": [self.bandwidth],
            "k": [self.k],
            "draws": [self.draws],
            "noise": [self.noise],
            "points": [self.dial("points", "Points", low=1, high=12)],
            "shown": [self.dial("shown", "Neighbours", low=1, high=MOST_SHOWN)],
            "kernel": [self.kernel],
        }

    # What the user does

    def _typed_place(self, text: str) -> bool | None:
        """Show the point at a place 'x1, x2'; return whether there can be one, None for another text."""
        if "," not in text:
            return None
        try:
            place = place_of(text)
            if self._lab is not None and place is not None:
                self._lab.chosen_at(*place)
        except UserError as error:
            self.complain(str(error))
            return False
        return self.set(place=text.replace(" ", ""))

    def step(self, by: int) -> None:
        """Show the next or previous point or image of the tab; after the last comes the first."""
        for name, stepper in (("index", self.point), ("image", self.image)):
            if name in CONTROLS[self.state.tab]:
                stepper.step(by)

    # What the user is shown

    def arrange(self, tab: str) -> None:
        """Show the controls of the parameters on which this tab depends."""
        shown = {*CONTROLS[tab], *(["dataset"] if tab == "process" and self.state.example == "set" else [])}
        if tab == "images" and not self.run.options:
            shown = set()
        for name, widgets in self._widgets.items():
            for widget in widgets:
                widget.visible = name in shown

    def offer(self, request: MapaLabRequest) -> None:
        """Show the request's values, and the data sets and runs that can be chosen."""
        state, lab, picture = self.state, request.lab, request.picture
        runs = {request.labs.library.label(name): name for name in request.image_runs}
        self.update(self.run, options=runs, value=picture.run if picture else self.run.value)
        self.arrange(state.tab)
        self._lab = lab
        self.update(self.dataset, options=list(request.sets), value=lab.name, description=request.sets[lab.name])
        self.point.show(state.place.replace(",", ", ") or state.index, lab.size - 1)
        self._show_dials(request)
        if picture is not None:
            self._show_image(picture)

    def _show_dials(self, request: MapaLabRequest) -> None:
        state, sigma, bandwidth = self.state, request.lab.sigma, request.settings.bandwidth
        self.bandwidth.param.update(
            value=bandwidth, low=sigma / SLIDER_REACH, high=sigma * SLIDER_REACH, note=f"= {bandwidth / sigma:.3g} σ",
            choices=[
                [SIGMA, "σ", f"The noise of the data, {sigma:.3g}", state.bandwidth == SIGMA],
                [BEST, "by validation density", BEST_BANDWIDTH_HELP, state.bandwidth == BEST],
            ],
        )  # fmt: skip
        # With S > 0 at least one training point must remain to be sampled.
        size = request.lab.size
        self.k.param.update(high=size - bool(state.draws), note=f"of {size:,}")
        own = request.own_noise
        choices = [["own", "own", f"That of this process, {own:.3g}", state.noise == 0.0]]
        self.noise.param.update(
            value=state.noise or own, low=own / SLIDER_REACH, high=own * SLIDER_REACH, choices=choices
        )

    def _show_image(self, picture: ImageChoice) -> None:
        lab = picture.lab
        self.image.show(picture.index, lab.size - 1)
        if lab is not self._image_lab:
            self._image_lab = lab
            self._kernel_dials = {slider.name: self._kernel_dial(slider) for slider in lab.sliders}
            self.kernel.objects = [*self._kernel_dials.values()]
        values = picture.kernel or lab.best_if_known() or lab.defaults
        for name, dial in self._kernel_dials.items():
            dial.value = values[name]
        *_, last = self._kernel_dials.values()
        last.choices = [
            [DEFAULT, "default", "The values of the trained likelihood", kernel_of(self.state.kernel) == {}],
            [BEST, "smallest KL", BEST_KERNEL_HELP, picture.kernel is None],
        ]

    def _kernel_dial(self, slider: Slider) -> Dial:
        def set_value(value: float) -> bool:
            values = {name: dial.value for name, dial in self._kernel_dials.items()} | {slider.name: value}
            return self.set(kernel=";".join(f"{name}={number:.4g}" for name, number in values.items()))

        parameter = param.Number(slider.default, bounds=(slider.low, slider.high), doc=slider.help)
        return self.slider(
            parameter, slider.label, set_value, lambda key: self.set(kernel=key), low=slider.low, high=slider.high,
            logarithmic=slider.logarithmic, value=slider.default,
        )  # fmt: skip
