"""A method is a named combination of encoder, refiner, objective, regulariser and inference.

Each of these families offers a method under its own name (a plain Gaussian encoder stands in for what is not named),
and names are combined by '+': 'gp+sa:8+iwae'. The number behind a colon is a count, as the flows in 'iaf:4'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from gpvae_core.encoders.base import ENCODERS
from gpvae_core.errors import UserError, unknown
from gpvae_core.inference.base import INFERENCES
from gpvae_core.objectives.base import OBJECTIVES
from gpvae_core.part import parse_model
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
"""The parts of a method; each is a part of the same name in a run's config."""


@dataclass(frozen=True)
class Method:
    """The parts and settings that `gpvae train --method NAME` trains.

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
    """Dotted key of the setting that the number in 'name:number' sets; '' where there is none."""
    counts: tuple[int, ...] = ()
    """The numbers that the papers compare."""
    settings: tuple[tuple[str, Any], ...] = ()
    """Settings that the method brings, as dotted keys; those of a run's own stand above them."""
    instead_of_conv: str = ""
    """The kind of decoder that the method needs in place of a convolutional one; '' where it takes that."""

    def names(self) -> list[str]:
        """Return the method with each number that the papers compare, as iaf:1, iaf:2; else its plain name."""
        return [f"{self.name}:{count}" for count in self.counts] or [self.name]

    def kinds(self) -> dict[str, str]:
        """Return the kind of each part."""
        return {part: getattr(self, part) for part in FAMILIES}

    def as_dict(self) -> dict[str, str]:
        return {"name": self.name, "summary": self.summary, **self.kinds(), "number": self.count}


def methods() -> dict[str, Method]:
    """Return the methods that each family offers by itself, sorted by name."""
    offered = [method for part, registry in FAMILIES.items() for method in _offered(part, registry)]
    return {method.name: method for method in sorted(offered, key=lambda m: m.name)}


def _offered(part: str, registry: Registry[Any]) -> Iterator[Method]:
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
        UserError: a part that is missing or unknown (with the nearest right name), a number where none belongs,
            two parts that exclude each other.
    """
    names = name.split("+")
    if len(names) > 1 and "" in names:
        raise UserError(f"a name is missing in '{name}'")
    parts = [_get_one(part) for part in names]
    return replace(reduce(_combined, parts), name=name)


def _get_one(name: str) -> Method:
    head, colon, number = name.partition(":")
    known = methods()
    if head not in known:
        raise unknown("method", head, known)
    method = known[head]
    if not colon:
        return method
    if not method.count:
        raise UserError(f"method '{head}' takes no number, got '{name}'")
    if not (number.isdecimal() and int(number) > 0):
        raise UserError(f"wanted '{head}:NUMBER' with a whole number from 1, got '{name}'")
    return replace(method, settings=(*method.settings, (method.count, int(number))))


def parse_refiner(text: str) -> RefinerConfig:
    """Return the config of 'svi:8' or 'svi:8,step_size=0.05'; the name is the refiner's kind or its method's ('sa').

    Raises:
        UserError: unknown refiner (with the nearest right name) or setting, or a value out of range.
    """
    head, *settings = text.split(",")
    name, colon, number = head.partition(":")
    known = methods()
    kind = known[name].refiner if name in known and known[name].refiner != "none" else name
    config = REFINERS.get(kind)
    fields: dict[str, Any] = {}
    if colon:
        if not config.count:
            raise UserError(f"refiner '{kind}' takes no number, got '{head}'")
        fields[config.count] = number
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"wanted 'refiner:number,setting=value', got '{text}'")
        fields[key.strip()] = value.strip()
    return parse_model(config, fields)


def _combined(a: Method, b: Method) -> Method:
    plain = Method("", "").kinds()
    taken = {part for part, kind in a.kinds().items() if kind != plain[part]}
    new = {part: kind for part, kind in b.kinds().items() if kind != plain[part]}
    both = sorted(taken & new.keys())
    if both:
        raise UserError(f"'{a.name}' and '{b.name}' both name the {both[0]}: leave out one")
    return replace(
        a,
        summary=f"{a.summary} {b.summary}",
        count="",
        counts=(),
        settings=(*a.settings, *b.settings),
        instead_of_conv=a.instead_of_conv or b.instead_of_conv,
        **new,
    )
