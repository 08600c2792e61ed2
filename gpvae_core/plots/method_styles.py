"""The style of each method, which is the same in every pane: short name, colour, dash and symbol."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gpvae_core.plots.theme import CLASS_SYMBOLS, Theme

PALE = "#F0E442"
"""The class colour that is too pale for a thin line on white."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


@dataclass(frozen=True)
class MethodStyle:
    """Label, colour, dash and symbol of a method."""

    label: str
    colour: str
    dash: str
    symbol: str


def short_name(method: str, decoder: str) -> str:
    """Return a method's name without the name of the decoder's run, if it begins with that."""
    rest = method.removeprefix(decoder)
    return rest[1:] if len(rest) > 1 and rest[0] in "-+" and rest != method else method


def _label(method: str, decoder: str) -> str:
    return f"+{short_name(method, decoder)}" if method.startswith(f"{decoder}+") else short_name(method, decoder)


def method_styles(
    methods: Sequence[str], decoder: str, theme: Theme, partial: Collection[str] = ()
) -> Mapping[str, MethodStyle]:
    """Return the style of each method by its position among all available ones, so that a selection keeps colours.

    The label says so where the training of a method's run, one of `partial`, has not ended.
    """
    colours = [colour for colour in theme.classes if colour != PALE]
    return {
        method: MethodStyle(
            _label(method, decoder) + " (partial)" * any(f"{method}+".startswith(f"{run}+") for run in partial),
            colours[k % len(colours)],
            DASHES[k % len(DASHES)],
            CLASS_SYMBOLS[k % len(CLASS_SYMBOLS)],
        )
        for k, method in enumerate(methods)
    }
