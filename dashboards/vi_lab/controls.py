"""The controls of the VI Lab: the target, what both inferences share, and the family and method of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import panel as pn
import panel_material_ui as pmui

from dashboards.lab.controls import BAR, SMALL, Controls, Opened
from dashboards.lab.looks import WIDE
from dashboards.lab.part_fields import PartFields
from dashboards.vi_lab.request import VILabRequest
from dashboards.vi_lab.state import A, B, VILabState, start_of
from dashboards.widgets.mixture_pad import MixturePad
from dashboards.widgets.typed_field import TypedField
from gpvae_core.errors import UserError
from gpvae_core.plots.inference_steps import colour

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from gpvae_core.vi.methods.base import MethodConfig

NAME = (
    '<span style="display: inline-block; min-width: 22px; padding: 3px 8px; border-radius: 4px; text-align: center; '
    'font: 600 13px Roboto, sans-serif; color: {ink}; background: {colour}">{side}</span>'
)


class VILabControls(Controls):
    """Widgets that set the page's state."""

    def __init__(self, state: VILabState, complain: Callable[[str], None]) -> None:
        super().__init__(state, complain)
        self.target = PartFields(self, "Target", lambda text: self.set(target=text), self._arrange)
        self.draw = pmui.Button(label="Draw a mixture", icon="draw", **SMALL)
        self.pad = MixturePad({"components": self._drawn}, visible=False, dark=state.param.dark, margin=(4, 12))
        self.opened = Opened(self.draw, self.pad)
        self.start = TypedField(
            {"typed": self._start_typed}, label="Start: z1, z2", value=state.start, dark=state.param.dark, width=120,
            margin=(3, 4),
        )  # fmt: skip
        state.param.watch(lambda event: setattr(self.start, "value", event.new), "start")
        self._shared = (
            self.start,
            self.dial("start_sd", "Start sd", logarithmic=True, low=0.05, high=5.0),
            self.dial("count", "Steps", logarithmic=True, low=1, high=1000, notches=60),
            self.field("seed", "Run seed", width=112),
        )
        self.names = {side: pn.pane.HTML(side, margin=(3, 4)) for side in (A, B)}
        self.parts = {
            f"{what}_{side.lower()}": PartFields(
                self, f"{what.capitalize()} of {side}", partial(self._set_part, f"{what}_{side.lower()}"), self._arrange
            )
            for side in (A, B)
            for what in ("family", "method")
        }
        self._rows = {name: pn.FlexBox(**BAR) for name in ("target", A, B)}
        self._arrange()
        self.bar = pn.Column(self._rows["target"], self.pad, self._rows[A], self._rows[B], **WIDE)

    def _arrange(self) -> None:
        """Put the widgets of each part into its row."""
        self._rows["target"].objects = [*self.target.widgets, self.draw, *self._shared]
        for side in (A, B):
            parts = (self.parts[f"{what}_{side.lower()}"] for what in ("family", "method"))
            self._rows[side].objects = [self.names[side], *(widget for part in parts for widget in part.widgets)]

    def _set_part(self, name: str, text: str) -> bool:
        return self.set(**{name: text})

    def _drawn(self, components: object) -> None:
        """Take the mixture that was drawn as the target; the pad shows the old one where it cannot be one."""
        from gpvae_core.part import parse_model
        from gpvae_core.part_text import part_text
        from gpvae_core.vi.targets.plane import MixtureTargetConfig

        try:
            target = parse_model(MixtureTargetConfig, {"components": components})
        except UserError as error:
            self.complain(str(error))
            self.pad.settle()
            return
        self.set(target=part_text(target))

    def _start_typed(self, text: object) -> None:
        try:
            z1, z2 = start_of(str(text).replace(" ", ""))
            self.set(start=f"{z1:g},{z2:g}")
        except UserError as error:
            self.complain(str(error))
        self.start.settle()

    def offer(self, request: VILabRequest) -> None:
        """Show the request's values."""
        from gpvae_core.vi.settings import VI_PARTS
        from gpvae_core.vi.targets.plane import MOST_COMPONENTS, MixtureTargetConfig

        nested = {name: VI_PARTS[name] for name in ("gradient", "divergence")}
        target = request.settings[A].target
        self.target.show(target, VI_PARTS["target"], {})
        self.pad.most = MOST_COMPONENTS
        if isinstance(target, MixtureTargetConfig):
            self.pad.components = target.components
        for side, settings in request.settings.items():
            ink = "#ffffff" if request.theme.name == "light" else "#15191e"
            self.names[side].object = NAME.format(ink=ink, colour=colour(side, request.theme), side=side)
            family = self.parts[f"family_{side.lower()}"]
            family.show(settings.family, VI_PARTS["family"], {})
            for widget in family.widgets:
                widget.visible = settings.method.takes_family
            hidden = without_effect(settings.method, request.batches)
            self.parts[f"method_{side.lower()}"].show(settings.method, VI_PARTS["method"], nested, hidden)


def without_effect(method: MethodConfig, batches: bool) -> set[str]:
    """Return the settings of a method that change nothing.

    Args:
        batches: whether the target has data points that can be drawn in batches.
    """
    from gpvae_core.vi.divergences.kl import ReverseKlConfig
    from gpvae_core.vi.methods.black_box import BlackBoxConfig

    fits_other = isinstance(method, BlackBoxConfig) and not isinstance(method.divergence, ReverseKlConfig)
    of_data = not method.trains_network  # whose batches are of data sets
    return {name for name, idle in (("gradient", fits_other), ("batch", of_data and not batches)) if idle}
