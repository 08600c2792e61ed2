"""The bar on which decoder, image and methods are chosen."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboards.gap_lab.chips import Chips
from dashboards.gap_lab.state import LabState

if TYPE_CHECKING:
    from dashboards.gap_lab.panes import Choice

FIELD = {"size": "small", "margin": (4, 4)}
SMALL = {"size": "small", "variant": "outlined", "margin": (4, 4)}
QUICK = "svi:8"
"""The refinement that one click adds."""
EXAMPLE = "{run}+svi:8,covariance=full"


class LabControls:
    """Widgets bound to the page's state. `largest(method)` looks for the image on which a method loses most."""

    def __init__(self, state: LabState, complain: Callable[[str], None], largest: Callable[[str], None]) -> None:
        self._state, self._complain, self._largest = state, complain, largest
        self._binding, self._last = False, 0
        self._runs: tuple[str, ...] = ()
        self.decoder = pmui.Select(label="Decoder of", options=[], width=190, **FIELD)
        self.previous = pmui.IconButton(icon="chevron_left", description="Previous image (left arrow key)", margin=0)
        self.index = pmui.TextInput(label="Image", value="0", width=115, **FIELD)
        self.next = pmui.IconButton(icon="chevron_right", description="Next image (right arrow key)", margin=0)
        self.random = pmui.Button(label="Random", icon="casino", **SMALL)
        self.largest = pmui.MenuButton(label="Largest gap of", items=[], **SMALL)
        self.chips = Chips(self._toggled, self._removed, sizing_mode="stretch_width", margin=(2, 8), min_width=300)
        self.quick = pmui.Button(label=f"+ {QUICK}", **SMALL)
        self.refiner = pmui.TextInput(
            label="Refine, e.g. svi:8,covariance=full", placeholder=EXAMPLE.format(run="RUN"), width=310,
            description="Refine at test time: RUN+REFINER; without a run, the one from which SVI starts", **FIELD,
        )  # fmt: skip
        self._watch()
        self.first = pn.FlexBox(
            self.decoder, self.previous, self.index, self.next, self.random, self.largest, self.quick, self.refiner,
            align_items="center", gap="2px", sizing_mode="stretch_width", margin=(6, 4, 0, 4),
        )  # fmt: skip
        self.bar = pn.Column(self.first, self.chips, sizing_mode="stretch_width", styles={"flex": "none"})

    def _watch(self) -> None:
        self.decoder.param.watch(lambda e: self._set(decoder=e.new or ""), "value")
        self.index.param.watch(lambda e: self._typed(e.new), "value")
        self.previous.on_click(lambda _: self.step(-1))
        self.next.on_click(lambda _: self.step(1))
        self.random.on_click(lambda _: self._set(index=random.randint(0, self._last)))
        self.largest.on_click(self._largest_of)
        self.quick.on_click(lambda _: self.add(QUICK))
        self.refiner.param.watch(lambda e: self.add(e.new), "value")

    def _set(self, **values: Any) -> None:
        if not self._binding:
            self._state.param.update(**values)

    def _typed(self, text: str) -> None:
        if self._binding:
            return
        text = text.strip()
        if text.isdecimal() and len(text) < 10 and int(text) <= self._last:
            self._set(index=int(text))
        else:
            self._complain(f"wanted a validation image from 0 to {self._last}, got '{text[:40]}'")
            self._bound(lambda: self.index.param.update(value=str(self._state.index)))

    def _largest_of(self, item: Any) -> None:
        self._largest(str(item["method"]))

    def step(self, by: int) -> None:
        """Next or previous image, round at the ends."""
        self._set(index=(self._state.index + by) % (self._last + 1))

    def add(self, text: str) -> None:
        """A refinement of the run from which SVI starts, or of the run that is named."""
        text = text.strip()
        if self._binding or not text:
            return
        named = any(text == run or text.startswith(f"{run}+") for run in self._runs)
        self._state.show((*self._state.methods, text if named else f"{self._state.start}+{text.removeprefix('+')}"))
        self._bound(lambda: self.refiner.param.update(value=""))

    def _toggled(self, key: str, on: bool) -> None:
        shown = [name for name in self._state.methods if name != key]
        if not on and not shown:
            self._complain("at least one method must be shown")
            self.chips.param.trigger("items")
            return
        order = [item["key"] for item in self.chips.items]
        wanted = [*shown, key] if on else shown
        self._state.show(tuple(sorted(wanted, key=lambda name: order.index(name) if name in order else len(order))))

    def _removed(self, key: str) -> None:
        self._toggled(key, False)

    def _bound(self, change: Callable[[], Any]) -> None:
        """Change widgets without that being a choice of the person's."""
        self._binding = True
        try:
            change()
        finally:
            self._binding = False

    def offer_decoders(self, names: list[str]) -> None:
        """The decoders to choose from."""
        self._bound(lambda: self.decoder.param.update(options=names))

    def offer(self, choice: Choice) -> None:
        """What there is on the chosen decoder."""
        self._runs, self._last = tuple(choice.lab.runs), choice.lab.size - 1
        items = [
            {
                "key": name, "label": style.label, "colour": style.colour, "checked": name in choice.methods,
                "removable": name not in choice.lab.runs,
            }
            for name, style in choice.styles.items()
        ]  # fmt: skip
        menu = [{"label": choice.styles[name].label, "method": name} for name in choice.methods]

        def change() -> None:
            self.decoder.value = choice.lab.decoder.name
            self.index.param.update(label=f"Image, 0–{self._last}", value=str(choice.index))
            self.largest.items = menu
            self.quick.label = f"{choice.styles[choice.start].label} + {QUICK}"
            self.refiner.placeholder = EXAMPLE.format(run=choice.start)
            self.chips.param.update(items=items, dark=self._state.dark)

        self._bound(change)
