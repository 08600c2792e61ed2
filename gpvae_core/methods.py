"""Methods: named combinations of encoder, refiner, objective, regulariser and inference.

Each part that has a method name is a method by itself (all other parts are those of a plain VAE), and names are
combined by '+': 'gp+sa:8+iwae'. The number after a colon is a count, as of the flows in 'iaf:4'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from gpvae_core.encoders.base import ENCODERS
from gpvae_core.errors import UserError, clipped, unknown
from gpvae_core.inference.base import INFERENCES
from gpvae_core.objectives.base import OBJECTIVES
from gpvae_core.parsing import whole_number
from gpvae_core.part_text import parse_part
from gpvae_core.refiners.base import REFINERS, RefinerConfig
from gpvae_core.registry import Registry
from gpvae_core.regularisers.base import REGULARISERS

FAMILIES: dict[str, Registry[Any]] = {
    "encoder": ENCODERS,
    "refiner": REFINERS,
    "objective": OBJECTIVES,
    "regulariser": REGULARISERS,
    "inference": INFERENCES,
}
"""Part of a method -> its registry; a run's config has the same names of parts."""


@dataclass(frozen=True)
class Method:
    """Parts and settings of the model that `gpvae train --method NAME` trains.

    >>> from gpvae_core.methods import get_method
    >>> get_method("gp+sa:8").refiner
    'semi_amortized'
    """

    name: str
    summary: str
    encoder: str = "gaussian"
    refiner: str = "none"
    objective: str = "elbo"
    regulariser: str = "none"
    inference: str = "amortized"
    count: str = ""
    """Dotted key of the setting that the number in 'name:number' sets; '' if there is none."""
    counts: tuple[int, ...] = ()
    """The numbers that the papers compare."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Default settings of the method, by dotted keys; the settings of a run override them."""
    instead_of_conv: str = ""
    """Kind of decoder that the method needs in place of a convolutional one; '' if it works with that."""

    def names(self) -> list[str]:
        """Return the method's name with each number that the papers compare (iaf:1, iaf:2), else its plain name."""
        return [f"{self.name}:{count}" for count in self.counts] or [self.name]

    def kinds(self) -> dict[str, str]:
        """Return the kind of each part."""
        return {part: getattr(self, part) for part in FAMILIES}

    def as_dict(self) -> dict[str, str]:
        """Return name, summary, parts and the key of its number, as plain data."""
        return {"name": self.name, "summary": self.summary, **self.kinds(), "number": self.count}


def methods() -> dict[str, Method]:
    """Return the methods that consist of one part, sorted by name."""
    offered = [method for part, registry in FAMILIES.items() for method in _offered(part, registry)]
    return {method.name: method for method in sorted(offered, key=lambda m: m.name)}


def _offered(part: str, registry: Registry[Any]) -> Iterator[Method]:
    """Yield the method of each registered part that has a method name."""
    for kind, summary in registry.summaries().items():
        config = registry.get(kind)
        if not config.method:
            continue
        count = config.count if not config.count or "." in config.count else f"{part}.{config.count}"
        plain = Method(config.method, summary, count=count, counts=config.counts)
        settings = tuple(config.wants.items())
        yield replace(plain, settings=settings, instead_of_conv=config.instead_of_conv, **{part: kind})


def get_method(name: str) -> Method:
    """Return the method called `name`, such as 'gp', 'iaf:4' or 'gp+sa:8'.

    Raises:
        UserError: a name is missing or unknown (the message suggests the nearest one), a number does not belong there,
            or two names select the same part.
    """
    names = name.split("+")
    if len(names) > 1 and "" in names:
        raise UserError(f"a name is missing in '{clipped(name)}'")
    parts = [_get_single(part) for part in names]
    return replace(reduce(_combined, parts), name=name)


def _get_single(name: str) -> Method:
    """Return the method of one part, such as 'iaf:4'."""
    head, colon, number = name.partition(":")
    known = methods()
    if head not in known:
        raise unknown("method", head, known)
    method = known[head]
    if not colon:
        return method
    if not method.count:
        raise UserError(f"method '{head}' takes no number, got '{clipped(name)}'")
    count = whole_number(number)
    if not count:
        raise UserError(f"wanted '{head}:NUMBER' with a whole number from 1, got '{clipped(name)}'")
    return replace(method, settings=(*method.settings, (method.count, count)))


def parse_refiner(text: str) -> RefinerConfig:
    """Return the config of 'svi:8' or 'svi:8,step_size=0.05'; the name is the refiner's kind or its method's ('sa').

    Raises:
        UserError: the refiner or a setting is unknown (the message suggests the nearest name), or a value is invalid.
    """
    known = methods()
    names = {name: method.refiner for name, method in known.items() if method.refiner != "none"}
    return parse_part(text, REFINERS, lambda name: names.get(name, name))


def _combined(a: Method, b: Method) -> Method:
    """Return the method with the parts and settings of both."""
    plain = Method("", "").kinds()
    parts_of_a = {part for part, kind in a.kinds().items() if kind != plain[part]}
    parts_of_b = {part: kind for part, kind in b.kinds().items() if kind != plain[part]}
    common = sorted(parts_of_a & parts_of_b.keys())
    if common:
        raise UserError(f"'{a.name}' and '{b.name}' both name the {common[0]}: leave out one")
    return replace(
        a,
        summary=f"{a.summary} {b.summary}",
        count="",
        counts=(),
        settings=(*a.settings, *b.settings),
        instead_of_conv=a.instead_of_conv or b.instead_of_conv,
        **parts_of_b,
    )
