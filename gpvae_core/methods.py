"""A method is a named combination of encoder, refiner and objective; each encoder offers one under its own name."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from gpvae_core.encoders.base import ENCODERS
from gpvae_core.errors import unknown


@dataclass(frozen=True)
class Method:
    """What `--method NAME` trains."""

    name: str
    summary: str
    encoder: str
    refiner: str
    objective: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def methods() -> dict[str, Method]:
    """Every encoder family alone: no refinement of its answer, trained on the ELBO (eq. 15 for the GP encoder)."""
    found = [
        Method(ENCODERS.get(kind).method, summary, encoder=kind, refiner="none", objective="elbo")
        for kind, summary in ENCODERS.summaries().items()
    ]
    return {method.name: method for method in sorted(found, key=lambda m: m.name)}


def get_method(name: str) -> Method:
    """The method called `name`. Raises UserError with the nearest right name."""
    known = methods()
    if name not in known:
        raise unknown("method", name, known)
    return known[name]
