"""The controls of the Gap Lab: the bar for decoder, image and methods, and those of the film of SVI."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboards.gap_lab.request import GapLabRequest, full_name, is_of_a_run
from dashboards.gap_lab.state import GapLabState
from dashboards.lab.controls import BAR, FIELD, SMALL, Controls, Stepper
from dashboards.lab.looks import WIDE
from dashboards.widgets.chips import Chips
from dashboards.widgets.player import FilmPlayer
from gpvae_core.inspection.gap_lab.views import ImageOfTest

if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.lab import GapLab

QUICK = "svi:8"
"""The refiner that one click adds."""
EXAMPLE = "{run}+svi:8,covariance=full"


class GapLabControls(Controls):
    """Widgets that set the page's state; `largest(method)` finds the image with a method's largest inference gap."""

    def __init__(self, state: GapLabState, complain: Callable[[str], None], largest: Callable[[str], None]) -> None:
        super().__init__(state, complain)
        self._lab: GapLab | None = None
        self.decoder = pmui.Select(label="Decoder of", options=[], width=190, **FIELD)
        self.watch(self.decoder, self._decoder_chosen)
        self.index = Stepper(self, "Image", "validation image", "index", {"test": ""})
        self.test = Stepper(self, "Image", "test image", "test", {}, written=str)
        self.split = pmui.Select(label="Set", options=["validation", "test"], width=125, **FIELD)
        self.watch(self.split, lambda split: self.set(test="0" if split == "test" else ""))
        self.largest = pmui.MenuButton(label="Largest gap of", items=[], **SMALL)
        toggle = {"toggle": lambda choice: self._toggled(str(choice[0]), bool(choice[1]))}
        self.chips = Chips(toggle, dark=state.param.dark, sizing_mode="stretch_width", margin=(2, 8), min_width=300)
        self.quick = pmui.Button(label=f"+ {QUICK}", **SMALL)
        self.refiner = pmui.TextInput(
            label=f"Refine, e.g. {QUICK}", placeholder=EXAMPLE.format(run="RUN"), width=200,
            description=f"Refine at test time: {EXAMPLE.format(run='RUN')}; without RUN, the one from which SVI starts",
            **FIELD,
        )  # fmt: skip

        def largest_of(item: Any) -> None:
            largest(str(item["method"]))

        self.largest.on_click(largest_of)
        self.quick.on_click(lambda _: self.add(QUICK))
        self.watch(self.refiner, self.add)
        self._of_split = {
            "validation": (*self.index.widgets, self.index.random()),
            "test": (*self.test.widgets, self.test.random()),
        }
        image = [widget for widgets in self._of_split.values() for widget in widgets]
        self.first = pn.FlexBox(self.decoder, self.split, *image, self.largest, self.quick, self.refiner, **BAR)
        self.bar = pn.Column(self.first, self.chips, **WIDE)

    def step(self, by: int) -> None:
        """Go to the previous (-1) or next (1) image of the set that is shown."""
        (self.test if self.state.test else self.index).step(by)

    def add(self, text: str) -> None:
        """Show a refined run too: `text` is RUN+REFINER, or a refiner of the run from which SVI starts.

        RUN is the name of a run or the short one of its check box.
        """
        text = text.strip()
        if not text or self._lab is None:
            return
        name, refiner = full_name(self._lab, text), text.removeprefix("+")
        if not is_of_a_run(self._lab, name) and "+" not in refiner.partition(",")[0]:
            name = f"{self.state.start}+{refiner}"
        self.state.show((*self.state.methods, name))
        self.update(self.refiner, value="")

    def _decoder_chosen(self, name: str | None) -> None:
        """Show another decoder, with methods of its own: no method is on two decoders."""
        if name and self.set(decoder=name, chosen="", start=""):
            self.complain(f"Now on the decoder of '{name}'; the methods shown are those trained on it.")

    def _toggled(self, method: str, on: bool) -> None:
        methods = [name for name in self.state.methods if name != method] + [method] * on
        order = [*(item["key"] for item in self.chips.items), *methods]
        if methods:
            self.state.show(tuple(sorted(methods, key=order.index)))
        else:
            self.complain("at least one method must be shown")
            self.chips.settle()

    def offer(self, request: GapLabRequest) -> None:
        """Show the methods on the chosen decoder and the chosen image."""
        lab, styles = request.lab, request.styles
        self._lab = lab
        items = [
            {
                "key": name, "label": style.label, "colour": style.colour, "strokes": style.strokes,
                "checked": name in request.methods, "removable": name not in lab.runs,
                "help": f"{name}: {lab.words(name)}",
            }
            for name, style in styles.items()
        ]  # fmt: skip
        self.update(self.decoder, value=lab.decoder.name)
        if isinstance(request.index, ImageOfTest):
            self.update(self.split, value="test")
            self.test.show(request.index.index, lab.test_size - 1)
        else:
            self.update(self.split, value="validation")
            self.index.show(request.index, lab.size - 1)
        for split, widgets in self._of_split.items():
            for widget in widgets:
                widget.visible = split == self.split.value
        self.largest.items = [{"label": styles[name].label, "method": name} for name in request.methods]
        self.quick.label = f"{styles[request.start].label} + {QUICK}"
        self.refiner.placeholder = EXAMPLE.format(run=request.start)
        self.chips.items = items


class FilmControls(Controls):
    """The film of SVI, step by step, and its settings."""

    def __init__(self, state: GapLabState, complain: Callable[[str], None]) -> None:
        super().__init__(state, complain)
        self._shown: tuple[object, ...] = ()
        about = "Encoder whose approximate posterior SVI starts from"
        start = pmui.Select(label="SVI from", options={}, width=140, description=about, **FIELD)
        self.start = self.bind(start, "start")
        self.step_size = self.dial("step_size", "Step size", logarithmic=True, low=1e-3, high=2.0, notches=66)
        self.momentum = self.dial("momentum", "Momentum", high=0.95)
        self.covariance = self.field("covariance", "Covariance", width=120)
        self.player = FilmPlayer(
            {}, label="SVI player", back="Back to q(z|x) of the encoder", dark=state.param.dark,
            sizing_mode="stretch_width", margin=0,
        )  # fmt: skip
        row = {**BAR, "margin": (2, 0, 4, 0)}
        settings = pn.FlexBox(self.start, self.covariance, self.step_size, self.momentum, **row)
        self.panel = pn.Column(settings, self.player, margin=0, **WIDE)

    def offer(self, request: GapLabRequest) -> None:
        """Offer the runs to start from, and mark the player as busy until the new film arrives."""
        starts = {request.styles[name].label: name for name in request.lab.runs}
        self.update(self.start, options=starts, value=request.start)
        self.player.busy = True

    def show(self, frames: str, request: GapLabRequest) -> None:
        """Show a new film: at the step that is shown where only a setting was changed, else from its start."""
        before, self._shown = self._shown, (request.lab.decoder.name, request.index, request.start)
        self.player.stays = before == self._shown  # NOTE: a message of its own, before the one that loads the film
        self.player.param.update(frames=frames, busy=False)
