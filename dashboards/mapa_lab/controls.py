"""The bar on which set, point and hyper-parameters are chosen; each tab shows what it depends on."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param

from dashboards.lab.address import parsed
from dashboards.lab.controls import BAR, FIELD, SMALL, Controls
from dashboards.mapa_lab.request import ImageChoice, MapaLabRequest
from dashboards.mapa_lab.state import BEST, DEFAULT, LARGEST_N, SIGMA, MapaLabState, count_error, kernel_of
from dashboards.widgets.dial import Dial
from gpvae_core.errors import UserError

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
        self.size = pmui.IntInput(label="N, points", value=state.size, start=2, end=LARGEST_N, width=128, **FIELD)
        self.draw = pmui.IntInput(label="Data draw", value=state.draw, start=0, end=999_999, width=112, **FIELD)
        self.seed = pmui.IntInput(label="Seed", value=state.seed, start=0, end=999_999, width=112, **FIELD)
        self.run = pmui.Select(label="Run", options=[], width=180, **FIELD)
        for name in ("dataset", "draw", "seed", "run"):
            self.bind(getattr(self, name), name)
        self.size.param.watch(lambda event: self._sized(event.new), "value")
        self.point = self.stepper(
            "Point", "training point", "index", {"place": ""}, also=self._typed_place, or_else=", or x1, x2", width=130,
            description="Its number, or any place in the plane: x1, x2",
        )  # fmt: skip
        self.image = self.stepper("Test image", "test image", "image", width=130)
        self.random = pmui.Button(label="Random", icon="casino", **SMALL)
        self.random.on_click(lambda _: self.set(index=random.randint(0, self.point.last), place=""))

    def _make_dials(self) -> None:
        self.bandwidth = Dial(
            lambda v: self.set(bandwidth=f"{v:.3g}"), self._typed_bandwidth, lambda key: self.set(bandwidth=key),
            label="Bandwidth", help="Standard deviation of MAPA's kernel, in the units of x", logarithmic=True,
        )  # fmt: skip
        self.k = self._whole("k", "k", "Most probable training points that the bound takes whole", logarithmic=True)
        self.draws = self._whole("draws", "S", "Points drawn from the rest of q(i|n), for the bound", logarithmic=True)
        self.points = self._whole("points", "Points", "How many points the process draws", low=1, high=12)
        self.shown = self._whole("shown", "Neighbours", "Training images shown of each list", low=1, high=MOST_SHOWN)
        self.noise = Dial(
            lambda v: self.set(noise=v),
            lambda text: self._typed(self.noise, text, self._state.param.noise, lambda v: self.set(noise=v)),
            lambda _: self.set(noise=0.0),
            label="Noise", help="Standard deviation of epsilon, in the units of x", logarithmic=True,
        )  # fmt: skip

    def _whole(self, name: str, label: str, what: str, **params: Any) -> Dial:
        dial: Dial = Dial(
            lambda v: self._count(name, dial, round(v)),
            lambda text: self._typed(dial, text, self._state.param[name], lambda v: self._count(name, dial, v)),
            label=label, help=what, whole=True, **params,
        )  # fmt: skip
        return dial

    # From the person

    def _sized(self, value: int | None) -> None:
        if value is None or self._telling:
            return
        if wrong := self._do_not_fit("size", value):
            self._complain(wrong)
            with self.telling():
                self.size.value = self._state.size
        else:
            self.set(size=value)

    def _typed(self, dial: Dial, text: str, wanted: param.Number, take: Callable[[float], None]) -> None:
        """Take a number typed beside a slider, which may lie beyond it, within the bounds of a parameter."""
        try:
            take(parsed(wanted, dial.label, text))
        except UserError as error:
            self._complain(str(error))
            dial.settle()

    def _count(self, name: str, dial: Dial, value: float) -> None:
        """Take a number, unless k, S and N do not go together with it: what is shown stays then."""
        if wrong := self._do_not_fit(name, value):
            self._complain(wrong)
            dial.settle()
        else:
            self.set(**{name: value})

    def _do_not_fit(self, name: str, value: float) -> str:
        """Say why k, S and N, one of which is new, do not go together; '' where they do, or did not before."""
        counts = {key: getattr(self._state, key) for key in ("k", "draws", "size")}
        if name not in counts or count_error(**counts):
            return ""
        return count_error(**{**counts, name: int(value)})

    def _typed_bandwidth(self, text: str) -> None:
        text = text.strip().lower()
        self.set(bandwidth=text)
        if self._state.bandwidth != text:
            self.bandwidth.settle()

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

    def _kernel_set(self, name: str, value: float) -> None:
        values = {**self._kernel_values, name: value}
        self.set(kernel=";".join(f"{key}={number:.4g}" for key, number in values.items()))

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
            for field, value in ((self.size, state.size), (self.draw, state.draw), (self.seed, state.seed)):
                field.value = value
            self.point.show(state.place.replace(",", ", ") or state.index, lab.size - 1)
            self._show_dials(request)
            if request.picture is not None:
                self._show_image(request, request.picture)

    def _show_dials(self, request: MapaLabRequest) -> None:
        state, sigma, bandwidth = self._state, request.lab.sigma, request.settings.bandwidth
        for dial in (self.bandwidth, self.k, self.draws, self.points, self.noise, self.shown):
            dial.dark = state.dark
        self.bandwidth.param.update(
            value=bandwidth, low=sigma / FAR, high=sigma * FAR, note=f"= {bandwidth / sigma:.3g} σ",
            choices=[
                [SIGMA, "σ", f"The noise of the data, {sigma:.3g}", request.source == SIGMA],
                [BEST, "best by validation", "The likeliest on validation points", request.source == BEST],
            ],
        )  # fmt: skip
        # With draws from the rest there must be a rest.
        size = request.lab.size
        self.k.param.update(value=state.k, low=0, high=size - bool(state.draws), note=f"of {size:,}")
        self.draws.param.update(value=state.draws, low=0, high=MOST_DRAWS, note="draws")
        self.points.value = state.points
        own = _own_noise(request)
        choices = [["own", "own", f"That of this process, {own:.3g}", state.noise == 0.0]]
        self.noise.param.update(value=state.noise or own, low=own / FAR, high=own * FAR, choices=choices)

    def _show_image(self, request: MapaLabRequest, picture: ImageChoice) -> None:
        self.image.show(picture.index, picture.lab.size - 1)
        self.shown.value = picture.shown
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
            dial.param.update(value=value, dark=self._state.dark, choices=choices if dial.choices else [])

    def _kernel_dial(self, slider: Any, last: bool) -> Dial:
        bounds = param.Number(slider.default, bounds=(slider.low, slider.high))
        dial: Dial = Dial(
            lambda value: self._kernel_set(slider.name, value),
            lambda text: self._typed(dial, text, bounds, lambda value: self._kernel_set(slider.name, value)),
            lambda key: self.set(kernel=BEST if key == BEST else DEFAULT),
            label=slider.label, help=slider.help, low=slider.low, high=slider.high, logarithmic=slider.logarithmic,
            value=slider.default, choices=[[DEFAULT, "default", "", False]] if last else [],
        )  # fmt: skip
        return dial


def _own_noise(request: MapaLabRequest) -> float:
    from gpvae_core.inspection.mapa_lab.process import PAPER_SIGMA

    return PAPER_SIGMA if request.values["example"] == "paper" else request.lab.sigma
