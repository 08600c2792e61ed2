"""Widgets bound to a page's state: fields, sliders, and a number field with a button on either side."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param

from dashboards.lab.address import LONGEST, parsed, whole_number
from dashboards.lab.words import one
from dashboards.widgets.dial import Dial
from dashboards.widgets.typed_field import TypedField
from gpvae_core.errors import UserError

FIELD = {"size": "small", "margin": (3, 4)}
SMALL = {"size": "small", "variant": "outlined", "margin": (3, 4)}
BAR: dict[str, Any] = {"align_items": "center", "gap": "2px", "sizing_mode": "stretch_width", "margin": (5, 6, 0, 6)}
FIELD_TYPES: tuple[tuple[type[param.Parameter], Any], ...] = (
    (param.ListSelector, None), (param.Selector, pmui.Select), (param.Boolean, pmui.Checkbox),
    (param.Integer, pmui.IntInput), (param.Number, pmui.FloatInput), (param.String, pmui.TextInput),
)  # fmt: skip
"""The widget for each type of parameter, None for none; the first type that fits decides."""


class Controls:
    """Widgets bound to a page's state; `complain` shows the user a line about a value that was refused."""

    def __init__(self, state: Any, complain: Callable[[str], None]) -> None:
        self.state, self.complain = state, complain
        self._updating = False

    def set(self, **values: Any) -> bool:
        """Set parameters to what the user chose; return False, after a complaint, where they do not accept it."""
        try:
            self.state.set(**values)
        except UserError as error:
            self.complain(str(error))
            return False
        return True

    def update(self, widget: Any, **values: Any) -> None:
        """Change a widget's options, value or looks without calling what watches it.

        NOTE: options and value must go in one call, or the browser sends back the first option as the user's choice. It
        knows a value by its label, which may be another among new options: so the value goes along with them.
        """
        before, self._updating = self._updating, True
        new_options = "options" in values and values["options"] != widget.options
        try:
            with param.parameterized.batch_call_watchers(widget):
                widget.param.update(**values)
                if new_options and "value" in values:
                    widget.param.trigger("value")
        finally:
            self._updating = before

    def watch(self, widget: Any, on_choice: Callable[[Any], object]) -> None:
        """Call `on_choice` with each value that the user gives to a widget."""
        widget.param.watch(lambda event: None if self._updating else on_choice(event.new), "value")

    def bind(self, widget: Any, name: str) -> Any:
        """Set a parameter to what the user chooses in a widget, and return the widget; a refused value is undone."""

        def on_choice(value: Any) -> None:
            if value is not None and not self.set(**{name: value}):
                self.update(widget, value=getattr(self.state, name))

        self.watch(widget, on_choice)
        return widget

    def follow(self, widget: Any, name: str) -> None:
        """Show a parameter's value in a widget, now and after each change."""
        self.update(widget, value=getattr(self.state, name))
        self.state.param.watch(lambda event: self.update(widget, value=event.new), name)

    def field(self, name: str, label: str, **more: Any) -> Any:
        """Return a field bound to the parameter `name`, of the widget for its type, within its bounds or objects."""
        parameter = self.state.param[name]
        make = next((widget for kind, widget in FIELD_TYPES if isinstance(parameter, kind)), None)
        if make is None:
            raise TypeError(f"there is no field for the {type(parameter).__name__} parameter '{name}'")
        if isinstance(parameter, param.Selector):
            more = {"options": list(parameter.objects), "description": parameter.doc, **more}
        elif isinstance(parameter, param.Number):
            start, end = parameter.bounds or (None, None)
            more = {"start": start, "end": end, **more}
        field = self.bind(make(label=label, **FIELD, **more), name)
        self.follow(field, name)
        return field

    def dial(self, name: str, label: str, **more: Any) -> Dial:
        """Return a slider bound to the number `name`, with a field for values outside the slider's range."""
        dial = self.slider(self.state.param[name], label, lambda value: self.set(**{name: value}), **more)
        self.follow(dial, name)
        return dial

    def slider(
        self,
        parameter: param.Parameter,
        label: str,
        set_value: Callable[[Any], bool],
        on_button: Callable[[str], Any] = lambda key: None,
        **more: Any,
    ) -> Dial:
        """Return a slider for the values of `parameter`.

        `set_value` gets a number and returns whether it was accepted; `on_button` gets the key of a button that stands
        behind the slider and is pressed.
        """

        def typed(text: Any) -> None:
            try:
                if set_value(parsed(parameter, label, str(text)[:LONGEST].strip().lower())):
                    return
            except UserError as error:
                self.complain(str(error))
            dial.settle()

        dial = Dial(
            {"typed": typed, "choice": lambda key: on_button(str(key))}, label=label, help=parameter.doc or "",
            whole=isinstance(parameter, param.Integer), dark=self.state.param.dark, margin=(3, 3), **more,
        )  # fmt: skip
        return dial


class Opened:
    """A panel that a button opens and closes; `close` also gives the focus back to the button."""

    def __init__(self, button: pmui.Button, panel: pn.viewable.Viewable) -> None:
        self._button, self._panel = button, panel
        button.on_click(lambda _: setattr(panel, "visible", not panel.visible))

    def close(self) -> None:
        if self._panel.visible:
            self._panel.visible = False
            self._button.focus()


class Stepper:
    """A field for a number from `first` to `last`, with a button on either side; after `last` comes `first`.

    `together` are other values to set along with the number. `step` replaces what the buttons do. `read_other` gets a
    text that is no such number. It sets what the text says and returns whether that was accepted, or None if it cannot
    read the text either; `other_form` names that form. The state holds the number as `written` gives it.
    """

    def __init__(
        self,
        controls: Controls,
        label: str,
        what: str,
        name: str,
        together: Mapping[str, Any],
        step: Callable[[int], None] | None = None,
        read_other: Callable[[str], bool | None] = lambda text: None,
        other_form: str = "",
        written: Callable[[int], Any] = int,
        first: int = 0,
        **field: Any,
    ) -> None:
        """Make the widgets; `field` goes to the field, such as its width."""
        self._controls, self._label, self._name, self._together = controls, label, name, together
        self._written = written
        self.step = step or self._step
        self.first = self.last = first
        noun = label.split()[-1].lower()
        self.previous = pmui.IconButton(icon="chevron_left", description=f"Previous {noun} (left arrow key)", margin=0)
        self.next = pmui.IconButton(icon="chevron_right", description=f"Next {noun} (right arrow key)", margin=0)
        self.previous.on_click(lambda _: self.step(-1))
        self.next.on_click(lambda _: self.step(1))

        def typed(value: Any) -> None:
            text = str(value).strip()
            number = whole_number(text)
            accepted: bool | None = True
            if number is not None and self.first <= number <= self.last:
                self._choose(number)
            else:
                accepted = read_other(text[:LONGEST])
                if accepted is None:
                    controls.complain(
                        f"wanted {one(what)} from {self.first} to {self.last}{other_form}, got '{text[:40]}'"
                    )
            if not accepted or self.field.value in (text, str(number)):
                self.field.settle()

        self.field = TypedField(
            {"typed": typed}, label=label, value=str(first), dark=controls.state.param.dark,
            **{"width": 115, "margin": FIELD["margin"], **field},
        )  # fmt: skip
        self.widgets: tuple[pn.viewable.Viewable, ...] = (self.previous, self.field, self.next)

    def _choose(self, number: int) -> None:
        self._controls.set(**self._together, **{self._name: self._written(number)})

    def _step(self, by: int) -> None:
        place = int(getattr(self._controls.state, self._name)) - self.first + by
        self._choose(self.first + place % (self.last - self.first + 1))

    def random(self) -> pmui.Button:
        """Return a button that chooses a number at random."""
        button = pmui.Button(label="Random", icon="casino", **SMALL)
        button.on_click(lambda _: self._choose(random.randint(self.first, self.last)))
        return button

    def show(self, value: object, last: int | None = None) -> None:
        """Show the current value, and the last number there is if that is given."""
        self.field.value = str(value)
        if last is not None:
            self.last = last
            self.field.label = f"{self._label}, {self.first}–{last}"
