"""The bar on which set, point and hyper-parameters are chosen; each tab shows what it depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param

from dashboards.lab.controls import BAR, FIELD, Controls
from dashboards.mapa_lab.request import ImageChoice, MapaLabRequest
from dashboards.mapa_lab.state import BEST, DEFAULT, SIGMA, MapaLabState, kernel_of
from dashboards.widgets.dial import Dial

FAR = 20.0
"""How many sigma, or parts of one, the bandwidth's slider reaches."""
NEAREST = "The smallest KL from the model's own index posteriors, on validation images"
MOST_DRAWS, MOST_SHOWN = 500, 20
POINTS = frozenset({"set", "size", "draw"})
SHOWN = {
    "posterior": POINTS | {"point", "bandwidth", "k", "draws", "seed"},
    "process": frozenset({"noise", "points", "seed"}),
    "variants": POINTS | {"point", "bandwidth", "k", "draws", "seed"},
    "bound": POINTS | {"bandwidth", "k", "draws", "seed"},
    "passes": POINTS | {"bandwidth", "seed"},
    "images": frozenset({"run", "image", "shown", "kernel"}),
}
"""Tab -> which controls it depends on."""


class MapaLabControls(Controls):
    """Widgets bound both ways to the page's state."""

    def __init__(self, state: MapaLabState, complain: Callable[[str], None]) -> None:
        super().__init__(state, complain)
        self._kernel: tuple[str, ...] = ()
        self._kernel_values: dict[str, float] = {}
        self._make_fields()
        self._make_dials()
        self.kernel = pn.Row(margin=0)
        self._kernel_dials: list[Dial] = []
        fields = {
            "set": [self.dataset], "size": [self.size], "draw": [self.draw],
            "point": [*self.point.widgets, self.random], "run": [self.run], "image": [*self.image.widgets],
            "seed": [self.seed],
        }  # fmt: skip
        dials = {
            "bandwidth": [self.bandwidth], "k": [self.k], "draws": [self.draws], "noise": [self.noise],
            "points": [self.points], "shown": [self.shown], "kernel": [self.kernel],
        }  # fmt: skip
        self._groups: dict[str, list[pn.viewable.Viewable]] = fields | dials
        rows = (pn.FlexBox(*(one for group in row.values() for one in group), **BAR) for row in (fields, dials))
        self.bar = pn.Column(*rows, sizing_mode="stretch_width", styles={"flex": "none"})
        self.arrange("posterior")

    def _make_fields(self) -> None:
        state = self._state
        self.dataset = pmui.Select(
            label="Set", options=[state.dataset], value=state.dataset, width=190, description="Points and their model",
            **FIELD,
        )  # fmt: skip
        self.run = pmui.Select(label="Run", options=[], width=180, **FIELD)
        self.bind(self.dataset, "dataset")
        self.bind(self.run, "run")
        self.size = self.field("size", "N, points", width=128)
        self.draw = self.field("draw", "Data draw", width=112)
        self.seed = self.field("seed", "Seed", width=112)
        self.point = self.stepper(
            "Point", "training point", "index", {"place": ""}, also=self._typed_place, or_else=", or x1, x2", width=130,
            description="Its number, or any place in the plane: x1, x2",
        )  # fmt: skip
        self.image = self.stepper("Test image", "test image", "image", width=130)
        self.random = self.point.random()

    def _make_dials(self) -> None:
        state = self._state
        self.bandwidth = self.slider(
            state.param.bandwidth, "Bandwidth", self._set_bandwidth,
            picked=lambda key: self.set(bandwidth=key), logarithmic=True,
        )  # fmt: skip
        self.noise = self.slider(
            state.param.noise, "Noise", lambda value: self.set(noise=value), picked=lambda _: self.set(noise=0.0),
            logarithmic=True,
        )  # fmt: skip
        self.k = self.dial("k", "k", logarithmic=True)
        self.draws = self.dial("draws", "S", logarithmic=True, high=MOST_DRAWS, note="draws")
        self.points = self.dial("points", "Points", low=1, high=12)
        self.shown = self.dial("shown", "Neighbours", low=1, high=MOST_SHOWN)

    # From the person

    def _set_bandwidth(self, value: float | str) -> bool:
        return self.set(bandwidth=value if isinstance(value, str) else f"{value:.3g}")

    def _typed_place(self, text: str) -> str | None:
        if "," not in text:
            return None
        try:
            self._state.place = text.replace(" ", "")
        except ValueError as error:
            return str(error)
        return ""

    def step(self, by: int) -> None:
        """Look at the next or previous point or image, round at the ends."""
        if self._state.tab == "images":
            self.image.step(by)
        elif "point" in SHOWN[self._state.tab]:
            self.point.step(by)

    def _kernel_set(self, name: str, value: float) -> bool:
        values = {**self._kernel_values, name: value}
        return self.set(kernel=";".join(f"{key}={number:.4g}" for key, number in values.items()))

    # To the person

    def arrange(self, tab: str) -> None:
        """Show what this tab depends on."""
        shown = SHOWN[tab] | ({"set"} if tab == "process" and self._state.example == "set" else frozenset())
        if tab == "images" and not self.run.options:
            shown = frozenset()
        for name, group in self._groups.items():
            for widget in group:
                widget.visible = name in shown

    def offer(self, request: MapaLabRequest) -> None:
        """Offer what there is to choose, and show what is chosen."""
        state, lab = self._state, request.lab
        with self.telling():
            # NOTE: options and value in one message, or the browser sends back the first option as a choice.
            chosen = None if request.picture is None else request.picture.run
            self.run.param.update(options=list(request.image_runs), value=chosen or self.run.value)
            self.arrange(state.tab)
            description = request.sets[lab.name]
            self.dataset.param.update(options=list(request.sets), value=lab.name, description=description)
            self.point.show(state.place.replace(",", ", ") or state.index, lab.size - 1)
            self._show_dials(request)
            if request.picture is not None:
                self._show_image(request, request.picture)

    def _show_dials(self, request: MapaLabRequest) -> None:
        state, sigma, bandwidth = self._state, request.lab.sigma, request.settings.bandwidth
        self.bandwidth.param.update(
            value=bandwidth, low=sigma / FAR, high=sigma * FAR, note=f"= {bandwidth / sigma:.3g} σ",
            choices=[
                [SIGMA, "σ", f"The noise of the data, {sigma:.3g}", request.source == SIGMA],
                [BEST, "best by validation", "The likeliest on validation points", request.source == BEST],
            ],
        )  # fmt: skip
        # With draws from the rest there must be a rest.
        size = request.lab.size
        self.k.param.update(high=size - bool(state.draws), note=f"of {size:,}")
        own = _own_noise(request)
        choices = [["own", "own", f"That of this process, {own:.3g}", state.noise == 0.0]]
        self.noise.param.update(value=state.noise or own, low=own / FAR, high=own * FAR, choices=choices)

    def _show_image(self, request: MapaLabRequest, picture: ImageChoice) -> None:
        self.image.show(picture.index, picture.lab.size - 1)
        sliders, best = picture.lab.sliders, picture.kernel is None
        if (picture.run, *(s.name for s in sliders)) != self._kernel:
            self._kernel = (picture.run, *(s.name for s in sliders))
            self._kernel_dials = [self._kernel_dial(slider, last=slider is sliders[-1]) for slider in sliders]
            self.kernel.objects = list(self._kernel_dials)
        defaults = {s.name: s.default for s in sliders}
        found = request.labs.best_kernels.get(picture.run, defaults) if picture.kernel is None else picture.kernel
        self._kernel_values = dict(found)
        choices = [
            [DEFAULT, "default", "The values of the trained likelihood", kernel_of(self._state.kernel) == {}],
            [BEST, "nearest to the model", NEAREST, best],
        ]
        for slider, dial in zip(sliders, self._kernel_dials, strict=True):
            value = self._kernel_values[slider.name]
            dial.param.update(value=value, choices=choices if dial.choices else [])

    def _kernel_dial(self, slider: Any, last: bool) -> Dial:
        wanted = param.Number(slider.default, bounds=(slider.low, slider.high), doc=slider.help)
        return self.slider(
            wanted, slider.label, lambda value: self._kernel_set(slider.name, value), low=slider.low, high=slider.high,
            picked=lambda key: self.set(kernel=key), logarithmic=slider.logarithmic, value=slider.default,
            choices=[[DEFAULT, "default", "", False]] if last else [],
        )  # fmt: skip


def _own_noise(request: MapaLabRequest) -> float:
    from gpvae_core.inspection.mapa_lab.process import PAPER_SIGMA

    return PAPER_SIGMA if request.values["example"] == "paper" else request.lab.sigma
