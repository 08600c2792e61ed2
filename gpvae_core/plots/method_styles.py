"""The style of each method, which is the same in every pane: short name, colour, dash and symbol.

There are LOOKS pairs of colour and dash, and as many of colour and symbol, so that no two methods look alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gpvae_core.plots.theme import CLASS_SYMBOLS, Theme

PALE = "#F0E442"
"""The class colour that is too pale for a thin line on white."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
LOOKS = (len(CLASS_SYMBOLS) - 1) * len(DASHES)
"""Number of looks: each colour but the pale one, with each dash."""


@dataclass(frozen=True)
class MethodStyle:
    """Label, colour, dash and symbol of a method."""

    label: str
    colour: str
    dash: str
    symbol: str

    @property
    def strokes(self) -> str:
        """The dash as SVG's stroke-dasharray, for a sample of the line that is 24 units long and 4 wide."""
        return {"solid": "", "dash": "7 3", "dot": "3 2", "dashdot": "9 2 3 2", "longdash": "10 4"}[self.dash]


def short_name(method: str, decoder: str) -> str:
    """Return a method's name without the name of the decoder's run, if it begins with that."""
    rest = method.removeprefix(decoder)
    return rest[1:] if len(rest) > 1 and rest[0] in "-+" and rest != method else method


def _label(method: str, decoder: str) -> str:
    return f"+{short_name(method, decoder)}" if method.startswith(f"{decoder}+") else short_name(method, decoder)


def method_styles(
    methods: Sequence[str],
    decoder: str,
    theme: Theme,
    partial: Collection[str] = (),
    looks: Mapping[str, int] | None = None,
) -> Mapping[str, MethodStyle]:
    """Return the style of each method, by the number of its looks; by default that is its position.

    The label is the short name, or the whole one where two methods have the same short name. It says so where the
    training of a method's run, one of `partial`, has not ended.
    """
    colours = [colour for colour in theme.classes if colour != PALE]
    labels = {method: _label(method, decoder) for method in methods}
    styles, taken = {}, Counter(labels.values())
    for position, method in enumerate(methods):
        row, column = divmod((position if looks is None else looks[method]) % LOOKS, len(colours))
        unended = any(f"{method}+".startswith(f"{run}+") for run in partial)
        styles[method] = MethodStyle(
            (labels[method] if taken[labels[method]] == 1 else method) + " (partial)" * unended,
            colours[column],
            DASHES[(column + row) % len(DASHES)],
            CLASS_SYMBOLS[(column + row) % len(CLASS_SYMBOLS)],
        )
    return styles
