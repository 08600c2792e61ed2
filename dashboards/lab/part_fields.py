"""Widgets for a part that a text names, such as 'svi:8,rate=0.5': its kind, and one for each setting of that kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, get_args

import panel as pn
import panel_material_ui as pmui
import param

from dashboards.lab.controls import FIELD, Controls
from gpvae_core.errors import UserError

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from gpvae_core.part import PartConfig
    from gpvae_core.registry import Registry

WIDEST_LINEAR = 100.0
"""Largest range of a setting whose slider is linear; another's is logarithmic, around its default."""
REACH = 100.0
"""A logarithmic slider goes from default / REACH to REACH * default, as far as the setting's bounds allow."""


class PartFields:
    """A drop-down for the kind of a part, and a widget for each setting, made from the settings' own fields.

    A setting that is a part itself has such widgets of its own. `set_text` gets the text of what was chosen and returns
    whether it was accepted; `changed` is called when there are other `widgets` than before.
    """

    def __init__(
        self,
        controls: Controls,
        label: str,
        set_text: Callable[[str], bool],
        changed: Callable[[], None],
        kinds: Iterable[str] = (),
    ) -> None:
        """Make the drop-down; it is as wide as these kinds need, or those of `show`."""
        self._controls, self._set_text, self._changed = controls, set_text, changed
        self._config: PartConfig | None = None
        self._shows: dict[str, Callable[[Any], object]] = {}
        """Name of each setting -> function that shows its value."""
        self._fields: dict[str, pn.viewable.Viewable | PartFields] = {}
        # NOTE: a description that a field does not have from its beginning breaks its script.
        self.kind = pmui.Select(label=label, options=[], width=width_for(kinds), description=label, **FIELD)
        controls.watch(self.kind, self._kind_chosen)

    @property
    def widgets(self) -> list[pn.viewable.Viewable]:
        """All widgets, in their order."""
        each = [field.widgets if isinstance(field, PartFields) else [field] for field in self._fields.values()]
        return [self.kind, *chain.from_iterable(each)]

    def show(
        self,
        config: PartConfig,
        registry: Registry[Any],
        registries: Mapping[str, Registry[Any]],
        hidden: Collection[str] = (),
    ) -> None:
        """Show a part and the kinds that there are.

        Args:
            registries: name of a setting that is a part itself -> the kinds of that.
            hidden: names of settings that have no effect now.
        """
        self._registry, self._registries = registry, registries
        before, self._config = type(self._config), config
        summaries = registry.summaries()
        self._controls.update(
            self.kind, options=list(summaries), value=config.kind, description=summaries[config.kind],
            width=width_for(summaries),
        )  # fmt: skip
        if before is not type(config):
            self._shows, self._fields = {}, {}
            for name, field in type(config).model_fields.items():
                self._fields[name], self._shows[name] = self._field(name, field)
        for name, show in self._shows.items():
            show(getattr(config, name))
        for name, field in self._fields.items():
            for widget in field.widgets if isinstance(field, PartFields) else [field]:
                widget.visible = name not in hidden
        if before is not type(config):
            self._changed()

    def _kind_chosen(self, kind: str) -> None:
        from gpvae_core.part_text import part_text

        if not self._set_text(part_text(self._registry.get(kind)())):
            self._controls.update(self.kind, value=self._config and self._config.kind)

    def _set(self, name: str, value: Any) -> bool:
        """Set one setting; return False, after a complaint, where the part does not accept it."""
        from gpvae_core.part import parse_model
        from gpvae_core.part_text import part_text

        assert self._config is not None
        values = {key: getattr(self._config, key) for key in type(self._config).model_fields}
        try:
            return self._set_text(part_text(parse_model(type(self._config), {**values, name: value})))
        except UserError as error:
            self._controls.complain(str(error))
            return False

    def _field(self, name: str, field: FieldInfo) -> tuple[pn.viewable.Viewable | PartFields, Callable[[Any], object]]:
        """Return the widget of a setting, and the function that shows a value in it."""
        from gpvae_core.part import PartConfig

        label, about = name.replace("_", " ").capitalize(), field.description or ""
        if isinstance(field.default, PartConfig):
            registry = self._registries[name]
            kinds = registry.summaries()
            inner = PartFields(self._controls, label, lambda text: self._set(name, text), self._changed, kinds)
            return inner, lambda value: inner.show(value, registry, self._registries)
        if options := list(get_args(field.annotation)):
            widget = pmui.Select(label=label, options=options, width=width_for(options), description=about, **FIELD)
        elif field.annotation is str:
            widget = pmui.TextInput(label=label, width=290, description=about, **FIELD)
        else:
            dial = self._dial(name, label, field)
            return dial, lambda value: setattr(dial, "value", value)
        self._bind(widget, name)
        return widget, lambda value: self._controls.update(widget, value=value)

    def _bind(self, widget: Any, name: str) -> None:
        def on_choice(value: Any) -> None:
            if not self._set(name, value):
                self._controls.update(widget, value=getattr(self._config, name))

        self._controls.watch(widget, on_choice)

    def _dial(self, name: str, label: str, field: FieldInfo) -> Any:
        """Return the slider of a number, within its bounds and in a range about its default."""
        whole, (low, high), open_ends = field.annotation is int, *bounds(field)
        kind: Any = param.Integer if whole else param.Number
        parameter = kind(
            field.default, bounds=(low, high), inclusive_bounds=(not open_ends[0], not open_ends[1]),
            doc=field.description,
        )  # fmt: skip
        ends, logarithmic = slider_range(field.default, low, high, whole)
        return self._controls.slider(
            parameter, label, lambda value: self._set(name, value), low=ends[0], high=ends[1], logarithmic=logarithmic,
            value=field.default,
        )  # fmt: skip


def width_for(options: Iterable[str]) -> int:
    """Return the width in pixels of a drop-down in which the longest of its options is not cut."""
    return max(100, 48 + round(8.2 * max(map(len, options), default=0)))


def bounds(field: FieldInfo) -> tuple[tuple[float, float], tuple[bool, bool]]:
    """Return the bounds of a number, infinite where it has none, and whether each is excluded itself."""
    low, high, open_low, open_high = -math.inf, math.inf, False, False
    for bound in field.metadata:
        for attribute, excluded in (("ge", False), ("gt", True)):
            if (value := getattr(bound, attribute, None)) is not None:
                low, open_low = value, excluded
        for attribute, excluded in (("le", False), ("lt", True)):
            if (value := getattr(bound, attribute, None)) is not None:
                high, open_high = value, excluded
    return (low, high), (open_low, open_high)


def slider_range(default: float, low: float, high: float, whole: bool) -> tuple[tuple[float, float], bool]:
    """Return the ends of a setting's slider, and whether it is logarithmic.

    >>> slider_range(0.05, 0.0, 1e30, whole=False)
    ((0.0005, 5.0), True)
    >>> slider_range(0.9, -1.0, 1.0, whole=False)
    ((-1.0, 1.0), False)
    """
    if high - low <= WIDEST_LINEAR:
        return (low, high), False
    first, last = (default / REACH, default * REACH) if default > 0 else (0.0, REACH)
    if whole:
        first = math.ceil(first) if default > 0 else 0
    return (max(first, low), min(last, high)), whole or default > 0
