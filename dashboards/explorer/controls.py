"""The bar on which run and image are chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboards.explorer.state import ExplorerState
from dashboards.lab.controls import BAR, FIELD, SMALL, Controls, Stepper
from dashboards.widgets.drawing import DrawingPad, image_from_levels
from dashboards.widgets.upload import Upload
from gpvae_core.errors import UserError

if TYPE_CHECKING:
    from gpvae_core.inspection.explorer import Explorer

MAX_UPLOAD = 5_000_000
"""Bytes; enforced in the browser, here, and on the web socket."""
ECHO_S = 5.0
NOBODY = "none"
ANY_CLASS = "all"


class ExplorerControls(Controls):
    """Widgets bound both ways to the page's state."""

    def __init__(self, state: ExplorerState, complain: Callable[[str], None]) -> None:
        super().__init__(state, complain)
        self._explorer: Explorer | None = None
        self._deaf_until = 0.0
        self._make_widgets()
        self._watch()
        self._from_state()
        self.bar = pn.FlexBox(
            self.run, self.other, self.focus, *self.index.widgets, self.classes, self.quick, self.upload, self.draw,
            self.invert, **BAR,
        )  # fmt: skip

    def _make_widgets(self) -> None:
        self.run = pmui.Select(label="Run", options=[], width=140, **FIELD)
        self.other = pmui.Select(label="Compare with", options=[NOBODY], width=140, **FIELD)
        self.focus = pmui.Select(label="Details of", options=[], width=140, **FIELD)
        self.index = Stepper(self, "Image", "test image", self.step, lambda number: self._state.pick(number))
        self.classes = pmui.Select(label="Class", options=[ANY_CLASS], value=ANY_CLASS, width=90, **FIELD)
        self.quick = pmui.MenuButton(label="Quick picks", items=[], **SMALL)
        self.upload = Upload(
            self._uploaded, self._complain, limit=MAX_UPLOAD, dark=self._state.param.dark, margin=(4, 6)
        )
        self.draw = pmui.Button(label="Draw", icon="draw", **SMALL)
        self.invert = pmui.Button(label="Invert", visible=False, **SMALL)
        self.pad = DrawingPad({"levels": self._drawn}, visible=False, dark=self._state.param.dark, margin=(4, 12))

    def _watch(self) -> None:
        self.run.param.watch(lambda e: self._run_chosen(run=e.new or ""), "value")
        self.other.param.watch(lambda e: self._run_chosen(other="" if e.new == NOBODY else e.new), "value")
        self.focus.param.watch(lambda e: self.set(focus="first" if e.new == self._state.run else "second"), "value")
        self.classes.param.watch(lambda e: self._class_chosen(e.new), "value")
        self.quick.on_click(self._quick_chosen)
        self.draw.on_click(lambda _: setattr(self.pad, "visible", not self.pad.visible))
        self.invert.on_click(lambda _: self._inverted())
        self._state.param.watch(lambda *_: self._from_state(), ["run", "other", "focus", "index", "own_image"])

    def _quick_chosen(self, item: Any) -> None:
        self._state.pick(int(item["index"]))

    def _run_chosen(self, **values: str) -> None:
        if time.monotonic() < self._deaf_until and not self._telling:
            self._from_state()
        else:
            self.set(**values)

    def ignore_echoes(self) -> None:
        """Take no choice of runs for some seconds: the page itself has just chosen others.

        NOTE: rarely the browser sends back, late, what these drop-downs were told before, and undoes the page's choice.
        """
        self._deaf_until = time.monotonic() + ECHO_S

    def _from_state(self) -> None:
        state = self._state
        with self.telling():
            if state.run in self.run.options:
                self.run.value = state.run
            self.other.value = state.other if state.other in self.other.options else NOBODY
            chosen = state.names[-1] if state.focus == "second" else state.names[0]
            self.focus.param.update(options=list(state.names), value=chosen, visible=len(state.names) == 2)
            self.index.show(state.index)
            self._forget_class()
            self.invert.visible = state.own_image is not None

    def _forget_class(self) -> None:
        """Drop the chosen class where the image is of another one."""
        if self._explorer is None or self.classes.value == ANY_CLASS:
            return
        if self._state.own_image is not None or self._state.index not in self._explorer.by_class(self.classes.value):
            self.classes.value = ANY_CLASS

    def offer_runs(self, names: Sequence[str]) -> None:
        """Offer these runs."""
        with self.telling():
            self.run.options, self.other.options = list(names), [NOBODY, *names]
        self._from_state()

    def offer(self, explorer: Explorer) -> None:
        """Offer what this run's data set has: indices, classes, the size to draw on, quick picks."""
        quick = [{"label": name, "index": index} for name, index in explorer.quick_picks().items() if index is not None]
        with self.telling():
            if explorer is not self._explorer:
                data = explorer.run.data
                self.index.show(self._state.index, len(data.test.images) - 1)
                self.classes.param.update(options=[ANY_CLASS, *data.class_names], value=ANY_CLASS)
                self.pad.param.update(rows=data.event_shape[1], columns=data.event_shape[2])
            if quick != self.quick.items:
                self.quick.param.update(items=quick, disabled=not quick)
        self._explorer = explorer

    def _class_chosen(self, name: str) -> None:
        if self._telling or self._explorer is None or name == ANY_CLASS:
            return
        members = self._explorer.by_class(name)
        if len(members) and self._state.index not in members:
            self._state.pick(int(members[0]))

    def step(self, by: int) -> None:
        """Look at the next or previous test image, within the class chosen; round at the ends."""
        if self._explorer is None:
            return
        members = list(range(self.index.last + 1))
        if self.classes.value != ANY_CLASS:
            members = [int(k) for k in self._explorer.by_class(self.classes.value)] or members
        after = [k for k in members if (k - self._state.index) * by > 0]
        self._state.pick((min if by > 0 else max)(after, default=members[0 if by > 0 else -1]))

    def _uploaded(self, content: bytes) -> None:
        if self._explorer is not None:
            from gpvae_core.data.upload import image_from_bytes

            image = image_from_bytes(content, self._explorer.run.model.event_shape)
            self._state.place("uploaded", image.numpy())

    def _inverted(self) -> None:
        if self._state.own_image is not None:
            source, image = self._state.own_image
            self._state.place(source, 1.0 - image)

    def _drawn(self, levels: object) -> None:
        if self._explorer is None:
            return
        try:
            self._state.place("drawn", image_from_levels(levels, self._explorer.run.model.event_shape))
        except UserError as error:
            self._complain(str(error))
