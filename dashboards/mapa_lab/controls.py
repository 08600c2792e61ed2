"""The bar on which set, point and hyper-parameters are chosen; each tab shows what it depends on."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import panel as pn
import panel_material_ui as pmui

from dashboards.mapa_lab.choice import Wanted
from dashboards.mapa_lab.dial import Dial
from dashboards.mapa_lab.state import (
    BEST,
    DEFAULT,
    LARGEST_N,
    SIGMA,
    MapaState,
    bandwidth_of,
    count_error,
    kernel_of,
    place_of,
)
from gpvae_core.errors import UserError

FIELD = {"size": "small", "margin": (3, 4)}
ROW = {"align_items": "center", "gap": "2px", "sizing_mode": "stretch_width", "margin": (5, 6, 0, 6)}
REACH = 20.0
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


class MapaControls:
    """Widgets bound both ways to the page's state. `complain` shows a line to the person."""

    def __init__(self, state: MapaState, complain: Callable[[str], None]) -> None:
        self._state, self._complain = state, complain
        self._binding = False
        self._last = {"index": 0, "image": 0}
        self._kernel: tuple[str, ...] = ()
        self._kernel_values: dict[str, float] = {}
        self._make_fields()
        self._make_dials()
        self.kernel = pn.Row(margin=0)
        self._kernel_dials: list[Dial] = []
        self._groups: dict[str, list[pn.viewable.Viewable]] = {
            "set": [self.dataset], "size": [self.size], "draw": [self.draw],
            "point": [self.previous, self.point, self.next, self.random], "run": [self.run],
            "image": [self.earlier, self.image, self.later], "seed": [self.seed],
            "bandwidth": [self.bandwidth], "k": [self.k], "draws": [self.draws], "noise": [self.noise],
            "points": [self.points], "shown": [self.shown], "kernel": [self.kernel],
        }  # fmt: skip
        fields = [self._groups[name] for name in ("set", "size", "draw", "point", "run", "image", "seed")]
        dials = [self._groups[name] for name in ("bandwidth", "k", "draws", "noise", "points", "shown", "kernel")]
        self.bar = pn.Column(
            *(pn.FlexBox(*(widget for group in row for widget in group), **ROW) for row in (fields, dials)),
            sizing_mode="stretch_width", styles={"flex": "none"},
        )  # fmt: skip
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
        self.point = pmui.TextInput(
            label="Point", value="0", width=130, description="Its number, or any place in the plane: x1, x2", **FIELD
        )
        self.previous = pmui.IconButton(icon="chevron_left", description="Previous point (left arrow key)", margin=0)
        self.next = pmui.IconButton(icon="chevron_right", description="Next point (right arrow key)", margin=0)
        self.random = pmui.Button(label="Random", icon="casino", size="small", variant="outlined", margin=(3, 4))
        self.run = pmui.Select(label="Run", options=[], width=180, **FIELD)
        self.image = pmui.TextInput(label="Test image", value="0", width=130, **FIELD)
        self.earlier = pmui.IconButton(icon="chevron_left", description="Previous image (left arrow key)", margin=0)
        self.later = pmui.IconButton(icon="chevron_right", description="Next image (right arrow key)", margin=0)
        for name in ("dataset", "size", "draw", "seed", "run"):
            getattr(self, name).param.watch(lambda e, name=name: self._field(name, e.new), "value")
        self.point.param.watch(lambda e: self._typed_point(e.new), "value")
        self.image.param.watch(lambda e: self._typed_image(e.new), "value")
        for button, by in ((self.previous, -1), (self.next, 1), (self.earlier, -1), (self.later, 1)):
            button.on_click(lambda _, by=by: self.step(by))
        self.random.on_click(lambda _: self._set(index=random.randint(0, self._last["index"]), place=""))

    def _make_dials(self) -> None:
        self.bandwidth = Dial(
            lambda v: self._set(bandwidth=f"{v:.3g}"), self._typed_bandwidth, lambda key: self._set(bandwidth=key),
            label="Bandwidth", help="Standard deviation of MAPA's kernel, in the units of x", logarithmic=True,
        )  # fmt: skip
        self.k = self._whole("k", "k", "Most probable training points that the bound takes whole")
        self.draws = self._whole("draws", "S", "Points drawn from the rest of q(i|n), for the bound")
        self.points = self._whole("points", "Points", "How many points the process draws", logarithmic=False)
        self.points.param.update(low=1, high=12)
        self.shown = self._whole("shown", "Neighbours", "Training images shown of each list", logarithmic=False)
        self.shown.param.update(low=1, high=MOST_SHOWN)
        self.noise = Dial(
            lambda v: self._set(noise=v), lambda text: self._typed("noise", self.noise, text, float),
            lambda _: self._set(noise=0.0),
            label="Noise", help="Standard deviation of epsilon, in the units of x", logarithmic=True,
        )  # fmt: skip

    def _whole(self, name: str, label: str, what: str, logarithmic: bool = True) -> Dial:
        return Dial(
            lambda v: self._count(name, getattr(self, name), round(v)),
            lambda text: self._typed(name, getattr(self, name), text, int),
            label=label, help=what, whole=True, logarithmic=logarithmic,
        )  # fmt: skip

    # From the person

    def _set(self, **values: Any) -> None:
        if self._binding:
            return
        try:
            self._state.param.update(**values)
        except ValueError as error:
            self._complain(str(error))

    def _field(self, name: str, value: Any) -> None:
        if value is None or self._binding:
            return
        if name == "size" and (wrong := self._do_not_fit(name, value)):
            self._complain(wrong)
            self._bound(lambda: self.size.param.update(value=self._state.size))
        else:
            self._set(**{name: value})

    def _typed(self, name: str, dial: Dial, text: str, number: type[int] | type[float]) -> None:
        """A number typed beside a slider; also one that lies beyond it."""
        low, high = self._state.param[name].bounds
        try:
            value = number(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= (float("inf") if high is None else high):
            reach = f"to {high:g}" if high is not None else "on"
            self._complain(f"{dial.label}: wanted a number from {low:g} {reach}, got '{text[:40]}'")
            dial.settle()
        else:
            self._count(name, dial, value)

    def _count(self, name: str, dial: Dial, value: float) -> None:
        """Take a number, unless k, S and N do not go together with it: what is shown stays then."""
        if wrong := self._do_not_fit(name, value):
            self._complain(wrong)
            dial.settle()
        else:
            self._set(**{name: value})

    def _do_not_fit(self, name: str, value: float) -> str:
        """Why k, S and N, one of which is new, do not go together; empty where they do, or did not before."""
        state = self._state
        counts = {"k": state.k, "draws": state.draws, "size": state.size}
        if name not in counts or count_error(*counts.values()):
            return ""
        return count_error(**{"k": state.k, "draws": state.draws, "size": state.size, name: int(value)})

    def _typed_bandwidth(self, text: str) -> None:
        text = text.strip().lower()
        try:
            bandwidth_of(text)
        except UserError as error:
            self._complain(str(error))
            self.bandwidth.settle()
        else:
            self._set(bandwidth=text)

    def _typed_point(self, text: str) -> None:
        if self._binding:
            return
        text = text.strip()
        if "," in text:
            try:
                place_of(text)
            except UserError as error:
                self._complain(str(error))
            else:
                self._set(place=text.replace(" ", ""))
                return
        elif self._is_index(text, "index"):
            self._set(index=int(text), place="")
            return
        else:
            self._complain(f"wanted a training point from 0 to {self._last['index']}, or x1, x2, got '{text[:40]}'")
        self._bound(lambda: self.point.param.update(value=self._point_words()))

    def _typed_image(self, text: str) -> None:
        if self._binding:
            return
        text = text.strip()
        if self._is_index(text, "image"):
            self._set(image=int(text))
        else:
            self._complain(f"wanted a test image from 0 to {self._last['image']}, got '{text[:40]}'")
            self._bound(lambda: self.image.param.update(value=str(self._state.image)))

    def _is_index(self, text: str, name: str) -> bool:
        return text.isdecimal() and len(text) < 10 and int(text) <= self._last[name]

    def _point_words(self) -> str:
        return self._state.place.replace(",", ", ") or str(self._state.index)

    def step(self, by: int) -> None:
        """Next or previous point or image, round at the ends."""
        if self._state.tab == "images":
            self._set(image=(self._state.image + by) % (self._last["image"] + 1))
        elif "point" in SHOWN[self._state.tab]:
            self._set(index=(self._state.index + by) % (self._last["index"] + 1), place="")

    def _kernel_set(self, name: str, value: float) -> None:
        values = {**self._kernel_values, name: value}
        self._set(kernel=";".join(f"{key}={number:.4g}" for key, number in values.items()))

    def _kernel_typed(self, name: str, dial: Dial, text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if dial.low <= value <= dial.high:
            self._kernel_set(name, value)
        else:
            self._complain(f"{dial.label}: wanted a number from {dial.low:g} to {dial.high:g}, got '{text[:40]}'")
            dial.settle()

    def _kernel_picked(self, key: str) -> None:
        self._set(kernel=BEST if key == BEST else DEFAULT)

    # To the person

    def _bound(self, change: Callable[[], Any]) -> None:
        """Change widgets without that being a choice of the person's."""
        self._binding = True
        try:
            change()
        finally:
            self._binding = False

    def arrange(self, tab: str) -> None:
        """Show what this tab depends on."""
        shown = SHOWN[tab] | ({"set"} if tab == "process" and self._state.example == "set" else frozenset())
        if tab == "images" and not self.run.options:
            shown = frozenset()
        for name, group in self._groups.items():
            for widget in group:
                widget.visible = name in shown

    def offer(self, wanted: Wanted) -> None:
        """What there is to choose, and what is chosen."""
        self._bound(lambda: self._show(wanted))

    def _show(self, wanted: Wanted) -> None:
        state, lab = self._state, wanted.lab
        self._last["index"] = lab.size - 1
        self.run.options = list(wanted.image_runs)
        self.arrange(state.tab)
        self.dataset.param.update(options=list(wanted.sets), value=lab.name)
        self.dataset.description = wanted.sets[lab.name]
        for field, value in ((self.size, state.size), (self.draw, state.draw), (self.seed, state.seed)):
            field.value = value
        self.point.param.update(label=f"Point, 0–{lab.size - 1}", value=self._point_words())
        self._show_dials(wanted)
        if wanted.picture is not None:
            self._show_picture(wanted)

    def _show_dials(self, wanted: Wanted) -> None:
        state, sigma, bandwidth = self._state, wanted.lab.sigma, wanted.settings.bandwidth
        dark = state.dark
        self.bandwidth.param.update(
            value=bandwidth, low=sigma / REACH, high=sigma * REACH, dark=dark, note=f"= {bandwidth / sigma:.3g} σ",
            choices=[
                [SIGMA, "σ", f"The noise of the data, {sigma:.3g}", wanted.source == SIGMA],
                [BEST, "best by validation", "The likeliest on validation points", wanted.source == BEST],
            ],
        )  # fmt: skip
        # With draws from the rest there must be a rest.
        self.k.param.update(value=state.k, low=0, high=wanted.lab.size - bool(state.draws), dark=dark)
        self.k.note = f"of {wanted.lab.size:,}"
        self.draws.param.update(value=state.draws, low=0, high=MOST_DRAWS, dark=dark, note="draws")
        self.points.param.update(value=state.points, dark=dark)
        own = _own_noise(wanted)
        self.noise.param.update(
            value=state.noise or own, low=own / REACH, high=own * REACH, dark=dark,
            choices=[["own", "own", f"That of this process, {own:.3g}", state.noise == 0.0]],
        )  # fmt: skip

    def _show_picture(self, wanted: Wanted) -> None:
        state, picture = self._state, wanted.picture
        assert picture is not None
        self._last["image"] = picture.lab.size - 1
        self.run.value = picture.run
        self.image.param.update(label=f"Test image, 0–{picture.lab.size - 1}", value=str(picture.index))
        self.shown.param.update(value=picture.shown, dark=state.dark)
        sliders = picture.lab.sliders
        if (picture.run, *(s.name for s in sliders)) != self._kernel:
            self._kernel = (picture.run, *(s.name for s in sliders))
            self._kernel_dials = [self._kernel_dial(slider, last=slider is sliders[-1]) for slider in sliders]
            self.kernel.objects = list(self._kernel_dials)
        defaults = {s.name: s.default for s in sliders}
        found = wanted.labs.best_kernels.get(picture.run, defaults)
        self._kernel_values = dict(found if picture.kernel is None else picture.kernel)
        for slider, dial in zip(sliders, self._kernel_dials, strict=True):
            best = picture.kernel is None
            choices = [
                ["default", "default", "Of the trained likelihood", kernel_of(state.kernel) == {}],
                [BEST, "nearest to the model", NEAREST, best],
            ]
            value = self._kernel_values[slider.name]
            dial.param.update(value=value, dark=state.dark, choices=choices if dial.choices else [])

    def _kernel_dial(self, slider: Any, last: bool) -> Dial:
        def typed(text: str) -> None:
            self._kernel_typed(slider.name, dial, text)

        dial = Dial(
            lambda value: self._kernel_set(slider.name, value), typed, self._kernel_picked,
            label=slider.label, help=slider.help, low=slider.low, high=slider.high, logarithmic=slider.logarithmic,
            value=slider.default, choices=[["default", "default", "", False]] if last else [],
        )  # fmt: skip
        return dial


def _own_noise(wanted: Wanted) -> float:
    from gpvae_core.explore.mapa_lab.process import PAPER_SIGMA

    return PAPER_SIGMA if wanted.values["example"] == "paper" else wanted.lab.sigma
