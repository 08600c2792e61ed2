"""The request of the VI Lab: its state, checked, with the settings of both inferences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboards.lab.asked import Asked
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.vi_lab.state import A, B, VILabState, start_of
from gpvae_core.plots.theme import Theme

# Torch takes a second to import: the page is up before.
if TYPE_CHECKING:
    from gpvae_core.inspection.vi_lab.lab import VILab
    from gpvae_core.vi.inference import VISettings

MANY_STEPS = 300
"""Number of steps from which an inference is computed in a job."""


@dataclass(frozen=True)
class VILabRequest:
    """The state of the VI Lab, checked."""

    lab: VILab
    settings: Mapping[str, VISettings]
    """A or B -> its settings."""
    also: tuple[str, ...]
    """The divergences that the inferences minimise."""
    divergence: str
    divergences: tuple[str, ...]
    """Those that can be drawn."""
    batches: bool
    """Whether the target has data points that can be drawn in batches."""
    noise_of: str
    noise_at: str
    against: str
    asked: frozenset[Asked]
    theme: Theme

    @property
    def takes_long(self) -> bool:
        """Whether one of the inferences takes more than a moment."""
        return any(one.method.trains_network or one.steps > MANY_STEPS for one in self.settings.values())


class VILabPane(Pane[VILabRequest]):
    """One card of the VI Lab."""

    def subject(self, request: VILabRequest) -> str:
        from gpvae_core.part_text import part_text

        return f"target {part_text(request.settings[A].target)}"

    def slow(self, request: VILabRequest) -> bool:
        return self.in_job or request.takes_long


def resolve(lab: VILab, values: Values, asked: frozenset[Asked]) -> Resolved[VILabRequest]:
    """Return the request; texts that name nothing are corrected, with a complaint."""
    from gpvae_core.inspection.vi_lab.lab import fitted, measured
    from gpvae_core.part_text import parse_part, part_text
    from gpvae_core.vi.inference import VISettings
    from gpvae_core.vi.settings import VI_PARTS

    parts = {}
    for name in ("target", "family_a", "method_a", "family_b", "method_b"):
        registry = VI_PARTS[name.partition("_")[0]]
        default = VILabState.param[name].default
        parts[name] = values.attempt(lambda name=name, r=registry: parse_part(values[name], r), None)
        if parts[name] is None:
            parts[name] = parse_part(default, registry)
        values.correct(name, part_text(parts[name]))
    shared = {
        "target": parts["target"], "steps": values["count"], "seed": values["seed"], "start_sd": values["start_sd"],
        "start": start_of(values["start"]),
    }  # fmt: skip
    settings = {
        side: VISettings(family=parts[f"family_{side.lower()}"], method=parts[f"method_{side.lower()}"], **shared)
        for side in (A, B)
    }
    also = fitted(settings.values())
    divergences = tuple(measured(also))
    if values["divergence"] not in divergences:
        known = ", ".join(divergences)
        values.correct("divergence", "reverse-kl", f"no divergence '{values['divergence'][:40]}'; known: {known}")
    request = VILabRequest(
        lab=lab, settings=settings, also=also, divergences=divergences, asked=asked, theme=values.theme,
        batches=parts["target"].build().n > 1,
        **{name: values[name] for name in ("divergence", "noise_of", "noise_at", "against")},
    )  # fmt: skip
    return values.resolved(request)
