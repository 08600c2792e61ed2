"""What the bars of controls share: widgets bound to a state, sliders, and a field with a button on either side."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param

from dashboards.lab.address import LONGEST, parsed, whole_number
from dashboards.widgets.dial import Dial
from gpvae_core.errors import UserError

FIELD = {"size": "small", "margin": (3, 4)}
SMALL = {"size": "small", "variant": "outlined", "margin": (3, 4)}
BAR: dict[str, Any] = {"align_items": "center", "gap": "2px", "sizing_mode": "stretch_width", "margin": (5, 6, 0, 6)}


class Controls:
    """Widgets bound to a page's state; `complain` shows a line to the person."""

    def __init__(self, state: Any, complain: Callable[[str], None]) -> None:
        self._state, self.complain = state, complain
        self._telling = False

    def set(self, **values: Any) -> bool:
        """Take a choice of the person's; return False where it cannot be set, which is said."""
        try:
            self._state.check(values)
            self._state.param.update(**values)
        except ValueError as error:
            self.complain(str(error))
            return False
        return True

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Change widgets without that being a choice of the person's."""
        before, self._telling = self._telling, True
        try:
            yield
        finally:
            self._telling = before

    def show_value(self, widget: Any, value: Any) -> None:
        """Show a value in a widget without that being a choice of the person's."""
        with self.telling():
            widget.value = value

    def watch(self, widget: Any, take: Callable[[Any], object]) -> None:
        """Call `take` with what the person chooses in a widget."""
        widget.param.watch(lambda event: None if self._telling else take(event.new), "value")

    def bind(self, widget: Any, name: str) -> Any:
        """Have what is chosen in a widget go into a parameter, else show what holds; return the widget."""

        def take(value: Any) -> None:
            if value is not None and not self.set(**{name: value}):
                self.show_value(widget, getattr(self._state, name))

        self.watch(widget, take)
        return widget

    def follow(self, widget: Any, name: str) -> None:
        """Have a widget show a parameter, now and whenever it changes."""
        self.show_value(widget, getattr(self._state, name))
        self._state.param.watch(lambda event: self.show_value(widget, event.new), name)

    def field(self, name: str, label: str, **more: Any) -> pmui.IntInput | pmui.Select:
        """Return a field for the whole number `name`, within its bounds, or for the one of several that `name` is."""
        parameter = self._state.param[name]
        if isinstance(parameter, param.Selector):
            choice = {"options": list(parameter.objects), "description": parameter.doc}
            field = pmui.Select(label=label, **choice, **FIELD, **more)
        else:
            start, end = parameter.bounds
            field = pmui.IntInput(label=label, start=start, end=end, **FIELD, **more)
        self.follow(self.bind(field, name), name)
        return field

    def dial(self, name: str, label: str, **more: Any) -> Dial:
        """Return a slider for the number `name`, with a field for numbers beyond it."""
        dial = self.slider(self._state.param[name], label, lambda value: self.set(**{name: value}), **more)
        self.follow(dial, name)
        return dial

    def slider(
        self,
        parameter: param.Parameter,
        label: str,
        take: Callable[[Any], bool],
        choose: Callable[[str], Any] = lambda key: None,
        **more: Any,
    ) -> Dial:
        """Return a slider; `take` says whether a number could be set, `choose` gets the key of a button behind it."""

        def typed(text: Any) -> None:
            try:
                if take(parsed(parameter, label, str(text)[:LONGEST].strip().lower())):
                    return
            except UserError as error:
                self.complain(str(error))
            dial.settle()

        dial = Dial(
            {"typed": typed, "choice": lambda key: choose(str(key))}, label=label, help=parameter.doc or "",
            whole=isinstance(parameter, param.Integer), dark=self._state.param.dark, margin=(3, 3), **more,
        )  # fmt: skip
        return dial

    def stepper(self, label: str, what: str, name: str, together: Mapping[str, Any] = {}, **more: Any) -> Stepper:
        """Return a field for the parameter `name`, round at the ends; `together` are values set along with it."""

        def choose(number: int) -> None:
            self.set(**together, **{name: number})

        def step(by: int) -> None:
            choose((getattr(self._state, name) + by) % (stepper.last + 1))

        stepper = Stepper(self, label, what, step, choose, **more)
        return stepper


class Stepper:
    """A field for one of 0 to `last`, with a button on either side.

    `also` reads what is no number: it returns a complaint, '' where it took the text, None where it is not its to read.
    """

    def __init__(
        self,
        controls: Controls,
        label: str,
        what: str,
        step: Callable[[int], None],
        choose: Callable[[int], None],
        also: Callable[[str], str | None] = lambda text: None,
        or_else: str = "",
        **field: Any,
    ) -> None:
        self.step, self._choose, self._label, self.last, self._shown = step, choose, label, 0, "0"
        noun = label.split()[-1].lower()
        self.field = pmui.TextInput(label=label, value="0", **{"width": 115, **FIELD, **field})
        self.previous = pmui.IconButton(icon="chevron_left", description=f"Previous {noun} (left arrow key)", margin=0)
        self.next = pmui.IconButton(icon="chevron_right", description=f"Next {noun} (right arrow key)", margin=0)
        self.previous.on_click(lambda _: step(-1))
        self.next.on_click(lambda _: step(1))
        self.widgets: tuple[pn.viewable.Viewable, ...] = (self.previous, self.field, self.next)

        def typed(text: str) -> None:
            number = whole_number(text)
            if number is not None and number <= self.last:
                choose(number)
                return
            complaint = also(text)
            if complaint is None:
                complaint = f"wanted a {what} from 0 to {self.last}{or_else}, got '{text[:40]}'"
            if complaint:
                controls.complain(complaint)
                controls.show_value(self.field, self._shown)

        controls.watch(self.field, lambda value: typed(str(value).strip()))

    def random(self) -> pmui.Button:
        """Return a button that chooses one at random."""
        button = pmui.Button(label="Random", icon="casino", **SMALL)
        button.on_click(lambda _: self._choose(random.randint(0, self.last)))
        return button

    def show(self, value: object, last: int | None = None) -> None:
        """Show what holds, and how far the numbers go."""
        self._shown = str(value)
        if last is not None:
            self.last = last
            self.field.label = f"{self._label}, 0–{last}"
        self.field.value = self._shown
