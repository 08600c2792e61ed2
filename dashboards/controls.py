"""The bar on which run and image are chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboards.state import PageState
from dashboards.widgets.drawing import DrawingPad, image_from_levels
from dashboards.widgets.upload import Upload
from gpvae_core.errors import UserError

if TYPE_CHECKING:
    from gpvae_core.explore.explorer import Explorer

MAX_UPLOAD = 5_000_000
"""Bytes; enforced in the browser, here, and on the web socket."""
ECHO_S = 5.0
NOBODY = "none"
ANY_CLASS = "all"
FIELD = {"size": "small", "margin": (4, 4)}


class Controls:
    """Widgets bound both ways to the page's state. `complain` shows a line to the person."""

    def __init__(self, state: PageState, complain: Callable[[str], None]) -> None:
        self._state, self._complain = state, complain
        self._explorer: Explorer | None = None
        self._binding, self._last = False, 0
        self._deaf_until = 0.0
        self._make_widgets()
        self._watch()
        self._from_state()
        self.bar = pn.FlexBox(
            self.run, self.other, self.focus, self.previous, self.index, self.next, self.classes, self.quick,
            self.upload, self.draw, self.invert,
            align_items="center", gap="2px", sizing_mode="stretch_width", margin=(6, 4, 0, 4),
        )  # fmt: skip

    def _make_widgets(self) -> None:
        self.run = pmui.Select(label="Run", options=[], width=140, **FIELD)
        self.other = pmui.Select(label="Compare with", options=[NOBODY], width=140, **FIELD)
        self.focus = pmui.Select(label="Details of", options=[], width=140, **FIELD)
        self.previous = pmui.IconButton(icon="chevron_left", description="Previous image (left arrow key)", margin=0)
        self.index = pmui.TextInput(label="Image", value="0", width=115, **FIELD)
        self.next = pmui.IconButton(icon="chevron_right", description="Next image (right arrow key)", margin=0)
        self.classes = pmui.Select(label="Class", options=[ANY_CLASS], value=ANY_CLASS, width=90, **FIELD)
        self.quick = pmui.MenuButton(label="Quick picks", items=[], size="small", variant="outlined", margin=(4, 6))
        self.upload = Upload(self._uploaded, self._complain, limit=MAX_UPLOAD, margin=(4, 6))
        self.draw = pmui.Button(label="Draw", icon="draw", size="small", variant="outlined", margin=(4, 6))
        self.invert = pmui.Button(label="Invert", size="small", variant="outlined", margin=(4, 6), visible=False)
        self.pad = DrawingPad(self._drawn, visible=False, margin=(4, 12))

    def _watch(self) -> None:
        self.run.param.watch(lambda e: self._run_chosen(run=e.new or ""), "value")
        self.other.param.watch(lambda e: self._run_chosen(other="" if e.new == NOBODY else e.new), "value")
        self.focus.param.watch(lambda e: self._set(focus="first" if e.new == self._state.run else "second"), "value")
        self.index.param.watch(lambda e: self._typed(e.new), "value")
        self.classes.param.watch(lambda e: self._class_chosen(e.new), "value")
        self.previous.on_click(lambda _: self.step(-1))
        self.next.on_click(lambda _: self.step(1))
        self.quick.on_click(self._quick_chosen)
        self.draw.on_click(lambda _: setattr(self.pad, "visible", not self.pad.visible))
        self.invert.on_click(lambda _: self._inverted())
        self._state.param.watch(lambda *_: self._from_state(), ["run", "other", "focus", "index", "own_image"])
        self._state.param.watch(lambda e: setattr(self.upload, "dark", e.new), "dark")
        self._state.param.watch(lambda e: setattr(self.invert, "visible", e.new is not None), "own_image")

    def _set(self, **values: object) -> None:
        if not self._binding:
            self._state.param.update(**values)

    def _run_chosen(self, **values: str) -> None:
        if time.monotonic() < self._deaf_until and not self._binding:
            self._from_state()
        else:
            self._set(**values)

    def ignore_echoes(self) -> None:
        """The page itself has just chosen other runs: for some seconds, what comes as a choice of runs is not taken.

        Rarely the browser sends back, late, what these drop-downs were told before, and undoes the page's choice.
        """
        self._deaf_until = time.monotonic() + ECHO_S

    def _from_state(self) -> None:
        self._binding = True
        try:
            state = self._state
            if state.run in self.run.options:
                self.run.value = state.run
            self.other.value = state.other if state.other in self.other.options else NOBODY
            chosen = state.names[-1] if state.focus == "second" else state.names[0]
            self.focus.param.update(options=list(state.names), value=chosen, visible=len(state.names) == 2)
            self.index.value = str(state.index)
            self._forget_class()
        finally:
            self._binding = False

    def _forget_class(self) -> None:
        """The image is of another class than the one chosen: the choice no longer holds."""
        if self._explorer is None or self.classes.value == ANY_CLASS:
            return
        if self._state.own_image is not None or self._state.index not in self._explorer.by_class(self.classes.value):
            self.classes.value = ANY_CLASS

    def offer_runs(self, names: Sequence[str]) -> None:
        """The runs to choose from."""
        self._binding = True
        try:
            self.run.options, self.other.options = list(names), [NOBODY, *names]
        finally:
            self._binding = False
        self._from_state()

    def offer(self, explorer: Explorer) -> None:
        """What this run's data set offers: indices, classes, the size to draw on, quick picks."""
        quick = [{"label": name, "index": index} for name, index in explorer.quick_picks().items() if index is not None]
        self._binding = True
        try:
            if explorer is not self._explorer:
                data = explorer.run.data
                self._last = len(data.test.images) - 1
                self.index.label = f"Image, 0–{self._last}"
                self.classes.options = [ANY_CLASS, *data.class_names]
                self.classes.value = ANY_CLASS
                self.pad.param.update(rows=data.event_shape[1], columns=data.event_shape[2])
            if quick != self.quick.items:
                self.quick.items = quick
                self.quick.disabled = not quick
        finally:
            self._binding = False
        self._explorer = explorer

    def _typed(self, text: str) -> None:
        if self._binding:
            return
        text = text.strip()
        if text.isdecimal() and len(text) < 10 and int(text) <= self._last:
            self._state.pick(int(text))
        else:
            self._complain(f"wanted a test image from 0 to {self._last}, got '{text[:40]}'")
            self._from_state()

    def _class_chosen(self, name: str) -> None:
        if self._binding or self._explorer is None or name == ANY_CLASS:
            return
        members = self._explorer.by_class(name)
        if len(members) and self._state.index not in members:
            self._state.pick(int(members[0]))

    def _quick_chosen(self, item: Any) -> None:
        self._state.pick(int(item["index"]))

    def step(self, by: int) -> None:
        """Next or previous test image, within the class chosen; round at the ends."""
        if self._explorer is None:
            return
        last = len(self._explorer.run.data.test.images) - 1
        members = list(range(last + 1))
        if self.classes.value != ANY_CLASS:
            members = [int(k) for k in self._explorer.by_class(self.classes.value)] or members
        after = [k for k in members if (k - self._state.index) * by > 0]
        self._state.pick((min if by > 0 else max)(after, default=members[0 if by > 0 else -1]))

    def _uploaded(self, content: bytes) -> None:
        if self._explorer is None:
            return
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
