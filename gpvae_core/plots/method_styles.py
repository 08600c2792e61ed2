"""The style of each method, the same in every pane: short name, colour, dash, symbol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpvae_core.plots.theme import CLASS_SYMBOLS, Theme

PALE = "#F0E442"
"""Too pale for a thin line on white."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True)
class MethodStyle:
    """`label` is what the method is called beside its mark."""

    label: str
    colour: str
    dash: str
    symbol: str


def short_name(method: str, decoder: str) -> str:
    """Return a method's name without that of the decoder's run, with which most begin."""
    rest = method.removeprefix(decoder)
    return rest[1:] if len(rest) > 1 and rest[0] in "-+" and rest != method else method


def method_styles(methods: Sequence[str], decoder: str, theme: Theme) -> Mapping[str, MethodStyle]:
    """Return a style by the place among all methods offered, so that a choice among them changes no colour."""
    colours = [colour for colour in theme.classes if colour != PALE]
    return {
        method: MethodStyle(
            f"+{short_name(method, decoder)}" if method.startswith(f"{decoder}+") else short_name(method, decoder),
            colours[k % len(colours)],
            DASHES[k % len(DASHES)],
            CLASS_SYMBOLS[k % len(CLASS_SYMBOLS)],
        )
        for k, method in enumerate(methods)
    }
