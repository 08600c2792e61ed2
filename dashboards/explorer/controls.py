"""The bar of the Posterior Explorer, in which runs and image are chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboards.explorer.state import ExplorerState
from dashboards.lab.controls import BAR, FIELD, SMALL, Controls, Opened, Stepper
from dashboards.widgets.drawing import DrawingPad, image_from_levels
from dashboards.widgets.upload import Upload
from gpvae_core.errors import UserError

if TYPE_CHECKING:
    from gpvae_core.inspection.explorer import Explorer

MAX_UPLOAD = 5_000_000
"""Most bytes of an image file; checked in the browser, by `Upload`, and by the web socket."""
ECHO_S = 5.0
"""Seconds for which `ignore_echoes` ignores what the drop-downs of runs send."""
NO_RUN = "none"
ANY_CLASS = "all"


class ExplorerControls(Controls):
    """Widgets that set the page's state and follow it."""

    def __init__(self, state: ExplorerState, complain: Callable[[str], None]) -> None:
        super().__init__(state, complain)
        self._explorer: Explorer | None = None
        self._labels: dict[str, str] = {}
        """The label under which each run is offered, and the run's name."""
        self._echoes_until = 0.0
        self.run = pmui.Select(label="Run", options=[], width=140, **FIELD)
        self.other = pmui.Select(label="Compare with", options={NO_RUN: ""}, width=140, **FIELD)
        self.focus = self.bind(pmui.Select(label="Details of", options={}, width=140, **FIELD), "focus")
        self.index = Stepper(self, "Image", "test image", "index", {"own_image": None}, self.step)
        self.classes = pmui.Select(label="Class", options=[ANY_CLASS], value=ANY_CLASS, width=90, **FIELD)
        self.quick = pmui.MenuButton(label="Quick picks", items=[], **SMALL)
        self.upload = Upload(self._uploaded, complain, limit=MAX_UPLOAD, dark=state.param.dark, margin=(4, 6))
        self.draw = pmui.Button(label="Draw", icon="draw", **SMALL)
        self.invert = pmui.Button(label="Invert", visible=False, **SMALL)
        self.pad = DrawingPad({"levels": self._drawn}, visible=False, dark=state.param.dark, margin=(4, 12))
        self.watch(self.run, lambda name: self._run_chosen(run=name or ""))
        self.watch(self.other, lambda name: self._run_chosen(other=name or ""))
        self.watch(self.classes, self._class_chosen)
        self.quick.on_click(self._quick_chosen)
        self.drawing = Opened(self.draw, self.pad)
        self.draw.on_click(lambda _: complain(""))  # what was said of an upload does not concern a drawing
        self.invert.on_click(lambda _: self._inverted())
        # After the address has taken up the choice: giving up the class is a correction of the new place.
        names = ["run", "other", "focus", "index", "of_class", "own_image"]
        state.param.watch(lambda *_: self._from_state(), names, precedence=1)
        self._from_state()
        self.bar = pn.FlexBox(
            self.run, self.other, self.focus, *self.index.widgets, self.classes, self.quick, self.upload, self.draw,
            self.invert, **BAR,
        )  # fmt: skip

    def _quick_chosen(self, item: Any) -> None:
        self.state.pick(int(item["index"]))

    def _run_chosen(self, **values: str) -> None:
        if time.monotonic() < self._echoes_until:
            self._from_state()
        elif values.get("run") == self.state.other:
            self.set(run=self.state.other, other=self.state.run)  # a run is not compared with itself
        else:
            self.set(**values)

    def ignore_echoes(self) -> None:
        """Ignore choices of runs for some seconds, after the page itself has chosen runs.

        NOTE: sometimes the browser sends the earlier values of the drop-downs late, which would undo that choice.
        """
        self._echoes_until = time.monotonic() + ECHO_S

    def _from_state(self) -> None:
        state, two = self.state, len(self.state.names) == 2
        if state.run in self._labels.values():
            self.update(self.run, value=state.run)
        others = {NO_RUN: ""} | {label: name for label, name in self._labels.items() if name != state.run}
        self.update(self.other, options=others, value=state.other if state.other in others.values() else "")
        runs = dict(zip(state.names, ("first", "second"), strict=False))
        self.update(self.focus, options=runs, value=state.focus if two else "first", visible=two)
        self.index.show(state.index)
        self._follow_class()
        self.invert.visible = state.own_image is not None

    def _members(self) -> Collection[int]:
        """Return the indices of the test images of the chosen class, or of all where no class is chosen."""
        of_class = self.state.of_class
        if self._explorer is None or of_class not in self._explorer.run.data.class_names:
            return range(self.index.last + 1)
        return [int(k) for k in self._explorer.by_class(of_class)]

    def _follow_class(self) -> None:
        """Give up the choice of a class, and say so, where the image is not of that class."""
        state, chosen = self.state, self.state.of_class
        if (
            chosen
            and self._explorer is not None
            and (state.own_image is not None or state.index not in self._members())
        ):
            what = f"test image {state.index}" if state.own_image is None else "your image"
            state.of_class = ""
            self.complain(f"Class is '{ANY_CLASS}' again: {what} is not among the test images of class {chosen}")
        self.update(self.classes, value=state.of_class if state.of_class in self.classes.options else ANY_CLASS)

    def offer_runs(self, names: Sequence[str], label: Callable[[str], str] = str) -> None:
        """Offer these runs in both drop-downs, each under its label."""
        self._labels = {label(name): name for name in names}
        self.update(self.run, options=self._labels)
        self._from_state()

    def offer(self, explorer: Explorer) -> None:
        """Adapt the controls to a run: the number of its test images, classes, image size, quick picks."""
        quick = [{"label": name, "index": index} for name, index in explorer.quick_picks().items() if index is not None]
        if explorer is not self._explorer:
            data = explorer.run.data
            self.index.show(self.state.index, len(data.test.images) - 1)
            here = [name for k, name in enumerate(data.class_names) if k in data.test.labels]
            kept = self.state.of_class if self.state.of_class in here else ANY_CLASS
            self.update(self.classes, options=[ANY_CLASS, *here], value=kept)
            self.pad.param.update(rows=data.event_shape[1], columns=data.event_shape[2])
        if quick != self.quick.items:
            self.quick.param.update(items=quick, disabled=not quick)
        self._explorer = explorer
        self._follow_class()

    def _class_chosen(self, name: str) -> None:
        """Show the first image of the class, unless the image shown is of it."""
        of_class = "" if name == ANY_CLASS or self._explorer is None else name
        members = self._explorer.by_class(of_class) if of_class and self._explorer is not None else ()
        if len(members) and (self.state.own_image is not None or self.state.index not in members):
            index = self.state.index if self.state.index in members else int(min(members))
            self.set(of_class=of_class, index=index, own_image=None)
        else:
            self.set(of_class=of_class)

    def step(self, by: int) -> None:
        """Show the next or previous test image of the chosen class; after the last comes the first."""
        if self._explorer is not None:
            members = self._members() or range(self.index.last + 1)
            after = [k for k in members if (k - self.state.index) * by > 0]
            self.state.pick((min if by > 0 else max)(after or members))

    def _uploaded(self, content: bytes) -> None:
        if self._explorer is not None:
            from gpvae_core.data.upload import image_from_bytes, value_of_white

            run = self._explorer.run
            uploaded = image_from_bytes(content, run.model.event_shape, MAX_UPLOAD, value_of_white(run.config.data))
            self.state.place("uploaded", uploaded.image.numpy())
            if uploaded.note:
                self.complain(uploaded.note)

    def _inverted(self) -> None:
        if self.state.own_image is not None:
            source, image = self.state.own_image
            self.state.place(source, 1.0 - image)

    def _drawn(self, levels: object) -> None:
        if self._explorer is None:
            return
        try:
            self.state.place("drawn", image_from_levels(levels, self._explorer.run.model.event_shape))
        except UserError as error:
            self.complain(str(error))
